// What the main job reaches, and what the worker allocates for it: pairs of users, messages stored
// and delivered. Run by tools/bench/compare and by hand; the tests leave it out.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

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

/// Of the worker that tests/shim/allocations_shim.cpp counts in that file.
std::uint64_t allocations(const std::string& file) {
  std::uint64_t count = 0;
  const std::string bytes = read_file(file);
  if (bytes.size() != sizeof count) throw std::runtime_error("nobody counts in " + file);
  std::memcpy(&count, bytes.data(), sizeof count);
  return count;
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

TEST_CASE("bench: allocations of the worker per message" * doctest::skip()) {
  const std::uint64_t messages = parameter("PARLEY_BENCH_MESSAGES", 60'000);
  const TemporaryFolder folder;
  const std::string file = folder.file("allocations");
  InstanceOptions options;
  options.worker_environment = {{"LD_PRELOAD", PARLEY_ALLOCATIONS_SHIM},
                                {"PARLEY_ALLOCATIONS", file}};
  Instance instance{options};
  parley::load::Exchange exchange{pairs(instance, parameter("PARLEY_BENCH_PAIRS", 50))};
  exchange.connect();
  parley::load::Load load;
  load.messages_max = messages / 10;
  exchange.run(load, [](const parley::load::Progress&) {});
  const auto before = allocations(file);
  load.messages_max = messages;
  exchange.run(load, [](const parley::load::Progress&) {});
  const auto count = static_cast<double>(allocations(file) - before);
  std::printf("allocations_per_message=%.1f\n", count / static_cast<double>(messages));
  CHECK(exchange.delivery_counters().good());
}
