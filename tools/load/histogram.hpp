// How long things took: counts in buckets that are at most 1.6 % wide, so that any number of values
// needs the same room.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace parley::load {

class Histogram {
 public:
  /// @param value  any unit; what is negative counts as 0, what is above 2^42 as that
  void add(std::int64_t value);
  /// Adds everything that another one counted.
  void add(const Histogram& other);
  void clear() { *this = Histogram{}; }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::int64_t max() const { return max_; }
  /// A value that so many of all values do not exceed: the upper end of its bucket, at most
  /// `max()`. 0 if there are none.
  /// @param share  0 … 1; 0.5 is the median
  [[nodiscard]] std::int64_t quantile(double share) const;

 private:
  static constexpr unsigned exact_bits = 6;  // 64 buckets for each power of two
  static constexpr unsigned value_bits = 42;
  static constexpr std::size_t per_power = std::size_t{1} << exact_bits;
  static std::size_t bucket_of(std::uint64_t value);
  static std::int64_t upper_end(std::size_t bucket);

  std::array<std::uint64_t, (value_bits - exact_bits + 2) * per_power> buckets_{};
  std::uint64_t count_ = 0;
  std::int64_t max_ = 0;
};

}  // namespace parley::load
