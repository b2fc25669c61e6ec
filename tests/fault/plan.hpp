// Which faults happen when: drawn from the seed alone, so that a run can be repeated. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace parley::fault {

/// What the plan has to know of a kind.
struct Choice {
  std::string name;
  int part = 0;  // two faults of one round have different ones
  bool pairs = true;
};

struct PlannedRound {
  int number = 0;
  std::vector<std::string> kinds;  // one or two
  int before_ms = 0;               // traffic until the first one strikes
  int between_ms = 0;              // until the second one does
  int hold_ms = 0;                 // until the first one is healed
  int after_ms = 0;                // traffic after everything is healed
  std::uint64_t seed = 0;          // of what happens within the round
};

/// Each kind comes about equally often; about a third of the rounds have a pair.
/// @param round_ms  how long the traffic of a round lasts
std::vector<PlannedRound> make_plan(const std::vector<Choice>& choices, int rounds,
                                    std::uint64_t seed, int round_ms);

std::string describe(const PlannedRound& round);

}  // namespace parley::fault
