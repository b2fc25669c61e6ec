// A running instance with all its clients, over many rounds.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/fault/checker.hpp"
#include "tests/fault/client.hpp"
#include "tests/fault/disks.hpp"
#include "tests/fault/foreign.hpp"
#include "tests/fault/population.hpp"
#include "tests/support/clock.hpp"
#include "tests/support/instance.hpp"

namespace parley::fault {

struct ArenaOptions {
  std::uint64_t seed = 1;
  double sends_per_s = 150;
};

class Arena {
 public:
  explicit Arena(const ArenaOptions& options);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  test::Instance& instance() { return *instance_; }
  test::Postgres& postgres() { return *postgres_; }
  SmallDisk& database_disk() { return database_disk_; }
  SmallDisk& spool_disk() { return spool_disk_; }
  [[nodiscard]] std::string spool_folder() const;
  /// What every broker of this instance is started with.
  [[nodiscard]] test::Worker::Environment broker_environment() const {
    return clock_.environment();
  }
  /// The wall clock of broker and worker. It begins two hours before a month's end.
  test::SteppedClock& clock() { return clock_; }
  test::SteppedClock& database_clock() { return database_clock_; }
  [[nodiscard]] std::chrono::system_clock::time_point month_end() const { return month_end_; }
  std::vector<std::unique_ptr<Client>>& clients() { return clients_; }
  void enter(Phase phase);
  /// What `chance` gives from now on depends on nothing else.
  void begin_round(std::uint64_t seed) { random_.seed(seed); }
  std::uint64_t chance() { return random_(); }
  /// Something was violated that no history shows.
  void complain(const std::string& check, const std::string& what) {
    complaints_.push_back({check, what});
  }
  /// Until everybody has an answer to everything and has got everything, or the deadline passes;
  /// then looks at it all. What is missing then stands in Round::stuck.
  Round finish_round();
  std::vector<Violation> check(const Round& round);
  [[nodiscard]] const Checker& checker() const { return checker_; }
  /// What the broker took until now may be gone.
  void void_now() { void_until_ = now_micros(); }
  /// How many clients had to come back before they had everything, in the last round.
  [[nodiscard]] int reconnected() const { return reconnected_; }

 private:
  void connect_clients(const Population& population, std::uint64_t seed);
  void wait_settled(Round& round);
  void wait_complete(Round& round);
  void give_targets();
  [[nodiscard]] std::optional<Target> target(Client& client, const FeedFormat& feed,
                                             const std::string& conversation,
                                             const std::map<std::string, Micros>& first_sent) const;
  void call_back(Client& client);
  void name_the_late(Round& round);
  bool wait_all(test::Milliseconds time, const std::function<bool(const Reader&)>& which);
  void read_rows(Round& round);
  void read_state(Round& round);

  [[nodiscard]] test::PostgresOptions postgres_options() const;
  [[nodiscard]] test::InstanceOptions instance_options();

  Membership membership_;
  Checker checker_;
  test::SteppedClock clock_;
  test::SteppedClock database_clock_;
  std::chrono::system_clock::time_point month_end_;
  SmallDisk database_disk_;
  SmallDisk spool_disk_;
  std::unique_ptr<test::Postgres> postgres_;
  std::unique_ptr<test::Instance> instance_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<ForeignDevice> lamp_;
  std::mt19937_64 random_;
  std::vector<Violation> complaints_;
  std::map<std::string, Seq> rows_read_;  // per conversation
  Archive rows_;
  Micros void_until_ = 0;
  int reconnected_ = 0;
};

}  // namespace parley::fault
