#include "core/auto_got.hpp"

#include <doctest/doctest.h>

using namespace parley;

namespace {
constexpr ConversationId ops{7};
}

TEST_CASE("auto_got: 1.5 keep-alives, 90 s without one") {
  CHECK(got_after_ms(60) == 90'000);
  CHECK(got_after_ms(10) == 15'000);
  CHECK(got_after_ms(0) == 90'000);
}

TEST_CASE("auto_got: a message counts once its session stayed up long enough, and once only") {
  AutoGot got;
  got.follow(1, UserId{2}, "phone", 15'000, false);
  got.published(1, ops, 3, MonoMillis{0});
  got.published(1, ops, 4, MonoMillis{500});
  CHECK(got.due(MonoMillis{15'000}).empty());
  const auto due = got.due(MonoMillis{16'000});
  REQUIRE(due.size() == 1);
  CHECK(due[0].seq == 4);
  CHECK(due[0].device == "phone");
  CHECK(due[0].user == UserId{2});
  CHECK(got.due(MonoMillis{99'000}).empty());
}

TEST_CASE("auto_got: what a session had not held long enough when it ended does not count") {
  AutoGot got;
  got.follow(1, UserId{2}, "phone", 15'000, false);
  got.published(1, ops, 3, MonoMillis{0});
  got.drop(1);
  CHECK(got.due(MonoMillis{99'000}).empty());
}

TEST_CASE("auto_got: time that does not count") {
  AutoGot got;
  got.follow(1, UserId{2}, "phone", 15'000, false);
  got.published(1, ops, 3, MonoMillis{0});
  got.postpone(10'000);
  CHECK(got.due(MonoMillis{20'000}).empty());
  CHECK(got.due(MonoMillis{26'000}).size() == 1);
}

TEST_CASE("auto_got: sessions that are not followed leave nothing behind") {
  AutoGot got;
  got.published(1, ops, 3, MonoMillis{0});
  CHECK_FALSE(got.follows(1));
  CHECK(got.due(MonoMillis{99'000}).empty());
}

TEST_CASE("auto_got: the longest keep-alive costs little memory, and nothing is due too early") {
  AutoGot got;
  const auto after_ms = got_after_ms(65'535);
  got.follow(1, UserId{2}, "phone", after_ms, false);
  const std::int64_t end = after_ms;
  Seq seq = 0;
  for (std::int64_t now = 0; now < end; now += 10'000)
    got.published(1, ops, ++seq, MonoMillis{now});
  CHECK(got.due(MonoMillis{end}).empty());
  std::size_t count = 0;
  for (std::int64_t now = end; now < 3 * end; now += 10'000)
    count += got.due(MonoMillis{now}).size();
  CHECK(count > 100);
  CHECK(count <= 130);
}
