// Which of the numbers 1, 2, 3 … have come: what is missing, what came twice, what came too late.
// Exact.
#pragma once

#include <cstdint>
#include <set>

namespace parley::load {

/// What went wrong; all 0 if nothing did.
struct Counters {
  std::uint64_t lost = 0;          // never came
  std::uint64_t duplicates = 0;    // came again on the same connection
  std::uint64_t out_of_order = 0;  // came after a later one
  std::uint64_t refused = 0;       // answered with a refusal
  std::uint64_t repeated = 0;  // came again after a reconnect: at least once, so this is no fault
  [[nodiscard]] bool good() const {
    return lost == 0 && duplicates == 0 && out_of_order == 0 && refused == 0;
  }
  Counters& operator+=(const Counters& other);
  bool operator==(const Counters&) const = default;
};

/// One stream of numbers, as one client sees it.
class Tally {
 public:
  /// @return whether it came for the first time
  bool arrived(std::uint32_t number);
  /// The client has connected anew: earlier numbers may come again, in order.
  void restart() { last_ = 0; }
  /// How many different ones have come.
  [[nodiscard]] std::uint64_t received() const { return next_ - 1 - missing_.size(); }
  /// @param sent  1 … sent should have come
  [[nodiscard]] Counters counters(std::uint32_t sent) const;

 private:
  std::uint32_t next_ = 1;           // the first that has neither come nor been overtaken
  std::uint32_t last_ = 0;           // on this connection
  std::set<std::uint32_t> missing_;  // overtaken ones: empty as long as all is well
  std::uint32_t duplicates_ = 0;
  std::uint32_t out_of_order_ = 0;
  std::uint32_t repeated_ = 0;
};

}  // namespace parley::load
