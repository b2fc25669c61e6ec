#include "worker/lanes.hpp"

#include <doctest/doctest.h>

using parley::repeat_probe_from;
using parley::UnixMillis;

namespace {
constexpr std::int64_t day = 86'400'000;
constexpr std::int64_t november = 20'393 * day;  // 2025-11-01T00:00:00Z
constexpr std::int64_t october = november - 31 * day;
}  // namespace

TEST_CASE("lanes: repeats are looked for from the beginning of a month, eight days back at least") {
  const auto from = [](std::int64_t now) { return repeat_probe_from({now}, {now}).value; };
  CHECK(from(november + 20 * day + 5) == november);
  CHECK(from(november + 8 * day) == november);
  CHECK(from(november + 8 * day - 1) == october);
  CHECK(from(november) == october);
}

TEST_CASE("lanes: what was received long ago is looked for where it may have been stored") {
  const auto from = [](std::int64_t received) {
    return repeat_probe_from({november + 20 * day}, {received}).value;
  };
  CHECK(from(november + 2 * day) == november);
  CHECK(from(november + day - 1) == october);
  CHECK(from(october) == october - 30 * day);
}
