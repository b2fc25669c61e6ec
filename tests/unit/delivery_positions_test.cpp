#include "core/delivery_positions.hpp"

#include <doctest/doctest.h>

using namespace parley;

namespace {

constexpr ConversationId ops{7};
constexpr ConversationId dev{8};
constexpr SessionNo phone = 1;

MonoMillis at(std::int64_t ms) { return MonoMillis{ms}; }

/// Confirming, with room for ten, once more after 100 ms, three times.
DeliveryPositions confirming() {
  DeliveryPositions positions{{10, 100, 3}};
  positions.begin(phone);
  positions.set_confirms(phone, at(0));
  return positions;
}

void send(DeliveryPositions& positions, Seq first, Seq last, std::int64_t now = 0) {
  for (Seq seq = first; seq <= last; ++seq) positions.sent(phone, {ops, seq, 1}, at(now));
}

}  // namespace

TEST_CASE("delivery positions: room shrinks with what is sent and grows with what is confirmed") {
  auto positions = confirming();
  CHECK(positions.room(phone) == 10);
  send(positions, 1, 8);
  CHECK(positions.room(phone) == 2);
  positions.got(phone, ops, 5, at(1));
  CHECK(positions.room(phone) == 7);
  positions.got(phone, ops, 3, at(1));  // known already
  CHECK(positions.room(phone) == 7);
  positions.got(phone, ops, 8, at(1));
  CHECK(positions.room(phone) == 10);
  CHECK_FALSE(positions.position(phone, ops));
  send(positions, 9, 30);  // regardless of the room
  CHECK(positions.room(phone) == 0);
}

TEST_CASE("delivery positions: a session that does not confirm has room without end") {
  DeliveryPositions positions{{10, 100, 3}};
  positions.begin(phone);
  send(positions, 1, 50);
  CHECK(positions.room(phone) > 1'000'000);
  CHECK(positions.due(at(1'000)).empty());
  // Once it confirms, what is on its way counts, and has its time from then on.
  positions.set_confirms(phone, at(1'000));
  CHECK(positions.room(phone) == 0);
  CHECK(positions.due(at(1'099)).empty());
  CHECK(positions.due(at(1'100), [](SessionNo) { return true; }).empty());
  CHECK(positions.queue_room(phone) == 15);
  CHECK(positions.due(at(1'100)) == std::vector<SessionNo>{phone});
}

TEST_CASE("delivery positions: several formats are several packets") {
  auto positions = confirming();
  for (Seq seq = 1; seq <= 3; ++seq) positions.sent(phone, {ops, seq, 3}, at(0));
  CHECK(positions.room(phone) == 1);
  positions.got(phone, ops, 1, at(0));
  CHECK(positions.room(phone) == 4);
}

TEST_CASE("delivery positions: one's own messages move the position and are not waited for") {
  auto positions = confirming();
  for (Seq seq = 1; seq <= 40; ++seq) positions.sent(phone, {ops, seq, 0}, at(0));
  CHECK(positions.room(phone) == 10);
  CHECK(positions.position(phone, ops) == 40);
  CHECK(positions.due(at(10'000)).empty());
  positions.sent(phone, {ops, 41, 1}, at(0));
  CHECK(positions.due(at(10'000)).size() == 1);
}

TEST_CASE("delivery positions: without progress the position goes back, so often and no more") {
  auto positions = confirming();
  send(positions, 1, 4);
  positions.got(phone, ops, 2, at(50));
  CHECK(positions.due(at(149)).empty());
  for (int time = 0; time < 3; ++time) {
    CAPTURE(time);
    const std::int64_t now = 150 + time * 100;
    REQUIRE(positions.due(at(now)) == std::vector<SessionNo>{phone});
    CHECK(positions.position(phone, ops) == 2);
    CHECK(positions.room(phone) == 10);
    send(positions, 3, 4, now + 1);
    CHECK(positions.due(at(now + 99)).empty());
  }
  CHECK(positions.due(at(100'000)).empty());
  // Progress: it is there again.
  positions.got(phone, ops, 3, at(100'000));
  CHECK(positions.due(at(100'100)) == std::vector<SessionNo>{phone});
  CHECK(positions.position(phone, ops) == 3);
}

TEST_CASE("delivery positions: what is published later does not put off what is due") {
  auto positions = confirming();
  send(positions, 1, 1, 0);
  send(positions, 2, 2, 90);
  CHECK(positions.due(at(100)) == std::vector<SessionNo>{phone});
  CHECK(positions.position(phone, ops) == 0);
}

TEST_CASE("delivery positions: each conversation for itself") {
  auto positions = confirming();
  send(positions, 1, 2, 0);
  positions.sent(phone, {dev, 5, 1}, at(60));
  CHECK(positions.due(at(100)) == std::vector<SessionNo>{phone});
  CHECK(positions.position(phone, ops) == 0);
  CHECK(positions.position(phone, dev) == 5);
  CHECK(positions.due(at(160)) == std::vector<SessionNo>{phone});
  CHECK(positions.position(phone, dev) == 4);
}

TEST_CASE("delivery positions: a got that comes after the position went back") {
  auto positions = confirming();
  send(positions, 1, 5);
  REQUIRE(positions.due(at(100)).size() == 1);
  positions.got(phone, ops, 3, at(101));
  CHECK(positions.position(phone, ops) == 3);
  positions.got(phone, ops, 5, at(102));
  CHECK_FALSE(positions.position(phone, ops));
  CHECK(positions.due(at(10'000)).empty());
}

TEST_CASE("delivery positions: beginning again forgets what was sent, not that it confirms") {
  auto positions = confirming();
  send(positions, 1, 9);
  positions.begin(phone);
  CHECK(positions.confirms(phone));
  CHECK(positions.room(phone) == 10);
  CHECK_FALSE(positions.position(phone, ops));
  CHECK(positions.due(at(10'000)).empty());
}

TEST_CASE("delivery positions: who says nothing may be given more room, until he does") {
  auto positions = confirming();
  send(positions, 1, 10);
  CHECK(positions.room(phone) == 0);
  CHECK(positions.is_silent(phone));
  CHECK_FALSE(positions.was_extended(phone));
  positions.extend(phone, 15);
  CHECK(positions.room(phone) == 15);
  send(positions, 11, 25);
  CHECK(positions.room(phone) == 0);
  CHECK(positions.was_extended(phone));
  positions.got(phone, ops, 5, at(50));
  CHECK_FALSE(positions.is_silent(phone));
  CHECK(positions.room(phone) == 0);
  positions.got(phone, ops, 20, at(50));
  CHECK(positions.room(phone) == 5);
}

TEST_CASE("delivery positions: what is sent again lies with the broker beside what was") {
  auto positions = confirming();
  send(positions, 1, 10);
  REQUIRE(positions.due(at(100)).size() == 1);
  CHECK(positions.room(phone) == 10);
  send(positions, 1, 10, 100);
  CHECK(positions.queue_room(phone) == 5);
  // A third time would be more than it keeps: what was sent stays sent.
  CHECK(positions.due(at(200)).empty());
  CHECK(positions.position(phone, ops) == 10);
  CHECK(positions.room(phone) == 0);
  // Four have been taken, of the first ones.
  positions.got(phone, ops, 4, at(250));
  CHECK(positions.queue_room(phone) == 9);
  CHECK(positions.room(phone) == 4);
  send(positions, 11, 14, 250);
  CHECK(positions.queue_room(phone) == 5);
  // All of the first ten: ten repeats and four new ones remain.
  positions.got(phone, ops, 10, at(260));
  CHECK(positions.queue_room(phone) == 11);
  // The new ones come behind the repeats, so nothing remains.
  positions.got(phone, ops, 14, at(270));
  CHECK(positions.queue_room(phone) == 25);
  CHECK(positions.room(phone) == 10);
}

TEST_CASE("delivery positions: who confirms something has what was sent before, confirmed or not") {
  auto positions = confirming();
  positions.sent(phone, {dev, 1, 6}, at(0));
  send(positions, 1, 4);
  CHECK(positions.queue_room(phone) == 15);
  positions.got(phone, ops, 3, at(1));
  CHECK(positions.queue_room(phone) == 24);
  CHECK(positions.room(phone) == 3);
  // Of a repeat nobody knows which of the two times it was.
  REQUIRE(positions.due(at(101)).size() == 1);
  send(positions, 4, 4, 101);
  positions.sent(phone, {dev, 1, 6}, at(101));
  positions.got(phone, ops, 4, at(102));
  CHECK(positions.queue_room(phone) == 18);
}

TEST_CASE("delivery positions: beginning again does not empty the broker's queue") {
  auto positions = confirming();
  send(positions, 1, 10);
  positions.begin(phone);
  CHECK(positions.room(phone) == 10);
  send(positions, 1, 10);
  positions.begin(phone);
  CHECK(positions.room(phone) == 5);
  send(positions, 1, 5);
  CHECK(positions.room(phone) == 0);
  positions.got(phone, ops, 5, at(1));
  CHECK(positions.room(phone) == 5);
}

TEST_CASE("delivery positions: what was sent in vain too often is not waited for") {
  auto positions = confirming();
  positions.sent(phone, {dev, 1, 8}, at(0));
  for (int time = 1; time <= 3; ++time) {
    CHECK(positions.due(at(time * 100)).size() == (time == 1 ? 1 : 0));
    if (time == 1) positions.sent(phone, {dev, 1, 8}, at(100));
    CHECK(positions.room(phone) == 2);
  }
  CHECK(positions.due(at(400)).empty());
  CHECK(positions.room(phone) == 9);
  // It takes what is new elsewhere: the window is as large as ever, whatever becomes of that one.
  send(positions, 1, 9, 400);
  CHECK(positions.room(phone) == 0);
  positions.got(phone, ops, 9, at(401));
  CHECK(positions.room(phone) == 10);
  positions.sent(phone, {dev, 2, 8}, at(402));
  CHECK(positions.room(phone) == 10);
  CHECK(positions.due(at(10'000)).empty());
  // Progress there: what is left is waited for again.
  positions.got(phone, dev, 1, at(10'000));
  CHECK(positions.room(phone) == 2);
  CHECK(positions.due(at(10'100)) == std::vector<SessionNo>{phone});
  CHECK(positions.position(phone, dev) == 1);
}

TEST_CASE("delivery positions: however long nothing is heard, there is a little more room") {
  auto positions = confirming();
  positions.extend(phone, 15);
  send(positions, 1, 25);
  for (int time = 1; time <= 4; ++time) CHECK(positions.due(at(time * 100)).empty());
  CHECK(positions.room(phone) == 0);
  for (Seq seq = 26; seq <= 40; seq += 5) {
    positions.extend_queue(phone);
    CHECK(positions.room(phone) == 5);
    positions.extend_queue(phone);
    CHECK(positions.room(phone) == 5);
    send(positions, seq, seq + 4, 500);
    CHECK(positions.room(phone) == 0);
  }
  positions.got(phone, ops, 1, at(600));
  CHECK(positions.room(phone) == 0);
  positions.got(phone, ops, 40, at(600));
  CHECK(positions.room(phone) == 10);
}

TEST_CASE("delivery positions: nothing counts as sent in vain that has not been sent") {
  auto positions = confirming();
  send(positions, 1, 4);
  REQUIRE(positions.due(at(100)).size() == 1);
  // The database is away: nothing is sent.
  for (int time = 2; time <= 50; ++time) CHECK(positions.due(at(time * 100)).empty());
  send(positions, 1, 4, 5'000);
  CHECK(positions.due(at(5'100)).size() == 1);
}

TEST_CASE("delivery positions: sessions that are not followed leave nothing behind") {
  DeliveryPositions positions{{10, 100, 3}};
  send(positions, 1, 5);
  positions.got(phone, ops, 1, at(0));
  positions.set_confirms(phone, at(0));
  CHECK_FALSE(positions.follows(phone));
  auto followed = confirming();
  followed.keep_only([](SessionNo) { return false; });
  CHECK_FALSE(followed.follows(phone));
}
