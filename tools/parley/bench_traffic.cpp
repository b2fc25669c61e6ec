// Messages that are written and read at the same time: relay, chat, fanout, room, mixed.
#include <algorithm>

#include "tools/load/probe.hpp"
#include "tools/parley/bench.hpp"

namespace parley::cli {
namespace {

constexpr double warm_up_share = 0.1;
constexpr double warm_up_s_min = 0.5;
/// Of each writer whose messages go to thousands: two keep the server busy, and no queue overflows.
constexpr unsigned crowd_window_max = 2;

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

/// What a measurement counts in.
enum class Unit { message, delivery };

/// Warms up, measures, lets everybody go, and says what it gave.
/// @param probe  if not null, its waits are those of the measurement
Figures measure(const Bench& bench, load::Exchange& exchange, const load::Load& load, Unit unit,
                load::Probe* probe = nullptr) {
  Figures figures;
  bench.say("warming up");
  exchange.run(warm_up_of(load), [](const load::Progress&) {});
  if (probe != nullptr) probe->restart();
  const CpuMeter cpu{bench};
  const load::Measured measured = exchange.run(load, bench.progress());
  const auto messages = static_cast<double>(measured.messages);
  figures.add("messages", messages);
  figures.add("seconds", measured.seconds);
  figures.add("messages_per_s", messages / measured.seconds);
  figures.add("deliveries_per_s", static_cast<double>(measured.deliveries) / measured.seconds);
  add_latencies(figures, "ack", measured.ack_ns);
  add_latencies(figures, "delivery", measured.delivery_ns);
  if (probe != nullptr) add_latencies(figures, "other_client_waits", probe->stop());
  if (unit == Unit::message) {
    cpu.finish(figures, "message", messages);
  } else {
    cpu.finish(figures, "delivery", static_cast<double>(measured.deliveries));
  }
  if (const auto bytes = load::resident_bytes(bench.server().broker)) {
    figures.add("broker_rss_mib", static_cast<double>(*bytes) / (1024 * 1024));
  }
  figures.acks = exchange.ack_counters();
  figures.deliveries = exchange.delivery_counters();
  figures.complaint = exchange.first_complaint();
  exchange.leave();
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

/// Those who write into a room, and those who are online there.
Outcome<load::Group> room(Bench& bench, unsigned writer_count, const std::string& device) {
  const unsigned member_count = bench.options().members;
  const auto writers = bench.users("rw", writer_count);
  if (!writers) return failed(writers.error());
  const auto members = bench.users("m", member_count);
  if (!members) return failed(members.error());
  std::vector<User> all = *writers;
  all.insert(all.end(), members->begin(), members->end());
  const auto name =
      bench.room("room" + std::to_string(member_count) + "-" + std::to_string(writer_count), all);
  if (!name) return failed(name.error());
  load::Group group;
  group.alone = writer_count == 1;
  for (const User& writer : *writers) {
    group.writers.push_back({bench.login(writer), {bench.topic(writer, "ack/+")}});
    group.topics.push_back(bench.topic(writer, "send/" + *name));
  }
  for (const User& member : *members) {
    group.readers.push_back({bench.login(member, device),
                             {bench.topic(member, "inbox/" + *name)},
                             bench.topic(member, "read/" + *name)});
  }
  return group;
}

/// One topic or room with many who listen, and somebody else who wants something meanwhile.
Outcome<Figures> measure_crowd(const Bench& bench, load::ExchangePlan plan,
                               const load::Credentials& somebody_else) {
  const bool foreign = plan.acks == load::AckKind::puback;
  load::Exchange exchange{std::move(plan)};
  std::optional<load::Probe> probe;
  try {
    exchange.connect();
    probe.emplace(bench.where(), somebody_else);
  } catch (const load::Error& error) {
    if (!foreign) throw;
    Figures none;
    none.missing = std::string{error.what()} + "; see --relay-user";
    return none;
  }
  load::Load load = load_of(bench.options());
  load.window = std::min(load.window, crowd_window_max);
  return measure(bench, exchange, load, Unit::delivery, &*probe);
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
  return measure(bench, exchange, load_of(bench.options()), Unit::message);
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
  return measure(bench, exchange, load_of(bench.options()), Unit::message);
}

Outcome<Figures> bench_fanout(Bench& bench) {
  const std::vector<std::string> topic{"bench/fanout"};
  load::ExchangePlan plan = plan_of(bench, load::AckKind::puback);
  load::Group group;
  for (unsigned i = 1; i <= bench.options().writers; ++i) {
    group.writers.push_back({bench.foreign_login("bench-fanout-w" + std::to_string(i)), {}});
    group.topics.push_back(topic.front());
  }
  for (unsigned i = 1; i <= bench.options().members; ++i) {
    group.readers.push_back({bench.foreign_login("bench-fanout-r" + std::to_string(i)), topic});
  }
  plan.groups.push_back(std::move(group));
  return measure_crowd(bench, std::move(plan), bench.foreign_login("bench-probe"));
}

Outcome<Figures> bench_room(Bench& bench) {
  auto group = room(bench, bench.options().writers, "");
  if (!group) return failed(group.error());
  const auto other = bench.users("probe", 1);
  if (!other) return failed(other.error());
  load::ExchangePlan plan = plan_of(bench, load::AckKind::stored);
  plan.groups.push_back(std::move(*group));
  return measure_crowd(bench, std::move(plan), bench.login(other->front()));
}

Outcome<Figures> bench_mixed(Bench& bench) {
  constexpr unsigned room_writers = 2;
  constexpr unsigned read_every = 16;
  constexpr double reconnects_per_s = 20;
  const unsigned pairs = bench.options().pairs;
  const auto writers = bench.users("w", pairs);
  if (!writers) return failed(writers.error());
  const auto readers = bench.users("r", pairs);
  if (!readers) return failed(readers.error());
  auto group = room(bench, room_writers, "mixed");
  if (!group) return failed(group.error());
  group->window = 1;
  load::ExchangePlan plan = plan_of(bench, load::AckKind::stored);
  for (unsigned i = 0; i < pairs; ++i) {
    plan.groups.push_back(pair(bench, (*writers)[i], (*readers)[i], "mixed"));
  }
  plan.groups.push_back(std::move(*group));
  load::Exchange exchange{std::move(plan)};
  exchange.set_habits({read_every, reconnects_per_s});
  exchange.connect();
  Figures figures = measure(bench, exchange, load_of(bench.options()), Unit::message);
  figures.add("reads", static_cast<double>(exchange.reads()));
  figures.add("reconnects", static_cast<double>(exchange.reconnects()));
  return figures;
}

}  // namespace parley::cli
