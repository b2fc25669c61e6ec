#include "plugin/outlet.hpp"

#include <utility>

#include "core/topic.hpp"
#include "plugin/broker.hpp"

namespace parley::plugin {

Outlet::Outlet(std::string prefix, Sessions& sessions, Counters& counters)
    : prefix_{std::move(prefix)},
      fence_topic_{parley::fence_topic(prefix_)},
      sessions_{sessions},
      counters_{counters} {}

/// @return whether what is published now reaches those that the gate is for
bool Outlet::fence(Gate gate) {
  if (fences_seen_ && publish(fence_topic_, {}, 0)) {
    gates_.publish(std::move(gate));
    return true;
  }
  lose(gate);
  // If nobody sees fences, those before are lost as well: everything reaches everybody.
  if (!fences_seen_) return gate.only == 0;
  ++counters_.out_of_memory;
  return false;
}

/// What the gate was for does not happen: those whom it concerns are brought up to date again.
void Outlet::lose(const Gate& gate) {
  ++counters_.gates_lost;
  if (gate.only != 0) sessions_.sync_again(gate.only);
  for (const auto& done : gate.sync_done) sessions_.sync_again(done.session_no);
  for (const auto& hold : gate.holds) {
    // What went out behind it as live messages the worker takes for held back: all of it again.
    sessions_.hold(hold);
    sessions_.sync_again(hold.session_no);
  }
}

void Outlet::to_users(const std::vector<std::string>& names, const Item& item) {
  const std::uint32_t feed = feed_of(item.suffix);
  if (feed == 0) return;
  // All of them first: while nothing else is done in between, the memory that one is looked up in
  // is fetched while the one before is.
  recipients_.clear();
  for (const auto& name : names) {
    const User* user = sessions_.find_user(name);
    if (user != nullptr && (user->feeds & feed) != 0) recipients_.push_back(user);
  }
  for (const User* user : recipients_) to_one(*user, item, feed);
}

void Outlet::to_user(const User& user, const Item& item) {
  if (const std::uint32_t feed = feed_of(item.suffix); feed != 0) to_one(user, item, feed);
}

/// @param feed  of the item's suffix
void Outlet::to_one(const User& user, const Item& item, std::uint32_t feed) {
  if ((user.feeds & feed) == 0) return;
  if (gates_.needs_gate(item.only) && !fence({item.only})) {
    if ((feed & feed::content_any) != 0) missed(user, item.only);
    return;
  }

  OutProperties properties;
  if (user.has_mqtt5) {
    if (item.properties != nullptr) {
      for (const auto& [key, value] : *item.properties) properties.add_user_property(key, value);
    }
    if (item.correlation_data != nullptr) properties.add_correlation_data(*item.correlation_data);
  }
  const std::string topic = user_topic(prefix_, user.name.view(), item.suffix);
  if (publish(topic, item.payload, item.qos, properties.take())) {
    ++counters_.delivered;
  } else {
    ++counters_.out_of_memory;
  }
}

/// The broker has no memory for a gate, and without it something would go to the wrong ones.
void Outlet::missed(const User& user, SessionNo only) {
  if (only == 0) {
    for (const Session* session = user.first; session != nullptr; session = session->next_of_user) {
      sessions_.sync_again(session->no);
    }
    return;
  }
  // More of what it lacks is on its way already, and would leave a gap: it has to come back.
  if (Session* session = sessions_.find(only); session != nullptr) sessions_.doom(*session);
}

void Outlet::turn_over(std::vector<link::SyncDone> sync_done, std::vector<link::Hold> holds) {
  if (sync_done.empty() && holds.empty()) return;
  fence({0, std::move(sync_done), std::move(holds)});
}

void Outlet::error_line(Session& session, Code code, std::string_view topic,
                        std::string_view detail, MonoMillis now) {
  if (!session.error_rates().lines.take(now)) return;
  std::string line{to_string(code)};
  line.append(" ").append(topic).append(" ").append(detail);
  to_user(*session.user, {.suffix = err_rest, .payload = line, .qos = 1});
}

void Outlet::pass_fence() {
  const Gate gate = gates_.pass();
  for (const auto& done : gate.sync_done) sessions_.sync_done(done);
  for (const auto& hold : gate.holds) sessions_.hold(hold);
}

bool Outlet::lets_through(const Session& session, std::uint32_t of) const {
  if (session.life == Life::dead) {
    return session.may_resume() && (of & (feed::re_json | feed::re_pb | feed::rr | feed::err)) != 0;
  }
  // What the broker kept for a session that comes back is checked before it is live. It is not
  // thrown away: the broker of 2.0 never gives back the places of what it drops there, and a
  // session without places gets nothing any more.
  if (session.life == Life::fresh) return true;
  if (gates_.current() != 0) return gates_.current() == session.no;
  return !(session.syncing && (of & feed::content_any) != 0);
}

void Outlet::begin_tick() {
  for (const Gate& gate : gates_.take_lost()) lose(gate);
}

}  // namespace parley::plugin
