#include "worker/linger.hpp"

#include <algorithm>

namespace parley {
namespace {

using namespace std::chrono_literals;

constexpr Linger::Duration linger_for = 2ms;
constexpr Linger::Duration idle_after = 5ms;
constexpr std::size_t enough = 64;  // messages make a good batch
constexpr double worth_it = 4;      // expected meanwhile
constexpr double overlap_least = 0.3;
constexpr double of_new = 0.2;

double blend(double before, double now) { return before + of_new * (now - before); }

}  // namespace

void Linger::arrived(bool busy) {
  ++arrived_;
  if (busy) ++while_busy_;
}

void Linger::started(Time now) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const double ms = std::max(0.01, Milliseconds{now - last_}.count());
  per_ms_ = blend(per_ms_, arrived_ / ms);
  overlapping_ = blend(overlapping_, while_busy_ > 0 ? 1 : 0);
  last_ = now;
  arrived_ = while_busy_ = 0;
}

Linger::Duration Linger::wait(Time now, std::size_t waiting) const {
  constexpr double linger_ms = std::chrono::duration<double, std::milli>{linger_for}.count();
  const bool quiet = now - last_ > idle_after || overlapping_ < overlap_least;
  if (waiting >= enough || quiet || per_ms_ * linger_ms < worth_it) return Duration::zero();
  return linger_for;
}

}  // namespace parley
