#include "core/flat_index.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/shared_text.hpp"

using namespace parley;

namespace {

struct Entry {
  std::uint64_t key;
  int value;
};
struct KeyOf {
  std::uint64_t operator()(const std::unique_ptr<Entry>& entry) const { return entry->key; }
};
struct TextOf {
  std::string_view operator()(const SharedText& text) const { return text.view(); }
};

}  // namespace

TEST_CASE("flat_index: finds what a map finds, whatever came and went") {
  std::mt19937 random{7};
  FlatIndex<std::unique_ptr<Entry>, KeyOf> index;
  std::unordered_map<std::uint64_t, int> map;
  CHECK_FALSE(index.find(1));
  CHECK_FALSE(index.extract(1));
  for (int i = 0; i < 20'000; ++i) {
    // Few keys, far apart by powers of two: they collide, and are used again and again.
    const std::uint64_t key = (random() % 300) << 20U;
    if (random() % 2 == 0 && map.find(key) == map.end()) {
      index.insert(std::make_unique<Entry>(Entry{key, i}));
      map.emplace(key, i);
    } else if (random() % 4 == 0 && map.find(key) != map.end()) {
      index.replace(std::make_unique<Entry>(Entry{key, -i}));
      map[key] = -i;
    } else {
      REQUIRE(static_cast<bool>(index.extract(key)) == (map.erase(key) == 1));
    }
    REQUIRE(index.size() == map.size());
    if (i % 100 != 0) continue;
    for (std::uint64_t k = 0; k < 300; ++k) {
      const auto known = map.find(k << 20U);
      const auto& entry = index.find(k << 20U);
      REQUIRE(static_cast<bool>(entry) == (known != map.end()));
      if (entry) REQUIRE(entry->value == known->second);
    }
    std::size_t visited = 0;
    index.for_each([&](const auto& entry) {
      ++visited;
      REQUIRE(map.at(entry->key) == entry->value);
    });
    REQUIRE(visited == map.size());
  }
}

TEST_CASE("flat_index: texts are found by what they say") {
  FlatIndex<SharedText, TextOf> index;
  for (int i = 0; i < 1'000; ++i) index.insert(SharedText{"name-" + std::to_string(i)});
  CHECK(index.find("name-7").view() == "name-7");
  CHECK_FALSE(index.find("name-1000"));
  CHECK(index.extract("name-7").view() == "name-7");
  CHECK_FALSE(index.find("name-7"));
}

TEST_CASE("shared_text: copies are the same text, until the last is gone") {
  SharedText one{"alice"};
  SharedText other;
  {
    const SharedText copy = one;
    CHECK(copy.view().data() == one.view().data());
    other = copy;
  }
  one = SharedText{};
  CHECK(one.empty());
  CHECK(one.view().empty());
  CHECK(other.view() == "alice");
  const SharedText moved = std::move(other);
  CHECK(moved.view() == "alice");
  CHECK(SharedText{""}.empty());
}
