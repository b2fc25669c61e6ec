#include "core/revocations.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace parley;

namespace {

Revocations complete(std::vector<link::Generation> list) {
  Revocations revocations;
  revocations.update(list, true, true);
  return revocations;
}

bool allows(const Revocations& revocations, std::string_view device, bool bound,
            std::uint32_t generation) {
  return revocations.allows({UserId{5}, device, bound, generation});
}

}  // namespace

TEST_CASE("revocations: without a complete list only generation 0 is good") {
  Revocations revocations;
  CHECK(allows(revocations, "", false, 0));
  CHECK_FALSE(allows(revocations, "", false, 1));
  revocations.update({}, true, false);
  CHECK_FALSE(revocations.known());
  revocations.update({}, false, true);
  CHECK(revocations.known());
  CHECK(allows(revocations, "", false, 1));
}

TEST_CASE("revocations: a user's tokens and a device's have generations of their own") {
  const auto list = complete({{UserId{5}, "", 2, false}, {UserId{5}, "pad", 7, false}});
  struct Row {
    std::string_view device;
    bool bound;
    std::uint32_t generation;
    bool good;
  };
  for (const Row row :
       {Row{"", false, 1, false}, Row{"", false, 2, true}, Row{"", false, 3, true},
        Row{"pad", false, 2, true}, Row{"pad", false, 1, false}, Row{"pad", true, 6, false},
        Row{"pad", true, 7, true}, Row{"phone", true, 0, true}, Row{"phone", false, 1, false}}) {
    CAPTURE(row.device);
    CAPTURE(row.bound);
    CAPTURE(row.generation);
    CHECK(allows(list, row.device, row.bound, row.generation) == row.good);
  }
  CHECK(list.allows({UserId{6}, "pad", true, 0}));
}

TEST_CASE("revocations: whoever is disabled has no good token, whatever its generation") {
  const auto list = complete({{UserId{5}, "", 0, true}, {UserId{6}, "pad", 0, true}});
  CHECK_FALSE(allows(list, "", false, 9));
  CHECK_FALSE(allows(list, "phone", true, 9));
  CHECK_FALSE(list.allows({UserId{6}, "pad", false, 9}));
  CHECK(list.allows({UserId{6}, "phone", false, 9}));
}

TEST_CASE("revocations: a change holds at once, the new list when it is complete") {
  auto list = complete({{UserId{5}, "", 2, false}});
  list.update({{UserId{5}, "", 3, false}}, false, false);
  CHECK_FALSE(allows(list, "", false, 2));
  list.update({{UserId{7}, "", 1, false}}, true, false);
  CHECK_FALSE(allows(list, "", false, 2));  // the old list still holds
  CHECK_FALSE(list.allows({UserId{7}, "", false, 0}));
  list.update({}, false, true);
  CHECK(allows(list, "", false, 0));
  CHECK_FALSE(list.allows({UserId{7}, "", false, 0}));
}

TEST_CASE("revocations: the text comes back whole or not at all") {
  const auto list = complete({{UserId{5}, "", 2, false}, {UserId{INT64_MAX}, "pad-1_B", 7, true}});
  const std::string text = list.render();
  const auto back = Revocations::parse(text);
  REQUIRE(back.has_value());
  CHECK(back->known());
  CHECK(back->render() == text);
  CHECK(Revocations::parse(Revocations{}.render())->size() == 0);
  for (std::size_t length = 0; length < text.size(); ++length) {
    CHECK_FALSE(Revocations::parse(std::string_view{text}.substr(0, length)).has_value());
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    CHECK_FALSE(Revocations::parse(damaged).has_value());
  }
  CHECK_FALSE(Revocations::parse(text + "x").has_value());
}
