#include "tools/load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace parley::load {

// Below 64 every value has a bucket of its own; from there on the leading bit and the six after it
// choose one.
std::size_t Histogram::bucket_of(std::uint64_t value) {
  if (value < per_power) return value;
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - exact_bits;
  return (shift + 1) * per_power + ((value >> shift) - per_power);
}

std::int64_t Histogram::upper_end(std::size_t bucket) {
  if (bucket < per_power) return static_cast<std::int64_t>(bucket);
  const std::size_t shift = bucket / per_power - 1;
  const std::uint64_t begin = (per_power + bucket % per_power) << shift;
  return static_cast<std::int64_t>(begin + (std::uint64_t{1} << shift) - 1);
}

void Histogram::add(std::int64_t value) {
  constexpr std::int64_t most = std::int64_t{1} << value_bits;
  value = std::clamp<std::int64_t>(value, 0, most);
  ++buckets_[bucket_of(static_cast<std::uint64_t>(value))];
  ++count_;
  max_ = std::max(max_, value);
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::int64_t Histogram::quantile(double share) const {
  if (count_ == 0) return 0;
  const auto wanted = std::clamp<std::uint64_t>(
      static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(upper_end(i), max_);
  }
  return max_;
}

}  // namespace parley::load
