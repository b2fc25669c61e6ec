// Whether records wait in the plugin for others before they come: below some ten thousand messages
// per second each few would be frames and a transaction of their own, and cost broker, worker and
// PostgreSQL several times as much (docs/adr/0011). Pure.
#pragma once

#include <chrono>
#include <cstddef>

namespace parley {

class Linger {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  /// So many records came together. @param under_way  while earlier ones were being stored
  void came(Time now, std::size_t records, bool under_way);
  /// The plugin may be waiting although nothing more comes: if that is so, it is to wait no more.
  /// @return whether it is
  bool is_over(Time now);
  /// How long a record may wait. Those who wait for answers before they go on are not kept waiting:
  /// then less comes than before.
  [[nodiscard]] Duration wait() const { return wait_; }

 private:
  void judge(Time now);
  void end(Time now);

  Duration wait_{};
  Time came_at_{};
  Time since_{};       // it began
  double before_ = 0;  // records per ms, when it did
  Time not_before_{};  // it did not help of late
  // Since window_at_:
  Time window_at_{};
  std::size_t records_ = 0;
  std::size_t times_ = 0;
  std::size_t overlapping_ = 0;  // of those: came while something was under way
};

}  // namespace parley
