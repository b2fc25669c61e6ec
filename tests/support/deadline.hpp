// Waiting with a limit: tests wait for events, never for time to pass.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

namespace parley::test {

using Milliseconds = std::chrono::milliseconds;

/// How long a test waits for what must happen; longer where PARLEY_TEST_SLOW multiplies it.
Milliseconds patience();
/// `time`, multiplied by PARLEY_TEST_SLOW.
Milliseconds slowed(Milliseconds time);

class Deadline {
 public:
  explicit Deadline(Milliseconds time = patience())
      : at_{std::chrono::steady_clock::now() + time} {}
  [[nodiscard]] bool passed() const { return std::chrono::steady_clock::now() >= at_; }
  /// Milliseconds left for poll(2), never negative.
  [[nodiscard]] int left_ms() const;

 private:
  std::chrono::steady_clock::time_point at_;
};

/// Asks `holds` again and again until it says yes; for states that announce themselves to nobody
/// (rows in a table).
/// @throw std::runtime_error with `what` when `deadline` passes
void eventually(std::string_view what, const std::function<bool()>& holds,
                Deadline deadline = Deadline{});
/// The same without an exception. @return whether it said yes in time
bool comes_true(const std::function<bool()>& holds, Deadline deadline = Deadline{});

}  // namespace parley::test
