#include "core/presence.hpp"

#include <doctest/doctest.h>

using namespace parley;

namespace {

constexpr std::int64_t grace = 30'000;
const UserId alice_id{7};
Now at(std::int64_t ms) { return {UnixMillis{1'000'000 + ms}, MonoMillis{ms}}; }

}  // namespace

TEST_CASE("presence: online at once, offline after the grace, with the time of leaving") {
  Presence presence{grace};
  CHECK_FALSE(presence.is_online("alice"));
  presence.set("alice", alice_id, true, at(0));
  CHECK(presence.is_online("alice"));
  auto changes = presence.changes(at(0));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].online);
  presence.set("alice", alice_id, false, at(5'000));
  CHECK(presence.is_online("alice"));
  CHECK(presence.changes(at(34'999)).empty());
  changes = presence.changes(at(35'000));
  REQUIRE(changes.size() == 1);
  CHECK_FALSE(changes[0].online);
  CHECK(changes[0].user == "alice");
  CHECK(changes[0].user_id == alice_id);
  CHECK(changes[0].last_seen == at(5'000).wall);
  CHECK_FALSE(presence.is_online("alice"));
  CHECK(presence.known() == 0);
}

TEST_CASE("presence: who comes back within the grace was never away") {
  Presence presence{grace};
  presence.set("alice", alice_id, true, at(0));
  (void)presence.changes(at(0));
  presence.set("alice", alice_id, false, at(1'000));
  presence.set("alice", alice_id, true, at(30'999));
  CHECK(presence.changes(at(31'000)).empty());
  // And leaves again: the grace is that of the second parting.
  presence.set("alice", alice_id, false, at(31'000));
  CHECK(presence.changes(at(60'999)).empty());
  CHECK(presence.changes(at(61'000)).size() == 1);
}

TEST_CASE("presence: a broker that is gone for a moment takes nobody offline") {
  Presence presence{grace};
  presence.set("alice", alice_id, true, at(0));
  presence.set("bob", UserId{8}, true, at(0));
  (void)presence.changes(at(0));
  presence.all_gone(at(1'000));
  presence.all_gone(at(2'000));
  presence.set("alice", alice_id, true, at(3'000));
  const auto changes = presence.changes(at(31'000));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].user == "bob");
  CHECK(changes[0].last_seen == at(1'000).wall);
}

TEST_CASE("presence: who was never there cannot leave") {
  Presence presence{grace};
  presence.set("alice", alice_id, false, at(0));
  CHECK(presence.changes(at(100'000)).empty());
}
