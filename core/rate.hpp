// How often something may happen. Pure: time is an argument.
#pragma once

#include <cstdint>

#include "core/ids.hpp"

namespace parley {

/// Allows `burst` at once and `rate_per_s` in the long run.
class TokenBucket {
 public:
  /// Starts full. A rate of 0 never fills again.
  TokenBucket(std::uint32_t rate_per_s, std::uint32_t burst);
  /// Takes one, if there is one. A clock that goes backwards adds nothing.
  bool take(MonoMillis now);

 private:
  std::int64_t rate_per_s_;
  std::int64_t full_;   // in thousandths, so that a millisecond adds a whole number
  std::int64_t level_;  // in thousandths
  MonoMillis filled_at_{INT64_MIN};
};

}  // namespace parley
