#include "core/presence.hpp"

#include <utility>

namespace parley {

void Presence::set(const std::string& user, UserId user_id, bool here, const Now& now) {
  const auto known = users_.find(user);
  if (known == users_.end()) {
    if (!here) return;
    users_[user] = {user_id, true, 0, {}};
    changes_.push_back({user, user_id, true, {}});
  } else if (here) {
    known->second.here = true;
    known->second.left_no = 0;
  } else if (known->second.here) {
    leave(user, known->second, now);
  }
}

void Presence::leave(const std::string& name, User& user, const Now& now) {
  user.here = false;
  user.left_no = ++partings_;
  user.left_at = now.wall;
  leaving_.push_back({{now.mono.value + grace_ms_}, name, user.left_no});
}

void Presence::all_gone(const Now& now) {
  for (auto& [name, user] : users_) {
    if (user.here) leave(name, user, now);
  }
}

std::vector<Presence::Change> Presence::changes(const Now& now) {
  while (!leaving_.empty() && leaving_.front().at <= now.mono) {
    const auto leaving = std::move(leaving_.front());
    leaving_.pop_front();
    const auto user = users_.find(leaving.user);
    if (user == users_.end() || user->second.left_no != leaving.left_no) continue;
    changes_.push_back({leaving.user, user->second.user_id, false, user->second.left_at});
    users_.erase(user);
  }
  return std::exchange(changes_, {});
}

bool Presence::is_online(std::string_view user) const { return users_.find(user) != users_.end(); }

}  // namespace parley
