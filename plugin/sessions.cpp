#include "plugin/sessions.hpp"

#include <sodium.h>

#include <algorithm>

#include "core/names.hpp"
#include "core/token.hpp"
#include "core/topic.hpp"
#include "plugin/broker.hpp"

namespace parley::plugin {
namespace {

constexpr std::uint32_t error_lines_per_s = 50;
/// What a session that is away still gets when it comes back; the rest the worker sends it again.
constexpr std::uint32_t kept_while_away = feed::re_json | feed::re_pb | feed::rr | feed::err;

SessionNo random_base() { return SessionNo{randombytes_random()} << 32U; }

}  // namespace

Session::Session(mosquitto* c, SessionNo n, User& u, const Identity& identity, Connection via)
    : client{c},
      user{&u},
      client_id{std::move(via.client_id)},
      no{n},
      keep_alive_s{via.keep_alive_s},
      protocol_version{via.protocol_version},
      clean{via.clean} {
  const auto named = parse_device_client_id(client_id.view());
  is_device = named && named->name == name();
  prove(identity);
}

void Session::prove(const Identity& identity) {
  user_id = identity.user_id;
  scope = identity.scope;
  expires_at = identity.expires_at;
  generation = identity.generation;
  bound = identity.bound;
}

std::string_view Session::name() const { return user->name.view(); }

std::string_view Session::device() const {
  if (!is_device) return {};
  return client_id.view().substr(name().size() + 1);
}

bool Session::is_service() const { return (scope & scope::service) != 0; }

Session::ErrorRates& Session::error_rates() {
  if (!error_rates_) {
    error_rates_ =
        std::make_unique<ErrorRates>(ErrorRates{{error_lines_per_s, error_lines_per_s}, {1, 1}});
  }
  return *error_rates_;
}

User::Rates& User::rates(const Limits& limits) {
  if (!rates_made) {
    rates_made = std::make_unique<Rates>(Rates{{limits.publishes_per_s, limits.publish_burst},
                                               {limits.typing_per_s, limits.typing_per_s}});
  }
  return *rates_made;
}

Sessions::Sessions(const Limits& limits) : limits_{limits}, base_{random_base()} {}

Session* Sessions::find(const mosquitto* client) { return sessions_.find(client).get(); }

Session* Sessions::find(SessionNo no) { return by_no_.find(no); }

User* Sessions::find_user(std::string_view name) { return users_.find(name).get(); }

Session* Sessions::find_service(std::string_view client_id) {
  const auto found = std::find_if(services_.begin(), services_.end(), [&](const Session* session) {
    return session->active() && session->client_id.view() == client_id;
  });
  return found == services_.end() ? nullptr : *found;
}

User& Sessions::user(const SharedText& name) {
  if (User* known = find_user(name.view()); known != nullptr) return *known;
  auto made = std::make_unique<User>(name);
  User& user = *made;
  users_.insert(std::move(made));
  return user;
}

Session& Sessions::login(mosquitto* client, const Identity& identity, Connection connection) {
  forget(client);
  const SessionNo no = base_ | ++count_;
  const std::string_view client_id = connection.client_id.view();
  User& owner = user(identity.user);
  // A former session with this id hands over or ends now; its will is looked at in this pass still.
  for (const Session* other = owner.first; other != nullptr; other = other->next_of_user) {
    if (other->life == Life::dead && other->client_id.view() == client_id) {
      ended_.push_back(other->no);
    }
  }
  if (connection.clean) {
    if (const auto past = remembered_.find(client_id); past != remembered_.end()) {
      remembered_.erase(past);
    }
  }
  auto made = std::make_unique<Session>(client, no, owner, identity, std::move(connection));
  Session& session = *made;
  sessions_.insert(std::move(made));
  by_no_.insert(&session);
  session.next_of_user = std::exchange(owner.first, &session);
  ++owner.known;
  if (session.is_service()) services_.push_back(&session);
  fresh_.push_back(no);
  ++live_;
  watch_expiry(session);
  recount(owner);
  return session;
}

/// One that is not in the list any more stays out.
void Sessions::leave(User& user, const Session& session) {
  for (Session** at = &user.first; *at != nullptr; at = &(*at)->next_of_user) {
    if (*at != &session) continue;
    *at = session.next_of_user;
    return;
  }
}

void Sessions::watch_expiry(const Session& session) {
  if (session.expires_at == 0) return;
  // Those that ended are thrown out when they are as many as the others.
  if (expiries_.size() > 2 * live_ + 1'000) {
    std::erase_if(expiries_, [this](const Expiry& expiry) {
      const Session* known = find(base_ | expiry.count);
      return known == nullptr || known->life == Life::dead || known->expires_at != expiry.at;
    });
    std::make_heap(expiries_.begin(), expiries_.end(), later);
  }
  expiries_.push_back({session.expires_at, static_cast<std::uint32_t>(session.no)});
  std::push_heap(expiries_.begin(), expiries_.end(), later);
}

void Sessions::renew(Session& session, const Identity& identity) {
  const bool moved = session.expires_at != identity.expires_at;
  session.prove(identity);
  if (moved && session.life != Life::dead) watch_expiry(session);
}

void Sessions::disconnect(Session& session) {
  if (session.life == Life::dead) return;
  if (session.announced) downs_.emplace_back(link::SessionDown{session.no});
  session.announced = false;
  if (session.may_resume()) remember(session);
  session.life = Life::dead;
  std::erase(services_, &session);
  --live_;
  // A clean session of MQTT 3.1.1 has nothing but its will, which is looked at before the next
  // tick; one of MQTT 5 may have a delayed one.
  if (!session.may_resume() && !session.is_mqtt5()) {
    ended_.push_back(session.no);
  } else {
    dead_order_.push_back(session.no);
  }
  // Kept for its will only: many of them must neither slow down what walks over the user's sessions
  // nor hold what they had subscribed.
  if (!session.may_resume()) {
    leave(*session.user, session);
    session.feeds = {};
  }
  recount(*session.user);
}

void Sessions::forget(const mosquitto* client) {
  Session* session = find(client);
  if (session == nullptr) return;
  disconnect(*session);
  remove(*session);
}

void Sessions::remove(Session& session) {
  User& owner = *session.user;
  leave(owner, session);
  by_no_.extract(session.no);
  if (--owner.known == 0) {
    owner.idle_no = ++idle_count_;
    idle_users_.push_back({read_clocks().mono, owner.name, owner.idle_no});
  }
  recount(owner);
  sessions_.extract(session.client);
}

void Sessions::doom(Session& session) {
  if (session.doomed) return;
  session.doomed = true;
  doomed_.push_back(session.no);
  recount(*session.user);
}

void Sessions::recount(User& user) {
  std::uint32_t feeds = 0;
  bool has_mqtt5 = false;
  for (const Session* session = user.first; session != nullptr; session = session->next_of_user) {
    if (session->active()) {
      feeds |= session->feeds.mask();
      has_mqtt5 = has_mqtt5 || session->is_mqtt5();
    } else if (!session->doomed && session->may_resume()) {
      feeds |= session->feeds.mask() & kept_while_away;
      has_mqtt5 = has_mqtt5 || session->is_mqtt5();
    }
  }
  user.feeds = feeds;
  user.has_mqtt5 = has_mqtt5;
}

void Sessions::subscribe(Session& session, const FilterGrant& grant) {
  const std::uint32_t before = session.feeds.mask();
  on_change(session, before, session.feeds.add(grant));
}

void Sessions::unsubscribe(Session& session, std::string_view rest) {
  const std::uint32_t before = session.feeds.mask();
  on_change(session, before, session.feeds.remove(rest));
}

/// @param before  its mask
void Sessions::on_change(Session& session, std::uint32_t before, SessionFeeds::Change change) {
  if (change == SessionFeeds::Change::none) return;
  if (change == SessionFeeds::Change::resync) begin_sync(session);
  // A user may have thousands of sessions, and a packet thousands of filters.
  const std::uint32_t mask = session.feeds.mask();
  if (session.active() && (before & ~mask) == 0) {
    User& user = *session.user;
    user.feeds |= mask;
    user.has_mqtt5 = user.has_mqtt5 || session.is_mqtt5();
  } else {
    recount(*session.user);
  }
  mark_changed(session);
}

void Sessions::mark_changed(Session& session) {
  if (session.changed) return;
  session.changed = true;
  changed_.push_back(session.no);
}

void Sessions::begin_sync(Session& session) {
  session.syncing = true;
  ++session.sync_no;
}

void Sessions::sync_done(const link::SyncDone& done) {
  Session* session = find(done.session_no);
  if (session != nullptr && session->sync_no == done.sync_no) session->syncing = false;
}

void Sessions::hold(const link::Hold& hold) {
  Session* session = find(hold.session_no);
  if (session == nullptr || session->life == Life::dead) return;
  session->hold_no = hold.hold_no;
  begin_sync(*session);
  mark_changed(*session);
}

void Sessions::sync_again(SessionNo no) {
  Session* session = find(no);
  if (session == nullptr || session->life == Life::dead) return;
  const std::uint32_t before = session->feeds.mask();
  on_change(*session, before, session->feeds.ask_state_again());
  if ((session->feeds.mask() & feed::content_any) == 0) return;
  begin_sync(*session);
  mark_changed(*session);
}

void Sessions::remember(Session& session) {
  if (session.feeds.mask() == 0) return;
  const std::string id{session.client_id.view()};
  remembered_[id] = {session.user->name, session.feeds, session.no};
  remembered_order_.emplace_back(session.no, id);
  while (remembered_order_.size() > remembered_max) {
    const auto& [of, oldest] = remembered_order_.front();
    const auto found = remembered_.find(oldest);
    if (found != remembered_.end() && found->second.of == of) remembered_.erase(found);
    remembered_order_.pop_front();
  }
}

void Sessions::resume(Session& session) {
  if (!session.is_device || session.clean) return;
  // What it subscribed in this connection is counted by the broker too.
  const int kept = mosquitto_client_sub_count(session.client);
  const auto known = remembered_.extract(std::string{session.client_id.view()});
  if (kept <= 0 || static_cast<std::size_t>(kept) <= session.feeds.filters()) return;
  const std::uint32_t before = session.feeds.mask();
  if (!known.empty() && known.mapped().user.view() == session.name()) {
    on_change(session, before, session.feeds.adopt(known.mapped().feeds));
  } else {
    on_change(session, before, session.feeds.assume_all());
  }
}

void Sessions::tick(MonoMillis now) {
  for (const SessionNo no : std::exchange(fresh_, {})) {
    Session* session = find(no);
    if (session == nullptr || session->life != Life::fresh) continue;
    session->life = Life::live;
    resume(*session);
  }
  while (dead_order_.size() > dead_max) {
    ended_.push_back(dead_order_.front());
    dead_order_.pop_front();
  }
  for (const SessionNo no : std::exchange(ended_, {})) {
    Session* session = find(no);
    if (session != nullptr && session->life == Life::dead) remove(*session);
  }
  // A user's limits are kept until they would be full again.
  const std::int64_t full_after_ms =
      (std::int64_t{limits_.publish_burst} / limits_.publishes_per_s + 1) * 1'000;
  while (!idle_users_.empty() && now.value - idle_users_.front().since.value >= full_after_ms) {
    const IdleUser& idle = idle_users_.front();
    const User* user = find_user(idle.name.view());
    if (user != nullptr && user->known == 0 && user->idle_no == idle.no) {
      users_.extract(idle.name.view());
    }
    idle_users_.pop_front();
  }
}

std::size_t Sessions::expire(std::int64_t now_s) {
  std::size_t count = 0;
  while (!expiries_.empty() && expiries_.front().at <= now_s) {
    const Expiry next = expiries_.front();
    std::pop_heap(expiries_.begin(), expiries_.end(), later);
    expiries_.pop_back();
    Session* session = find(base_ | next.count);
    if (session == nullptr || !session->active() || session->expires_at != next.at) continue;
    doom(*session);
    ++count;
  }
  return count;
}

link::Session Sessions::describe(const Session& session) const {
  link::Session told;
  told.session_no = session.no;
  told.user = session.name();
  told.user_id = session.user_id;
  told.client_id = session.client_id.view();
  told.device = session.device();
  auto sum = session.feeds.sum();
  told.feeds = sum.feeds;
  told.inbox_all = sum.inbox_all;
  told.inbox_convs = std::move(sum.convs);
  told.state_filters = std::move(sum.states);
  told.keep_alive_s = session.keep_alive_s;
  told.protocol_version = session.protocol_version;
  told.syncing = session.syncing;
  told.sync_no = session.sync_no;
  told.hold_no = session.hold_no;
  told.scope = session.scope;
  return told;
}

std::vector<link::SessionChange> Sessions::take_changes() {
  std::vector<link::SessionChange> changes = std::exchange(downs_, {});
  for (const SessionNo no : std::exchange(changed_, {})) {
    Session* session = find(no);
    if (session == nullptr) continue;
    session->changed = false;
    if (session->life == Life::dead) continue;
    if (session->feeds.mask() != 0) {
      session->announced = true;
      changes.emplace_back(describe(*session));
    } else if (session->announced) {
      session->announced = false;
      changes.emplace_back(link::SessionDown{no});
    }
  }
  return changes;
}

std::vector<link::SessionChange> Sessions::snapshot() {
  std::vector<link::SessionChange> all;
  sessions_.for_each([&](const std::unique_ptr<Session>& session) {
    if (session->life == Life::dead || session->feeds.mask() == 0) return;
    session->announced = true;
    all.emplace_back(describe(*session));
  });
  return all;
}

}  // namespace parley::plugin
