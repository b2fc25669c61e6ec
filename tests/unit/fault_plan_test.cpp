#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/fault/plan.hpp"

using namespace parley::fault;

namespace {

const std::vector<Choice> choices{
    {"worker", 0, true}, {"broker", 1, true}, {"database", 2, true}, {"lonely", 1, false}};

std::string all(std::uint64_t seed) {
  std::string text;
  for (const PlannedRound& round : make_plan(choices, 200, seed, 1000)) {
    text += describe(round) + " " + std::to_string(round.seed) + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("fault_plan: the same seed makes the same plan") {
  CHECK(all(7) == all(7));
  CHECK(all(7) != all(8));
}

TEST_CASE("fault_plan: every kind has its turns, alone and in pairs that fit") {
  std::map<std::string, int> first;
  int pairs = 0;
  for (const PlannedRound& round : make_plan(choices, 200, 3, 1000)) {
    ++first[round.kinds.at(0)];
    REQUIRE(round.kinds.size() <= 2);
    if (round.kinds.size() < 2) continue;
    ++pairs;
    CHECK(round.kinds[0] != round.kinds[1]);
    CHECK(round.kinds[0] != "lonely");
    CHECK(round.kinds[1] != "lonely");
  }
  for (const Choice& choice : choices) CHECK(first[choice.name] == 50);
  CHECK(pairs > 20);
}
