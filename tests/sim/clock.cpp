#include "tests/sim/clock.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace parley::sim::clock {
namespace {

constexpr std::int64_t wall_base_ms = 1'790'000'000'000;
constexpr std::int64_t mono_base_ms = 1'000'000;

std::int64_t elapsed_ms = 0;
std::int64_t wall_offset_ms = 0;

timespec to_timespec(std::int64_t ms) {
  return {static_cast<time_t>(ms / 1'000), static_cast<long>(ms % 1'000) * 1'000'000};
}

}  // namespace

std::int64_t now_ms() { return elapsed_ms; }
void advance(std::int64_t ms) { elapsed_ms += ms; }
void step_wall(std::int64_t ms) { wall_offset_ms += ms; }
void reset() { elapsed_ms = wall_offset_ms = 0; }

double real_seconds() {
  timespec time{};
  ::syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace parley::sim::clock

// These stand in front of the C library's for the whole process, its libraries included.
extern "C" {

__attribute__((visibility("default"))) int clock_gettime(clockid_t which, timespec* time) noexcept {
  namespace clock = parley::sim::clock;
  if (which == CLOCK_REALTIME) {
    *time = clock::to_timespec(clock::wall_base_ms + clock::elapsed_ms + clock::wall_offset_ms);
  } else {
    *time = clock::to_timespec(clock::mono_base_ms + clock::elapsed_ms);
  }
  return 0;
}

/// Asio then looks at the clock for its timers instead of asking the kernel to wake it.
__attribute__((visibility("default"))) int timerfd_create(int, int) noexcept {
  errno = ENOSYS;
  return -1;
}

}  // extern "C"
