// What the main job reaches: pairs of users, messages stored and delivered. Run by
// tools/bench/compare, with the programs of one version or another; the tests leave it out.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/bench/load.hpp"

using namespace parley::test;

namespace {

std::uint64_t parameter(const char* name, std::uint64_t usual) {
  const char* const text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("bench: throughput of pairs" * doctest::skip()) {
  const std::uint64_t messages = parameter("PARLEY_BENCH_MESSAGES", 60'000);
  parley::bench::LoadOptions options;
  options.pairs = static_cast<int>(parameter("PARLEY_BENCH_PAIRS", 50));
  Instance instance;
  for (int i = 1; i <= options.pairs; ++i) {
    instance.user(with_number("w", i));
    instance.user(with_number("r", i));
  }
  parley::bench::Load load{instance, options};
  load.run(messages / 10);  // caches, and conversations are made
  const double seconds = load.run(messages);
  std::printf("messages_per_s=%.0f\n", static_cast<double>(messages) / seconds);
  CHECK(instance.database().number("SELECT count(*) FROM messages WHERE body LIKE 'xxx%'") ==
        static_cast<std::int64_t>(messages + messages / 10));
}
