#include "tools/load/tally.hpp"

namespace parley::load {

Counters& Counters::operator+=(const Counters& other) {
  lost += other.lost;
  duplicates += other.duplicates;
  out_of_order += other.out_of_order;
  refused += other.refused;
  repeated += other.repeated;
  return *this;
}

bool Tally::arrived(std::uint32_t number) {
  const bool known = number < next_ && missing_.erase(number) == 0;
  if (number > last_) {
    if (known) ++repeated_;
    last_ = number;
  } else if (known) {
    ++duplicates_;
  } else {
    ++out_of_order_;
  }
  if (number >= next_) {
    for (; next_ < number; ++next_) missing_.insert(missing_.end(), next_);
    next_ = number + 1;
  }
  return !known;
}

Counters Tally::counters(std::uint32_t sent) const {
  Counters counted;
  counted.lost = missing_.size() + (next_ <= sent ? sent - next_ + 1 : 0);
  counted.duplicates = duplicates_;
  counted.out_of_order = out_of_order_;
  counted.repeated = repeated_;
  return counted;
}

}  // namespace parley::load
