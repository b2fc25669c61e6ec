// Messages that are written and read at the same time: relay, chat, fanout, room, mixed.
#include "tools/parley/bench.hpp"

namespace parley::cli {
namespace {

constexpr double warm_up_share = 0.1;
constexpr double warm_up_s_min = 0.5;

load::Load load_of(const BenchOptions& options) {
  load::Load load;
  load.window = options.window;
  load.rate = options.rate;
  if (options.messages > 0) {
    load.messages_max = options.messages;
    load.seconds_max = 600;
  } else {
    load.seconds_max = options.seconds;
  }
  return load;
}

load::Load warm_up_of(const load::Load& load) {
  load::Load some = load;
  some.seconds_max = std::max(load.seconds_max * warm_up_share, warm_up_s_min);
  some.messages_max = std::max<std::uint64_t>(load.messages_max / 10, 1);
  return some;
}

/// Warms up, measures, and says what it gave.
Figures measure(const Bench& bench, load::Exchange& exchange, const load::Load& load) {
  Figures figures;
  bench.say("warming up");
  exchange.run(warm_up_of(load), [](const load::Progress&) {});
  const CpuMeter cpu{bench};
  const load::Measured measured = exchange.run(load, bench.progress());
  const auto messages = static_cast<double>(measured.messages);
  figures.add("messages", messages);
  figures.add("seconds", measured.seconds);
  figures.add("messages_per_s", messages / measured.seconds);
  figures.add("deliveries_per_s", static_cast<double>(measured.deliveries) / measured.seconds);
  add_latencies(figures, "ack", measured.ack_ns);
  add_latencies(figures, "delivery", measured.delivery_ns);
  cpu.finish(figures, "message", messages);
  if (const auto bytes = load::resident_bytes(bench.server().broker)) {
    figures.add("broker_rss_mib", static_cast<double>(*bytes) / (1024 * 1024));
  }
  figures.acks = exchange.ack_counters();
  figures.deliveries = exchange.delivery_counters();
  figures.complaint = exchange.first_complaint();
  return figures;
}

load::ExchangePlan plan_of(Bench& bench, load::AckKind acks) {
  load::ExchangePlan plan;
  plan.where = bench.where();
  plan.acks = acks;
  plan.bytes = bench.options().bytes;
  plan.run = bench.next_run();
  plan.seed = bench.options().seed;
  return plan;
}

/// Pairs outside of Parley's topics.
load::ExchangePlan relay_plan(Bench& bench) {
  load::ExchangePlan plan = plan_of(bench, load::AckKind::puback);
  for (unsigned i = 1; i <= bench.options().pairs; ++i) {
    const std::string number = std::to_string(i);
    load::Group group;
    group.writers.push_back({bench.foreign_login("bench-relay-w" + number), {}});
    group.topics.push_back("bench/relay/" + number);
    group.readers.push_back({bench.foreign_login("bench-relay-r" + number), group.topics});
    plan.groups.push_back(std::move(group));
  }
  return plan;
}

/// One user who writes to another.
load::Group pair(const Bench& bench, const User& writer, const User& reader,
                 const std::string& device) {
  load::Group group;
  group.writers.push_back({bench.login(writer), {bench.topic(writer, "ack/+")}});
  group.topics.push_back(bench.topic(writer, "send/" + reader.name));
  group.readers.push_back({bench.login(reader, device),
                           {bench.topic(reader, "inbox/+")},
                           bench.topic(reader, "read/" + writer.name)});
  return group;
}

}  // namespace

void add_latencies(Figures& figures, const std::string& name, const load::Histogram& ns) {
  const auto ms = [](std::int64_t value) { return static_cast<double>(value) / 1e6; };
  figures.add(name + "_p50_ms", ms(ns.quantile(0.5)));
  figures.add(name + "_p90_ms", ms(ns.quantile(0.9)));
  figures.add(name + "_p99_ms", ms(ns.quantile(0.99)));
  figures.add(name + "_p999_ms", ms(ns.quantile(0.999)));
  figures.add(name + "_max_ms", ms(ns.max()));
}

Outcome<Figures> bench_relay(Bench& bench) {
  load::Exchange exchange{relay_plan(bench)};
  try {
    exchange.connect();
  } catch (const load::Error& error) {
    Figures none;
    none.missing = std::string{error.what()} + "; see --relay-user";
    return none;
  }
  return measure(bench, exchange, load_of(bench.options()));
}

Outcome<Figures> bench_chat(Bench& bench) {
  const unsigned pairs = bench.options().pairs;
  const auto writers = bench.users("w", pairs);
  if (!writers) return failed(writers.error());
  const auto readers = bench.users("r", pairs);
  if (!readers) return failed(readers.error());
  load::ExchangePlan plan = plan_of(bench, load::AckKind::stored);
  for (unsigned i = 0; i < pairs; ++i) {
    plan.groups.push_back(pair(bench, (*writers)[i], (*readers)[i], ""));
  }
  load::Exchange exchange{std::move(plan)};
  exchange.connect();
  return measure(bench, exchange, load_of(bench.options()));
}

}  // namespace parley::cli
