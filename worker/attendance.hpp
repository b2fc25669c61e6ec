// Who is there: from the sessions that the plugin tells of, and when who is not there was last
// (docs/protocol.md, "Presence"). Written a few times a minute at most, never per event.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/presence.hpp"
#include "core/sessions.hpp"
#include "worker/pg_link.hpp"

namespace parley {

class Attendance {
 public:
  using Told = std::function<void(const std::vector<Presence::Change>&)>;
  /// @param told  called with those who have come, and with those who are gone once it is written
  ///              when they were last there
  Attendance(PgLink& database, const Sessions& sessions, std::int64_t grace_ms, Told told)
      : database_{database}, sessions_{sessions}, presence_{grace_ms}, told_{std::move(told)} {}

  /// A session of this user has come, changed or gone.
  void changed(const std::string& user, UserId user_id);
  /// A session with an inbox is gone.
  /// @param device    empty: not a named device
  /// @param told_all  it had been told what it had missed before; else it is to be told that again
  void left(UserId user_id, const std::string& device, std::uint32_t keep_alive_s, bool told_all);
  /// The sessions are not known for a while.
  void lost_sight();
  /// Writes down what is to be remembered. Call it every second.
  void write();

  [[nodiscard]] bool is_online(std::string_view user) const { return presence_.is_online(user); }
  /// Whether a session of this device holds an inbox.
  [[nodiscard]] bool is_online(std::string_view user, std::string_view device) const;
  /// When the user was last there, if the database need not know yet; else 0.
  [[nodiscard]] UnixMillis unwritten(UserId user) const;

 private:
  PgLink& database_;
  const Sessions& sessions_;
  Presence presence_;
  const Told told_;
  struct Seen {
    std::optional<UnixMillis> time;
    std::optional<UnixMillis> told_until;
    bool operator==(const Seen&) const = default;
  };
  std::map<std::pair<UserId, std::string>, Seen> seen_;  // not written yet; device "": the user
  std::map<std::string, Presence::Change> gone_;         // of them those that nobody was told yet
  bool writing_ = false;
};

}  // namespace parley
