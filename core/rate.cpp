#include "core/rate.hpp"

#include <algorithm>

namespace parley {

constexpr std::int64_t one = 1000;  // thousandths

TokenBucket::TokenBucket(std::uint32_t rate_per_s, std::uint32_t burst)
    : rate_per_s_{rate_per_s}, full_{burst * one}, level_{full_} {}

void TokenBucket::fill(MonoMillis now) {
  if (level_ == full_ || filled_at_.value == INT64_MIN) {
    // Nothing to fill; or the very first time, with nothing to count from.
    filled_at_ = std::max(filled_at_, now);
  } else if (now > filled_at_ && rate_per_s_ > 0) {
    const std::int64_t full_after_ms = (full_ - level_) / rate_per_s_ + 1;
    const std::int64_t elapsed_ms = std::min(now.value - filled_at_.value, full_after_ms);
    level_ = std::min(full_, level_ + elapsed_ms * rate_per_s_);
    filled_at_ = now;
  }
}

bool TokenBucket::take(MonoMillis now) {
  fill(now);
  if (level_ < one) return false;
  level_ -= one;
  return true;
}

std::int64_t TokenBucket::level(MonoMillis now) {
  fill(now);
  // Towards the smaller number, also below 0.
  return level_ >= 0 ? level_ / one : -((-level_ + one - 1) / one);
}

void TokenBucket::add(std::uint32_t count) { level_ = std::min(full_, level_ + count * one); }

}  // namespace parley
