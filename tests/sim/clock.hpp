// The simulation's time. All clocks of this process show it: the product reads them as it always
// does.
#pragma once

#include <cstdint>

namespace parley::sim::clock {

/// Virtual milliseconds since the seed's start.
std::int64_t now_ms();
void advance(std::int64_t ms);
/// The wall clock alone jumps; timers do not notice.
void step_wall(std::int64_t ms);
void reset();
/// Of the machine, for measuring the simulation itself.
double real_seconds();

}  // namespace parley::sim::clock
