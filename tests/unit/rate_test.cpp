#include "core/rate.hpp"

#include <doctest/doctest.h>

#include <cstdint>

#include "core/backlog_pace.hpp"

namespace parley {
namespace {

/// How many of `tries` are allowed at one moment.
int taken(TokenBucket& bucket, std::int64_t now_ms, int tries) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += bucket.take(MonoMillis{now_ms}) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("rate: the burst is allowed at once, then the rate") {
  TokenBucket bucket{10, 5};
  CHECK(taken(bucket, 1000, 100) == 5);
  CHECK(taken(bucket, 1099, 100) == 0);
  CHECK(taken(bucket, 1100, 100) == 1);
  CHECK(taken(bucket, 1200, 100) == 1);
  CHECK(taken(bucket, 1500, 100) == 3);
  CHECK(taken(bucket, 100'000, 100) == 5);
}

TEST_CASE("rate: small steps of time add up to the same rate") {
  for (const std::uint32_t rate : {1U, 3U, 7U, 999U, 1000U, 1001U, 20'000U}) {
    CAPTURE(rate);
    TokenBucket bucket{rate, 50};
    REQUIRE(taken(bucket, 0, 50) == 50);
    int count = 0;
    for (std::int64_t now = 1; now <= 10'000; ++now) count += taken(bucket, now, 50);
    CHECK(count == static_cast<int>(rate) * 10);
  }
}

TEST_CASE("rate: extremes of clock, rate and burst") {
  TokenBucket none{1000, 0};
  CHECK(taken(none, 5, 10) == 0);
  CHECK(taken(none, 1'000'000, 10) == 0);
  TokenBucket once{0, 3};
  CHECK(taken(once, 5, 10) == 3);
  CHECK(taken(once, INT64_MAX, 10) == 0);
  TokenBucket backwards{10, 2};
  CHECK(taken(backwards, 10'000, 10) == 2);
  CHECK(taken(backwards, 5'000, 10) == 0);
  CHECK(taken(backwards, 10'050, 10) == 0);  // the time until 10,000 does not count twice
  CHECK(taken(backwards, 10'100, 10) == 1);
  TokenBucket largest{UINT32_MAX, UINT32_MAX};
  CHECK(taken(largest, INT64_MIN + 1, 10) == 10);
  CHECK(taken(largest, 0, 10) == 10);
  CHECK(taken(largest, INT64_MAX, 10) == 10);
}

TEST_CASE("rate: what is spent beyond what is there is waited for") {
  TokenBucket bucket{100, 10};
  bucket.spend(30);
  CHECK(bucket.level(MonoMillis{1'000}) == -20);
  CHECK(bucket.level(MonoMillis{1'100}) == -10);
  CHECK_FALSE(bucket.take(MonoMillis{1'195}));
  CHECK(bucket.level(MonoMillis{1'195}) == -1);
  CHECK(bucket.level(MonoMillis{1'210}) == 1);
  bucket.add(4);
  CHECK(bucket.level(MonoMillis{1'210}) == 5);
  bucket.add(1'000);
  CHECK(bucket.level(MonoMillis{1'210}) == 10);
}

TEST_CASE("backlog pace: so many a second, plus what is stored meanwhile") {
  BacklogPace pace{10, 40};
  CHECK(pace.room(MonoMillis{0}) == 40);
  pace.sent(40);
  CHECK(pace.room(MonoMillis{0}) == 0);
  // Five live ones a second: it goes out at fifteen, and comes nearer to the present by ten.
  std::int64_t sent = 0;
  for (std::int64_t second = 1; second <= 100; ++second) {
    pace.stored(5);
    const auto room = pace.room(MonoMillis{second * 1'000});
    sent += room;
    pace.sent(static_cast<std::uint32_t>(room));
  }
  CHECK(sent == 1'500);
}

}  // namespace parley
