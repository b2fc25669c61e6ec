#include "worker/presence_events.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "core/json_writer.hpp"
#include "core/wire.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"
#include "worker/statements_state.hpp"

namespace parley {
namespace {

constexpr std::string_view statement_timed_out = "57014";
constexpr std::size_t waiting_max = 1'000'000;  // beyond: not told

std::string event_of(const Presence::Change& change) {
  std::string out;
  JsonWriter json{out};
  json.open_object().key("presence").open_object();
  json.key("user").value(change.user);
  json.key("online").flag(change.online);
  if (!change.online) json.key("last_seen").value(format_time(change.last_seen));
  json.close_object().close_object();
  return out;
}

}  // namespace

void PresenceEvents::add(const std::vector<Presence::Change>& changes) {
  for (const auto& change : changes) {
    if (waiting_.size() >= waiting_max && !waiting_.contains(change.user_id)) continue;
    waiting_[change.user_id] = change;
  }
  tell();
}

void PresenceEvents::tell() {
  if (busy_ || waiting_.empty() || !database_.ready()) return;
  Changes changes;
  std::vector<UserId> users;
  while (!waiting_.empty() && changes.size() < at_once_) {
    users.push_back(waiting_.begin()->first);
    changes.insert(waiting_.extract(waiting_.begin()));
  }
  busy_ = true;
  database_.submit({sql::presence_audience(users)},
                   [this, changes = std::move(changes)](auto result) mutable {
                     busy_ = false;
                     if (result) {
                       told(changes, result->at(0));
                       at_once_ = std::min(at_once_ * 2, at_once_max);
                       tell();
                     } else {
                       failed(changes, result.error());
                     }
                     turn_();
                   });
}

/// Too many at once; or one of them is too much alone: then the others come through without him.
void PresenceEvents::failed(Changes& changes, const PgFault& fault) {
  log::warn("event=presence_events_failed users={} sqlstate={} err={}", changes.size(),
            fault.sqlstate, log::quoted(fault.what));
  if (fault.sqlstate == statement_timed_out) {
    if (changes.size() == 1) return;
    at_once_ = std::max<std::size_t>(1, changes.size() / 4);
  }
  waiting_.merge(changes);  // what has changed since stays as it is
}

void PresenceEvents::told(const Changes& changes, const PgRows& rows) {
  std::map<UserId, std::vector<std::string>> audiences;
  for (auto& watcher : sql::watchers_of(rows)) {
    audiences[watcher.of].push_back(std::move(watcher.name));
  }
  for (const auto& [user, audience] : audiences) {
    const auto& change = changes.at(user);
    publisher_.event_to_all(audience, {"", 0, wall_now(), event_of(change)},
                            "presence " + std::to_string(user.value));
  }
}

}  // namespace parley
