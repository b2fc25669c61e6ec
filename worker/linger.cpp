#include "worker/linger.hpp"

namespace parley {
namespace {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr Linger::Duration linger_for = 4ms;
constexpr Linger::Duration window = 20ms;
constexpr Linger::Duration trial = 200ms;  // in which it shows whether it helps
constexpr Linger::Duration try_again_after = 5s;
// Records expected meanwhile: to begin with it, and to go on.
constexpr double worth_it = 12;
constexpr double still_worth_it = 8;
constexpr double overlapping_least = 0.5;  // of the times that something came
constexpr double rate_least = 0.6;         // of what it was before

}  // namespace

void Linger::came(Time now, std::size_t records, bool under_way) {
  if (records == 0) return;
  came_at_ = now;
  records_ += records;
  ++times_;
  if (under_way) ++overlapping_;
  if (now - window_at_ >= window) judge(now);
}

void Linger::judge(Time now) {
  const double per_ms = static_cast<double>(records_) / Milliseconds{now - window_at_}.count();
  const double expected = per_ms * Milliseconds{linger_for}.count();
  if (wait_ == Duration::zero()) {
    const bool overlaps =
        static_cast<double>(overlapping_) >= overlapping_least * static_cast<double>(times_);
    if (expected >= worth_it && overlaps && now >= not_before_) {
      wait_ = linger_for;
      since_ = now;
      before_ = per_ms;
    }
  } else if (expected < still_worth_it || (now - since_ < trial && per_ms < rate_least * before_)) {
    end(now);
  }
  window_at_ = now;
  records_ = times_ = overlapping_ = 0;
}

bool Linger::is_over(Time now) {
  if (wait_ == Duration::zero() || now - came_at_ < 2 * linger_for) return false;
  end(now);
  return true;
}

void Linger::end(Time now) {
  wait_ = Duration::zero();
  // So soon: they wait for answers to what waits in the plugin.
  if (now - since_ < trial) not_before_ = now + try_again_after;
}

}  // namespace parley
