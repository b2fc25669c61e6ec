// Who is online: who holds an inbox subscription, or did so a moment ago (docs/protocol.md,
// "Presence"). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ids.hpp"

namespace parley {

class Presence {
 public:
  struct Change {
    std::string user;
    UserId user_id;
    bool online = false;
    UnixMillis last_seen;  // of who is not online: when he was last
  };
  /// @param grace_ms  whoever comes back within it was never away
  explicit Presence(std::int64_t grace_ms) : grace_ms_{grace_ms} {}

  /// A user holds an inbox subscription, or none any more.
  void set(const std::string& user, UserId user_id, bool here, const Now& now);
  /// Nobody is known to be here until he is set again. Within the grace nobody notices.
  void all_gone(const Now& now);
  /// What has changed since the last call, for everybody else to see.
  std::vector<Change> changes(const Now& now);

  [[nodiscard]] bool is_online(std::string_view user) const;
  [[nodiscard]] std::size_t known() const { return users_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct User {
    UserId user_id;
    bool here = false;
    std::uint64_t left_no = 0;  // counts partings: an entry of leaving_ for an earlier one is void
    UnixMillis left_at;
  };
  struct Leaving {
    MonoMillis at;
    std::string user;
    std::uint64_t left_no;
  };
  void leave(const std::string& name, User& user, const Now& now);

  const std::int64_t grace_ms_;
  std::unordered_map<std::string, User, Hash, std::equal_to<>> users_;  // who is online
  std::deque<Leaving> leaving_;
  std::vector<Change> changes_;
  std::uint64_t partings_ = 0;
};

}  // namespace parley
