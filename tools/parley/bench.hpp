// parley bench: what a server can carry. What its scenarios share.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/load/client.hpp"
#include "tools/load/exchange.hpp"
#include "tools/load/processes.hpp"
#include "tools/load/tally.hpp"
#include "tools/parley/setup.hpp"

namespace parley::cli {

struct BenchOptions {
  std::vector<std::string> scenarios{"relay", "chat"};
  unsigned pairs = 50;
  unsigned window = 16;
  unsigned bytes = 100;
  std::uint64_t messages = 0;  // 0: as many as go in `seconds`
  double seconds = 5;
  double rate = 0;  // messages per second; 0: as many as go
  unsigned members = 1000;
  unsigned writers = 4;
  unsigned connections = 1000;
  unsigned logins = 2000;
  unsigned users = 1000;
  unsigned unread = 20;
  double within = 10;  // seconds
  std::uint64_t seed = 1;
  unsigned repeat = 1;
  std::string relay_user;  // empty: anonymous
  std::string relay_password;
  std::uint16_t bare_port = 0;  // 0: there is no broker without plugin
  std::string output;           // where the JSON goes as well
  bool json = false;
  bool yes = false;
};

/// What one measurement of one scenario gave.
struct Figures {
  std::vector<std::pair<std::string, double>> values;  // by name, with its unit at the end
  load::Counters acks;
  load::Counters deliveries;
  std::string complaint{};  // the first thing that was not as it should be
  std::string missing{};    // why there are no figures: then nothing else is there

  void add(std::string name, double value) { values.emplace_back(std::move(name), value); }
  [[nodiscard]] const double* find(std::string_view name) const;
};

/// The server that is measured, and our users there.
class Bench {
 public:
  /// Looks at the server, and refuses one with other people unless told to go on.
  static Outcome<Bench> open(const Setup& setup, BenchOptions options);

  /// Users `bench-<kind>1` … `bench-<kind><count>`: made if they are not there. What earlier runs
  /// left them counts as got.
  Outcome<std::vector<User>> users(const std::string& kind, unsigned count);
  /// A room `bench-<name>` with all of them, made if it is not there. The first one owns it.
  Outcome<std::string> room(const std::string& name, const std::vector<User>& members);

  /// How a user logs in. @param device  empty: under an id of no device
  [[nodiscard]] load::Credentials login(const User& user, const std::string& device = {}) const;
  /// How somebody who is none of ours does.
  [[nodiscard]] load::Credentials foreign_login(const std::string& client_id) const;
  /// "im/u/<user>/<rest>"
  [[nodiscard]] std::string topic(const User& user, const std::string& rest) const;
  [[nodiscard]] load::Endpoint where() const;
  /// A broker without plugin on the same machine, and its process; the server's own if there is
  /// none.
  [[nodiscard]] load::Endpoint bare_where() const;
  [[nodiscard]] pid_t bare_broker() const;
  /// Another number for each measurement, also of other runs.
  std::uint32_t next_run();

  /// Tells the person at the terminal how far it is.
  [[nodiscard]] std::function<void(const load::Progress&)> progress() const;
  void say(const std::string& line) const;
  /// What the progress line is about, and whether it is measured for the first time.
  void begin(std::string title, unsigned round) {
    title_ = std::move(title);
    round_ = round;
  }
  [[nodiscard]] bool first_round() const { return round_ == 1; }

  /// Finds the server's processes again: others may run now.
  void find_processes();
  [[nodiscard]] const load::Server& server() const { return server_; }
  [[nodiscard]] const BenchOptions& options() const { return options_; }
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const std::string& database_settings() const { return database_settings_; }

 private:
  Bench(BenchOptions options, Config config, Database database);
  Outcome<void> look();
  Outcome<void> catch_up();

  BenchOptions options_;
  Config config_;
  Database database_;
  Secret secret_{};
  std::uint8_t key_id_ = 0;
  load::Server server_;
  std::int64_t backend_ = 0;  // 0: PostgreSQL is elsewhere
  std::string database_settings_;
  std::uint32_t run_ = 0;
  std::string title_;
  unsigned round_ = 1;
};

/// CPU time between two moments, per message or whatever else.
class CpuMeter {
 public:
  explicit CpuMeter(const Bench& bench) : bench_{bench}, began_{load::cpu_times(bench.server())} {}
  /// Adds the figures `<process>_cpu_us_per_<what>` and their sum, for what was needed since the
  /// beginning; then waits until the server has nothing left to do (at most 5 s), and adds what
  /// that needed.
  void finish(Figures& figures, const std::string& what, double count) const;

 private:
  const Bench& bench_;
  const load::CpuTimes began_;
};

void add_latencies(Figures& figures, const std::string& name, const load::Histogram& ns);

// The scenarios: each connects its clients, measures once, and lets them go. They throw
// load::Error.
Outcome<Figures> bench_relay(Bench& bench);
Outcome<Figures> bench_chat(Bench& bench);
Outcome<Figures> bench_fanout(Bench& bench);
Outcome<Figures> bench_room(Bench& bench);
Outcome<Figures> bench_mixed(Bench& bench);
Outcome<Figures> bench_connect(Bench& bench);
Outcome<Figures> bench_sync(Bench& bench);

/// All measurements of one scenario.
struct ScenarioRuns {
  std::string name;
  std::vector<Figures> runs;
};
/// The report, as a table for people or as JSON.
std::string bench_table(const Bench& bench, const std::vector<ScenarioRuns>& all);
std::string bench_json(const Bench& bench, const std::vector<ScenarioRuns>& all);
/// What is wrong with the counters; empty if nothing is.
std::string bench_faults(const std::vector<ScenarioRuns>& all);

}  // namespace parley::cli
