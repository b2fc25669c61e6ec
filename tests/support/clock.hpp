// A wall clock that can be stepped, for the processes that are started with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/process.hpp"

namespace parley::test {

/// Processes started with environment() see the wall clock shifted; their monotonic clocks are the
/// machine's. Must outlive none of them: what they have mapped stays.
class SteppedClock {
 public:
  SteppedClock();
  /// From now on, for all of them.
  void set(std::chrono::nanoseconds offset);
  void step(std::chrono::nanoseconds by) { set(offset_ + by); }
  [[nodiscard]] std::chrono::nanoseconds offset() const { return offset_; }
  /// What they see.
  [[nodiscard]] std::chrono::system_clock::time_point now() const {
    return std::chrono::system_clock::now() +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(offset_);
  }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> environment() const;

 private:
  TemporaryFolder folder_;
  std::chrono::nanoseconds offset_{0};
};

}  // namespace parley::test
