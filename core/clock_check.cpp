#include "core/clock_check.hpp"

#include <algorithm>
#include <cstdlib>

namespace parley {
namespace {

constexpr std::int64_t day_ms = 86'400'000;

}  // namespace

void ClockCheck::newest(UnixMillis stored_at) { newest_ = std::max(newest_, stored_at); }

bool ClockCheck::is_off(UnixMillis database, UnixMillis own) const {
  return database.value < newest_.value - day_ms || std::abs(database.value - own.value) > day_ms;
}

}  // namespace parley
