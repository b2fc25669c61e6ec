// What the main job reaches: pairs of users, messages stored and delivered. Run by
// tools/bench/compare, with the programs of one version or another; the tests leave it out.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/instance.hpp"
#include "tests/support/text.hpp"
#include "tools/load/exchange.hpp"

using namespace parley::test;

namespace {

std::uint64_t parameter(const char* name, std::uint64_t usual) {
  const char* const text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

parley::load::Credentials login(Instance& instance, const std::string& name) {
  const ConnectOptions options = instance.login(name);
  return {options.client_id, options.username, options.password};
}

parley::load::ExchangePlan pairs(Instance& instance, std::uint64_t count) {
  parley::load::ExchangePlan plan;
  plan.where.port = instance.port();
  plan.run = 1;
  for (std::uint64_t i = 1; i <= count; ++i) {
    const std::string writer = with_number("w", i);
    const std::string reader = with_number("r", i);
    instance.user(writer);
    instance.user(reader);
    parley::load::Group group;
    group.writers.push_back({login(instance, writer), {"im/u/" + writer + "/ack/+"}});
    group.topics.push_back("im/u/" + writer + "/send/" + reader);
    group.readers.push_back({login(instance, reader), {"im/u/" + reader + "/inbox/+"}});
    plan.groups.push_back(std::move(group));
  }
  return plan;
}

}  // namespace

TEST_CASE("bench: throughput of pairs" * doctest::skip()) {
  const std::uint64_t messages = parameter("PARLEY_BENCH_MESSAGES", 60'000);
  Instance instance;
  parley::load::Exchange exchange{pairs(instance, parameter("PARLEY_BENCH_PAIRS", 50))};
  exchange.connect();
  parley::load::Load load;
  load.messages_max = messages / 10;  // caches, and conversations are made
  exchange.run(load, [](const parley::load::Progress&) {});
  load.messages_max = messages;
  const auto measured = exchange.run(load, [](const parley::load::Progress&) {});
  std::printf("messages_per_s=%.0f\n", static_cast<double>(messages) / measured.seconds);
  CHECK(exchange.ack_counters().good());
  CHECK(exchange.delivery_counters().good());
  CHECK(instance.database().number("SELECT count(*) FROM messages WHERE starts_with(body, '#')") ==
        static_cast<std::int64_t>(messages + messages / 10));
}
