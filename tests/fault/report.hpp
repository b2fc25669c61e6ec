// What a run found: a line per round, the history of each violation, and the table at the end.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/fault/checker.hpp"
#include "tests/fault/plan.hpp"

namespace parley::fault {

struct RoundResult {
  PlannedRound planned{};
  std::set<std::string> injected{};  // kinds that took place
  std::set<std::string> skipped{};   // kinds that cannot be made here
  int reconnected = 0;
  Counts counts{};
  std::vector<Violation> violations{};
  std::map<std::string, std::string> histories{};  // of the messages in question
};

class Report {
 public:
  explicit Report(std::uint64_t seed) : seed_{seed} {}
  /// Prints the round.
  void add(const RoundResult& result);
  /// Prints the table. @return whether nothing was violated
  bool finish(int bad_logs);

 private:
  struct Line {
    std::int64_t rounds = 0;
    std::int64_t injected = 0;
    std::int64_t skipped = 0;
    std::int64_t violations = 0;
    std::int64_t reconnected = 0;
    Counts counts{};
  };
  static void add_to(Line& line, const RoundResult& result, int injected, int skipped);
  static void print(const std::string& name, const Line& line);

  std::uint64_t seed_;
  std::map<std::string, Line> lines_;
  Line total_;
  std::int64_t rounds_passed_ = 0;
  std::int64_t rounds_without_fault_ = 0;
};

}  // namespace parley::fault
