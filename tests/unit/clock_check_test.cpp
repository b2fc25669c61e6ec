#include "core/clock_check.hpp"

#include <doctest/doctest.h>

using namespace parley;

namespace {

constexpr std::int64_t hour_ms = 3'600'000;
constexpr std::int64_t now_ms = 1'790'000'000'000;

bool off(ClockCheck& check, std::int64_t database_hours, std::int64_t own_hours) {
  return check.is_off(UnixMillis{now_ms + database_hours * hour_ms},
                      UnixMillis{now_ms + own_hours * hour_ms});
}

}  // namespace

TEST_CASE("clock_check: an hour is nothing, more than a day between the two is") {
  ClockCheck check;
  CHECK_FALSE(off(check, 0, 0));
  CHECK_FALSE(off(check, -1, 0));
  CHECK_FALSE(off(check, 1, -1));
  CHECK_FALSE(off(check, 0, 24));
  CHECK(off(check, 0, 25));
  CHECK(off(check, 25, 0));
}

TEST_CASE("clock_check: more than a day behind the newest message") {
  ClockCheck check;
  check.newest(UnixMillis{now_ms});
  CHECK_FALSE(off(check, -24, -24));
  CHECK(off(check, -25, -25));
  CHECK_FALSE(off(check, 0, 0));  // right again
}

TEST_CASE("clock_check: a jump of both clocks, and back, counts only if something was stored") {
  ClockCheck check;
  CHECK_FALSE(off(check, 720, 720));
  CHECK_FALSE(off(check, 0, 0));
  check.newest(UnixMillis{now_ms + 720 * hour_ms});
  CHECK(off(check, 0, 0));
}
