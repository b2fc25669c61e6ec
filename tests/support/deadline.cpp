#include "tests/support/deadline.hpp"

#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace parley::test {

namespace {

constexpr Milliseconds usual_patience{10'000};
constexpr int asking_interval_ms = 5;

double slowness() {
  static const double factor = [] {
    const char* text = std::getenv("PARLEY_TEST_SLOW");
    return text == nullptr ? 1.0 : std::max(1.0, std::atof(text));
  }();
  return factor;
}

}  // namespace

Milliseconds slowed(Milliseconds time) {
  return std::chrono::duration_cast<Milliseconds>(time * slowness());
}

Milliseconds patience() { return slowed(usual_patience); }

int Deadline::left_ms() const {
  const auto left =
      std::chrono::duration_cast<Milliseconds>(at_ - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(0, left.count()));
}

bool comes_true(const std::function<bool()>& holds, Deadline deadline) {
  while (!holds()) {
    if (deadline.passed()) return false;
    ::poll(nullptr, 0, asking_interval_ms);
  }
  return true;
}

void eventually(std::string_view what, const std::function<bool()>& holds, Deadline deadline) {
  if (!comes_true(holds, deadline)) {
    throw std::runtime_error("waited in vain: " + std::string(what));
  }
}

}  // namespace parley::test
