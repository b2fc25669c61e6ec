// Chance from a seed: the same on every machine, as only the generator is the library's.
#pragma once

#include <cstdint>
#include <random>

namespace parley::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : generator_{seed * 2 + 1} {}

  std::uint64_t next() { return generator_(); }
  /// 0 … n - 1; 0 if n is 0.
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }
  /// low … high
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool percent(std::uint64_t chance) { return next() % 100 < chance; }
  bool permille(std::uint64_t chance) { return next() % 1000 < chance; }

 private:
  std::mt19937_64 generator_;
};

}  // namespace parley::sim
