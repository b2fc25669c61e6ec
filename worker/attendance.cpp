#include "worker/attendance.hpp"

#include <algorithm>
#include <vector>

#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"
#include "worker/statements_requests.hpp"

namespace parley {

void Attendance::changed(const std::string& user, UserId user_id) {
  presence_.set(user, user_id, (sessions_.feeds_of(user) & feed::inbox_any) != 0, now());
}

void Attendance::left(UserId user_id, const std::string& device) {
  if (!device.empty()) seen_[{user_id, device}] = wall_now();
}

void Attendance::lost_sight() { presence_.all_gone(now()); }

bool Attendance::is_online(std::string_view user, std::string_view device) const {
  const auto& all = sessions_.of(user);
  return std::any_of(all.begin(), all.end(), [&](SessionNo session_no) {
    const auto* session = sessions_.find(session_no);
    return session->device == device && (session->feeds & feed::inbox_any) != 0;
  });
}

void Attendance::write() {
  for (const auto& change : presence_.changes(now())) {
    if (!change.online) seen_[{change.user_id, ""}] = change.last_seen;
  }
  if (writing_ || seen_.empty() || !database_.ready() || database_.waiting() > 10) return;
  std::vector<sql::LastSeen> seen;
  for (const auto& [who, time] : seen_) seen.push_back({who.first, who.second, time});
  writing_ = true;
  database_.submit(sql::set_last_seen(seen), [this, seen](const auto& result) {
    writing_ = false;
    if (!result) {
      log::warn("event=last_seen_failed err={}", log::quoted(result.error().what));
      return;  // kept: with the next ones
    }
    for (const auto& one : seen) {
      const auto known = seen_.find({one.user, one.device});
      if (known != seen_.end() && known->second == one.time) seen_.erase(known);
    }
  });
}

}  // namespace parley
