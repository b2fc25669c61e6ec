// A running instance with all its clients, over many rounds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/fault/checker.hpp"
#include "tests/fault/client.hpp"
#include "tests/fault/population.hpp"
#include "tests/support/instance.hpp"

namespace parley::fault {

struct ArenaOptions {
  std::uint64_t seed = 1;
  double sends_per_s = 150;
  test::InstanceOptions instance{};
};

class Arena {
 public:
  explicit Arena(const ArenaOptions& options);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  test::Instance& instance() { return *instance_; }
  std::vector<std::unique_ptr<Client>>& clients() { return clients_; }
  void enter(Phase phase);
  /// Until everybody has an answer to everything and has got everything, or the deadline passes;
  /// then looks at it all. What is missing then stands in Round::stuck.
  Round finish_round();
  std::vector<Violation> check(const Round& round) { return checker_.check(round); }
  [[nodiscard]] const Checker& checker() const { return checker_; }
  /// The row numbers that the next round begins with are of a spool that is gone.
  void void_now() { void_until_ = now_micros(); }
  /// How many clients had to come back before they had everything, in the last round.
  [[nodiscard]] int reconnected() const { return reconnected_; }

 private:
  void connect_clients(const Population& population, std::uint64_t seed);
  void wait_settled(Round& round);
  void wait_complete(Round& round);
  void give_targets();
  void read_rows(Round& round);
  void read_state(Round& round);

  Membership membership_;
  std::unique_ptr<test::Instance> instance_;
  Checker checker_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Row> fresh_rows_;
  std::map<std::string, Seq> rows_read_;  // per conversation
  Archive rows_;
  Micros void_until_ = 0;
  int reconnected_ = 0;
};

}  // namespace parley::fault
