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

Session::Session(mosquitto* c, SessionNo n, Identity i, Connection via)
    : client{c},
      no{n},
      identity{std::move(i)},
      connection{std::move(via)},
      error_lines{error_lines_per_s, error_lines_per_s},
      rate_lines{1, 1} {
  const auto named = parse_device_client_id(connection.client_id);
  if (named && named->name == identity.user) device = named->device;
}

bool Session::is_service() const { return (identity.scope & scope::service) != 0; }

User::User(std::string n, const Limits& limits)
    : name{std::move(n)},
      publishes{limits.publishes_per_s, limits.publish_burst},
      typing{limits.typing_per_s, limits.typing_per_s} {}

Sessions::Sessions(const Limits& limits) : limits_{limits}, base_{random_base()} {}

Session* Sessions::find(const mosquitto* client) {
  const auto found = sessions_.find(client);
  return found == sessions_.end() ? nullptr : &found->second;
}

Session* Sessions::find(SessionNo no) {
  const auto found = by_no_.find(no);
  return found == by_no_.end() ? nullptr : found->second;
}

User* Sessions::find_user(std::string_view name) {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : &found->second;
}

Session* Sessions::find_service(std::string_view client_id) {
  const auto found = std::find_if(services_.begin(), services_.end(), [&](const Session* session) {
    return session->active() && session->connection.client_id == client_id;
  });
  return found == services_.end() ? nullptr : *found;
}

User& Sessions::user(const std::string& name) {
  return users_.try_emplace(name, name, limits_).first->second;
}

Session& Sessions::login(mosquitto* client, Identity identity, Connection connection) {
  forget(client);
  const SessionNo no = base_ | ++count_;
  User& owner = user(identity.user);
  // A former session with this id hands over or ends now; its will is looked at in this pass still.
  for (const Session* other : owner.sessions) {
    if (other->connection.client_id == connection.client_id && other->life == Life::dead) {
      ended_.push_back(other->no);
    }
  }
  if (connection.clean) remembered_.erase(connection.client_id);
  Session& session =
      sessions_.try_emplace(client, client, no, std::move(identity), std::move(connection))
          .first->second;
  session.user = &owner;
  by_no_[no] = &session;
  owner.sessions.push_back(&session);
  ++owner.known;
  if (session.is_service()) services_.push_back(&session);
  watch_expiry(session);
  fresh_.push_back(no);
  ++live_;
  recount(owner);
  return session;
}

void Sessions::watch_expiry(const Session& session) {
  if (session.identity.expires_at != 0) expiries_.emplace(session.identity.expires_at, session.no);
}

void Sessions::unwatch_expiry(const Session& session) {
  expiries_.erase({session.identity.expires_at, session.no});
}

void Sessions::renew(Session& session, const Identity& identity) {
  unwatch_expiry(session);
  session.identity = identity;
  if (session.life != Life::dead) watch_expiry(session);
}

void Sessions::disconnect(Session& session) {
  if (session.life == Life::dead) return;
  if (session.announced) downs_.emplace_back(link::SessionDown{session.no});
  session.announced = false;
  if (session.may_resume()) remember(session);
  session.life = Life::dead;
  unwatch_expiry(session);
  std::erase(services_, &session);
  --live_;
  // A clean session of MQTT 3.1.1 has nothing but its will, which is looked at before the next
  // tick; one of MQTT 5 may have a delayed one.
  if (!session.may_resume() && !session.is_mqtt5()) {
    ended_.push_back(session.no);
  } else {
    dead_order_.push_back(session.no);
  }
  // Kept for its will only: many of them must not slow down what walks over the user's sessions.
  if (!session.may_resume()) std::erase(session.user->sessions, &session);
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
  std::erase(owner.sessions, &session);
  by_no_.erase(session.no);
  if (--owner.known == 0) {
    owner.idle_since = read_clocks().mono;
    idle_users_.emplace_back(owner.idle_since, owner.name);
  }
  recount(owner);
  sessions_.erase(session.client);
}

void Sessions::doom(Session& session) {
  if (session.doomed) return;
  session.doomed = true;
  doomed_.push_back(session.no);
  recount(*session.user);
}

void Sessions::recount(User& user) {
  user.feeds = 0;
  user.has_mqtt5 = false;
  for (const Session* session : user.sessions) {
    if (session->active()) {
      user.feeds |= session->feeds.mask();
      user.has_mqtt5 = user.has_mqtt5 || session->is_mqtt5();
    } else if (!session->doomed && session->may_resume()) {
      user.feeds |= session->feeds.mask() & kept_while_away;
      user.has_mqtt5 = user.has_mqtt5 || session->is_mqtt5();
    }
  }
}

void Sessions::subscribe(Session& session, std::string_view filter, const FilterGrant& grant) {
  on_change(session, session.feeds.add(filter, grant));
}

void Sessions::unsubscribe(Session& session, std::string_view filter) {
  on_change(session, session.feeds.remove(filter));
}

void Sessions::on_change(Session& session, SessionFeeds::Change change) {
  if (change == SessionFeeds::Change::none) return;
  if (change == SessionFeeds::Change::resync) begin_sync(session);
  recount(*session.user);
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
  on_change(*session, session->feeds.ask_state_again());
  if ((session->feeds.mask() & feed::content_any) == 0) return;
  begin_sync(*session);
  mark_changed(*session);
}

void Sessions::remember(Session& session) {
  if (session.feeds.mask() == 0) return;
  const std::string& id = session.connection.client_id;
  remembered_[id] = {session.identity.user, session.feeds, session.no};
  remembered_order_.emplace_back(session.no, id);
  while (remembered_order_.size() > remembered_max) {
    const auto& [of, oldest] = remembered_order_.front();
    const auto found = remembered_.find(oldest);
    if (found != remembered_.end() && found->second.of == of) remembered_.erase(found);
    remembered_order_.pop_front();
  }
}

void Sessions::resume(Session& session) {
  if (session.device.empty() || session.connection.clean) return;
  // What it subscribed in this connection is counted by the broker too.
  const int kept = mosquitto_client_sub_count(session.client);
  const auto known = remembered_.extract(session.connection.client_id);
  if (kept <= 0 || static_cast<std::size_t>(kept) <= session.feeds.filters()) return;
  if (!known.empty() && known.mapped().user == session.identity.user) {
    on_change(session, session.feeds.adopt(known.mapped().feeds));
  } else {
    on_change(session, session.feeds.assume_all());
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
  while (!idle_users_.empty() && now.value - idle_users_.front().first.value >= full_after_ms) {
    const auto found = users_.find(idle_users_.front().second);
    if (found != users_.end() && found->second.known == 0 &&
        found->second.idle_since == idle_users_.front().first) {
      users_.erase(found);
    }
    idle_users_.pop_front();
  }
}

std::size_t Sessions::expire(std::int64_t now_s) {
  std::size_t count = 0;
  while (!expiries_.empty() && expiries_.begin()->first <= now_s) {
    Session* session = find(expiries_.begin()->second);
    expiries_.erase(expiries_.begin());
    if (session == nullptr || !session->active()) continue;
    doom(*session);
    ++count;
  }
  return count;
}

link::Session Sessions::describe(const Session& session) const {
  link::Session told;
  told.session_no = session.no;
  told.user = session.identity.user;
  told.user_id = session.identity.user_id;
  told.client_id = session.connection.client_id;
  told.device = session.device;
  told.feeds = session.feeds.mask();
  told.inbox_all = session.feeds.inbox_all();
  told.inbox_convs = session.feeds.inbox_convs();
  told.keep_alive_s = session.connection.keep_alive_s;
  told.protocol_version = static_cast<std::uint32_t>(session.connection.protocol_version);
  told.syncing = session.syncing;
  told.sync_no = session.sync_no;
  told.hold_no = session.hold_no;
  told.scope = session.identity.scope;
  told.state_filters = session.feeds.states();
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
    } else if (std::exchange(session->announced, false)) {
      changes.emplace_back(link::SessionDown{no});
    }
  }
  return changes;
}

std::vector<link::SessionChange> Sessions::snapshot() {
  std::vector<link::SessionChange> all;
  for (auto& [client, session] : sessions_) {
    if (session.life == Life::dead || session.feeds.mask() == 0) continue;
    session.announced = true;
    all.emplace_back(describe(session));
  }
  return all;
}

}  // namespace parley::plugin
