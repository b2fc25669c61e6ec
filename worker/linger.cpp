#include "worker/linger.hpp"

namespace parley {
namespace {

using namespace std::chrono_literals;

constexpr Linger::Duration linger_for = 4ms;
constexpr Linger::Duration window = 20ms;
constexpr Linger::Duration try_again_after = 5s;
// Records expected meanwhile: to begin with it, and to go on.
constexpr double worth_it = 12;
constexpr double still_worth_it = 8;
constexpr double overlapping_least = 0.5;  // of the times that something came

}  // namespace

void Linger::came(Time now, std::size_t records, bool under_way) {
  if (records == 0) return;
  came_at_ = now;
  records_ += records;
  ++times_;
  // What has waited may have come to the plugin while something was under way.
  if (under_way || finished_at_ + wait_ > now) ++overlapping_;
  if (now - window_at_ >= window) judge(now);
}

void Linger::judge(Time now) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const double expected =
      static_cast<double>(records_) * (Milliseconds{linger_for} / Milliseconds{now - window_at_});
  const bool overlaps =
      static_cast<double>(overlapping_) >= overlapping_least * static_cast<double>(times_);
  const bool many = expected >= (wait_ > Duration::zero() ? still_worth_it : worth_it);
  if (wait_ > Duration::zero() && !overlaps) not_before_ = now + try_again_after;
  wait_ = many && overlaps && now >= not_before_ ? linger_for : Duration::zero();
  window_at_ = now;
  records_ = times_ = overlapping_ = 0;
}

bool Linger::is_over(Time now) {
  if (wait_ == Duration::zero() || now - came_at_ < 2 * linger_for) return false;
  wait_ = Duration::zero();
  return true;
}

}  // namespace parley
