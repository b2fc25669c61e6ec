#include "core/gates.hpp"

#include <doctest/doctest.h>

using namespace parley;

TEST_CASE("gates: a gate holds from its fence to the next one") {
  Gates gates;
  CHECK_FALSE(gates.needs_gate(0));
  CHECK(gates.needs_gate(7));
  gates.publish({7, {}});
  CHECK_FALSE(gates.needs_gate(7));
  CHECK(gates.needs_gate(0));
  gates.publish({0, {{7, 1}}});
  CHECK_FALSE(gates.needs_gate(0));
  gates.end_tick();

  CHECK(gates.current() == 0);
  CHECK(gates.pass().only == 7);
  CHECK(gates.current() == 7);
  CHECK(gates.pass().sync_done == std::vector<link::SyncDone>{{7, 1}});
  CHECK(gates.current() == 0);
  CHECK(gates.take_lost().empty());
}

TEST_CASE("gates: what is published during a pass is checked in the next one, from an open gate") {
  Gates gates;
  gates.publish({1, {}});
  gates.end_tick();
  CHECK_FALSE(gates.needs_gate(0));  // the coming pass ends before what is published now
  CHECK(gates.pass().only == 1);
  gates.publish({2, {}});  // by a frame in that pass
  CHECK(gates.take_lost().empty());
  gates.end_tick();
  CHECK(gates.current() == 0);
  CHECK(gates.pass().only == 2);
}

TEST_CASE("gates: fences that nobody saw are told, and those behind them keep their places") {
  Gates gates;
  gates.publish({1, {}});
  gates.publish({0, {{1, 1}}});
  gates.end_tick();
  CHECK(gates.pass().only == 1);
  gates.publish({5, {}});
  const auto lost = gates.take_lost();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].sync_done == std::vector<link::SyncDone>{{1, 1}});
  gates.end_tick();
  CHECK(gates.pass().only == 5);
  CHECK(gates.pass().only == 0);  // one too many does no harm
}
