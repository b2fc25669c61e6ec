// parley bench: what a server can carry.
#include "tools/parley/bench.hpp"

#include <fstream>
#include <iostream>
#include <map>
#include <memory>

#include "tools/load/message_text.hpp"
#include "tools/parley/commands.hpp"

namespace parley::cli {
namespace {

using Scenario = Outcome<Figures> (*)(Bench&);

const std::map<std::string, Scenario>& scenarios() {
  static const std::map<std::string, Scenario> all{
      {"relay", bench_relay}, {"chat", bench_chat},   {"fanout", bench_fanout},
      {"room", bench_room},   {"mixed", bench_mixed}, {"connect", bench_connect},
      {"sync", bench_sync},
  };
  return all;
}

Outcome<std::vector<ScenarioRuns>> measure_all(Bench& bench) {
  const BenchOptions& options = bench.options();
  std::vector<ScenarioRuns> all;
  for (const auto& name : options.scenarios) all.push_back({name, {}});
  for (unsigned round = 1; round <= options.repeat; ++round) {
    for (auto& scenario : all) {
      std::string title = scenario.name;
      if (options.repeat > 1) {
        title += " " + std::to_string(round) + "/" + std::to_string(options.repeat);
      }
      bench.begin(title, round);
      bench.say("connecting");
      bench.find_processes();
      auto figures = scenarios().at(scenario.name)(bench);
      bench.say("");
      if (!figures) return failed(figures.error());
      scenario.runs.push_back(std::move(*figures));
    }
  }
  return all;
}

Outcome<void> run_bench(const Setup& setup, const BenchOptions& options) {
  auto bench = Bench::open(setup, options);
  if (!bench) return failed(bench.error());
  std::cerr << "parley bench: users and rooms \"bench-…\" and their messages stay on this server\n";
  auto all = [&]() -> Outcome<std::vector<ScenarioRuns>> {
    try {
      return measure_all(*bench);
    } catch (const load::Error& error) {
      bench->say("");
      return fail(Exit::failed, error.what());
    }
  }();
  if (!all) return failed(all.error());
  const std::string json = bench_json(*bench, *all);
  if (!options.output.empty() && !(std::ofstream{options.output} << json)) {
    return fail(Exit::failed, options.output + " cannot be written");
  }
  std::cout << (options.json ? json : bench_table(*bench, *all)) << std::flush;
  if (const auto faults = bench_faults(*all); !faults.empty()) return fail(Exit::failed, faults);
  return {};
}

void add_traffic_options(CLI::App& bench, BenchOptions& options) {
  bench.add_option("--pairs", options.pairs, "Pairs of relay, chat and mixed")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  bench
      .add_option("--window", options.window,
                  "Messages of each writer that are under way: not acknowledged and delivered yet")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  bench.add_option("--bytes", options.bytes, "Of a text")
      ->capture_default_str()
      ->check(CLI::Range(static_cast<int>(load::text_bytes_min), 262'144));
  bench.add_option("--seconds", options.seconds, "How long each measurement sends")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  bench.add_option("--messages", options.messages, "So many messages instead, in at most 600 s")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  bench
      .add_option(
          "--rate", options.rate,
          "Offer so many messages per second, whether they are answered or not; default: as "
          "many as the window lets through")
      ->check(CLI::Range(0.1, 1e6))
      ->type_name("PER_S");
}

void add_crowd_options(CLI::App& bench, BenchOptions& options) {
  bench
      .add_option("--members", options.members, "Who is online in the room; subscribers of fanout")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  bench.add_option("--writers", options.writers, "Who writes there")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  bench
      .add_option("--connections", options.connections, "Idle connections of connect, of each sort")
      ->capture_default_str()
      ->check(CLI::Range(1, 200'000));
  bench.add_option("--logins", options.logins, "Logins of connect that are timed, of each sort")
      ->capture_default_str()
      ->check(CLI::Range(1, 200'000));
  bench.add_option("--users", options.users, "Who comes back in sync")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  bench.add_option("--unread", options.unread, "Messages that wait for each of them")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  bench.add_option("--within", options.within, "They come back within so many seconds")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
}

void add_other_options(CLI::App& bench, BenchOptions& options) {
  bench.add_option("--repeat", options.repeat, "Measure so often, in turn; the median is shown")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  bench.add_option("--seed", options.seed, "Of everything that is left to chance")
      ->capture_default_str();
  bench
      .add_option("--relay-user", options.relay_user,
                  "A login of the broker's own, for what bypasses Parley; default: anonymous")
      ->type_name("NAME");
  bench.add_option("--relay-password", options.relay_password, "Its password")
      ->type_name("PASSWORD");
  bench
      .add_option("--bare-port", options.bare_port,
                  "Where on this machine a Mosquitto without the plugin listens, for connect to "
                  "compare with; default: logins past Parley at the same broker")
      ->type_name("PORT");
  bench.add_flag("--json", options.json, "Print JSON");
  bench.add_option("--output", options.output, "Write the JSON into this file, too")
      ->type_name("FILE");
  bench.add_flag("--yes", options.yes, "Also on a server that others use");
}

}  // namespace

void add_bench_command(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const bench = app.add_subcommand("bench", "Measure what this server can carry");
  bench->footer(
      "On the server's machine, with access to its files. It makes users and rooms called bench-…, "
      "and they stay, as\n"
      "names are for ever: use a server of its own (tools/up --dir DIR). Scenarios:\n"
      "  relay    pairs outside of Parley's topics: what the broker alone does. The measure of "
      "chat\n"
      "  chat     pairs of users; every message is acknowledged as stored, and delivered\n"
      "  fanout   a topic outside of Parley's with --members subscribers. The measure of room\n"
      "  room     a room with --members online; how long another client waits meanwhile\n"
      "  mixed    pairs, a room, read marks and reconnects at once\n"
      "  connect  logins per second and memory per connection, of users and of others\n"
      "  sync     --users come back, each with --unread messages waiting\n"
      "Ends with 1 if a message was lost, doubled or out of order. What the figures mean: "
      "docs/performance.md\n"
      "Examples:\n"
      "  parley bench                                   # relay and chat\n"
      "  parley bench relay chat --repeat 5\n"
      "  parley bench chat --pairs 1 --window 1         # how long one message takes\n"
      "  parley bench chat --rate 5000 --seconds 20\n"
      "  parley bench fanout room --members 10000 --json");
  const auto options = std::make_shared<BenchOptions>();
  std::vector<std::string> names;
  for (const auto& [name, run] : scenarios()) names.push_back(name);
  bench->add_option("SCENARIO", options->scenarios, "Which; default: relay chat")
      ->check(CLI::IsMember(names));
  add_traffic_options(*bench, *options);
  add_crowd_options(*bench, *options);
  add_other_options(*bench, *options);
  bench->callback([&setup, &ending, options] { ending = run_bench(setup, *options); });
}

}  // namespace parley::cli
