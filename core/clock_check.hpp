// Whether the clocks are good enough to store messages by. Pure.
#pragma once

#include "core/ids.hpp"

namespace parley {

/// A day off and messages would land in the wrong month, and behind those that come once the clock
/// is right again.
class ClockCheck {
 public:
  /// The newest message was stored at this time; 0 if there is none. Only ever raises what is
  /// known.
  void newest(UnixMillis stored_at);
  /// @param database  the clock that messages are stored by; @param own  ours at the same moment
  /// @return whether they are more than a day apart, or the database's is more than a day behind
  ///         the newest message
  [[nodiscard]] bool is_off(UnixMillis database, UnixMillis own) const;

 private:
  UnixMillis newest_;
};

}  // namespace parley
