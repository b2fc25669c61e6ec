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
  /// How many there are, rounded down; negative in debt.
  std::int64_t level(MonoMillis now);
  /// Takes so many whether they are there or not: the debt is waited for afterwards.
  void spend(std::uint32_t count) { level_ -= std::int64_t{count} * 1000; }
  /// Gives so many more, never above the burst in sum.
  void add(std::uint32_t count);

 private:
  void fill(MonoMillis now);

  std::int64_t rate_per_s_;
  std::int64_t full_;   // in thousandths, so that a millisecond adds a whole number
  std::int64_t level_;  // in thousandths
  MonoMillis filled_at_{INT64_MIN};
};

}  // namespace parley
