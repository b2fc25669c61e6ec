#include "worker/loop.hpp"

#include <chrono>

namespace parley {

UnixMillis wall_now() {
  using namespace std::chrono;
  return UnixMillis{duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

MonoMillis mono_now() {
  using namespace std::chrono;
  return MonoMillis{duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count()};
}

std::chrono::steady_clock::time_point steady_now() { return std::chrono::steady_clock::now(); }

}  // namespace parley
