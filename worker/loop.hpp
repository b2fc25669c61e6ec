// The two clocks: the only place (with main.cpp) that reads them.
#pragma once

#include "core/ids.hpp"

namespace parley {

UnixMillis wall_now();
MonoMillis mono_now();
inline Now now() { return {wall_now(), mono_now()}; }

}  // namespace parley
