#include "worker/attendance.hpp"

#include <algorithm>
#include <vector>

#include "core/auto_got.hpp"
#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"
#include "worker/statements_requests.hpp"

namespace parley {

void Attendance::changed(const std::string& user, UserId user_id) {
  presence_.set(user, user_id, (sessions_.feeds_of(user) & feed::inbox_any) != 0, now());
}

void Attendance::left(UserId user_id, const std::string& device, std::uint32_t keep_alive_s,
                      bool told_all) {
  if (device.empty() && !told_all) return;
  auto& seen = seen_[{user_id, device}];
  const auto now = wall_now();
  if (!device.empty()) seen.time = now;
  if (!told_all) return;
  // It may have been dead for that long: the broker notices no sooner.
  const UnixMillis told_until{now.value - got_after_ms(keep_alive_s)};
  seen.told_until = std::max(seen.told_until.value_or(told_until), told_until);
}

void Attendance::lost_sight() { presence_.all_gone(now()); }

bool Attendance::is_online(std::string_view user, std::string_view device) const {
  const auto& all = sessions_.of(user);
  return std::any_of(all.begin(), all.end(), [&](SessionNo session_no) {
    const auto* session = sessions_.find(session_no);
    return session->device == device && (session->feeds & feed::inbox_any) != 0;
  });
}

UnixMillis Attendance::unwritten(UserId user) const {
  const auto found = seen_.find({user, ""});
  return found == seen_.end() ? UnixMillis{} : found->second.time.value_or(UnixMillis{});
}

void Attendance::write() {
  std::vector<Presence::Change> came;
  for (auto& change : presence_.changes(now())) {
    if (change.online) {
      gone_.erase(change.user);
      came.push_back(std::move(change));
    } else {
      seen_[{change.user_id, ""}].time = change.last_seen;
      gone_[change.user] = std::move(change);
    }
  }
  if (!came.empty()) told_(came);
  if (writing_ || seen_.empty() || !database_.ready() || database_.waiting() > 10) return;
  std::vector<sql::LastSeen> seen;
  for (const auto& [who, when] : seen_) {
    seen.push_back({who.first, who.second, when.time, when.told_until});
  }
  writing_ = true;
  auto gone = std::exchange(gone_, {});
  database_.submit(sql::set_last_seen(seen), [this, seen, gone](const auto& result) mutable {
    writing_ = false;
    if (!result) {
      log::warn("event=last_seen_failed err={}", log::quoted(result.error().what));
      gone_.merge(gone);  // kept: with the next ones
      return;
    }
    std::vector<Presence::Change> left;
    for (auto& [user, change] : gone) {
      if (!is_online(user)) left.push_back(std::move(change));
    }
    if (!left.empty()) told_(left);
    for (const auto& one : seen) {
      const auto known = seen_.find({one.user, one.device});
      if (known != seen_.end() && known->second == Seen{one.time, one.told_until})
        seen_.erase(known);
    }
  });
}

}  // namespace parley
