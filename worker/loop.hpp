// The clocks: the only place (with main.cpp) that reads them.
#pragma once

#include <chrono>

#include "core/ids.hpp"

namespace parley {

UnixMillis wall_now();
MonoMillis mono_now();
/// For what is shorter than a few milliseconds.
std::chrono::steady_clock::time_point steady_now();
inline Now now() { return {wall_now(), mono_now()}; }

}  // namespace parley
