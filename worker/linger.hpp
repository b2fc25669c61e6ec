// Whether a lane that could send waits for more: below some thousand messages per second each would
// be a transaction of its own, and cost PostgreSQL, worker and broker several times as much. Pure.
#pragma once

#include <chrono>
#include <cstddef>

namespace parley {

class Linger {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  /// A message came. @param busy  while a batch was on its way
  void arrived(bool busy);
  /// A batch begins.
  void started(Time now);
  /// How long to wait before a batch of `waiting` messages begins; zero: not at all. Somebody who
  /// waits for his answer before he goes on is not kept waiting: then nothing comes while a batch
  /// is on its way.
  [[nodiscard]] Duration wait(Time now, std::size_t waiting) const;

 private:
  Time last_{};
  int arrived_ = 0;         // since then
  int while_busy_ = 0;      // of those
  double per_ms_ = 0;       // of late
  double overlapping_ = 0;  // batches during which something came, of late; 0 … 1
};

}  // namespace parley
