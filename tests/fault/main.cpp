// Attacks a running instance from outside, round by round, and judges what the clients saw.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <poll.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "tests/fault/arena.hpp"
#include "tests/fault/faults.hpp"
#include "tests/fault/options.hpp"
#include "tests/fault/plan.hpp"
#include "tests/fault/report.hpp"

using namespace parley::fault;
namespace test = parley::test;

namespace {

constexpr int rounds_per_instance = 25;

void let_pass(int ms) { ::poll(nullptr, 0, ms); }

/// What the logs of an instance held that no log may hold; counted by doctest's handler below.
int& bad_logs() {
  static int count = 0;
  return count;
}

void on_log_check(const doctest::AssertData& data) {
  ++bad_logs();
  std::cerr << "LOG: " << data.m_file << ": " << (data.m_expr == nullptr ? "" : data.m_expr)
            << '\n';
}

/// Traffic, faults, healing, rest, judgement.
RoundResult run_round(Arena& arena, const PlannedRound& planned) {
  RoundResult result{.planned = planned};
  std::vector<std::pair<std::string, std::unique_ptr<Fault>>> faults;
  arena.begin_round(planned.seed);
  arena.enter(Phase::traffic);
  let_pass(planned.before_ms);
  for (const std::string& name : planned.kinds) {
    const Kind& kind = *find_kind(name);
    const std::string obstacle = kind.obstacle ? kind.obstacle(arena) : std::string{};
    if (!obstacle.empty()) {
      std::cout << " [SKIPPED " << name << ": " << obstacle << "]";
      result.skipped.insert(name);
      continue;
    }
    if (!faults.empty()) let_pass(planned.between_ms);
    faults.emplace_back(name, kind.make());
    faults.back().second->strike(arena);
  }
  let_pass(planned.hold_ms);
  for (const auto& [name, fault] : faults) {
    fault->heal(arena);
    if (fault->happened()) result.injected.insert(name);
  }
  let_pass(planned.after_ms);
  const Round round = arena.finish_round();
  result.violations = arena.check(round);
  result.counts = arena.checker().counts();
  result.reconnected = arena.reconnected();
  for (const Violation& violation : result.violations) {
    if (violation.text.empty() || result.histories.contains(violation.text)) continue;
    result.histories[violation.text] = explain(round, arena.checker().archive(), violation.text);
  }
  return result;
}

class Run {
 public:
  explicit Run(const Options& options) : options_{options}, report_{options.seed} {}

  int all() {
    const auto plan = make_plan(choices(), options_.rounds, options_.seed, options_.round_ms);
    for (const PlannedRound& planned : plan) {
      if (options_.from > planned.number) continue;
      std::cout << describe(planned) << std::flush;
      try {
        prepare(planned);
        report_.add(run_round(*arena_, planned));
        ++rounds_here_;
      } catch (const std::exception& error) {
        RoundResult broken{.planned = planned};
        broken.violations.push_back({"harness", error.what()});
        report_.add(broken);
        arena_.reset();
      }
    }
    arena_.reset();
    return report_.finish(bad_logs()) ? 0 : 1;
  }

 private:
  [[nodiscard]] std::vector<Choice> choices() const {
    std::vector<Choice> all;
    for (const Kind& kind : kinds()) {
      if (options_.wants(kind.name)) {
        all.push_back({kind.name, static_cast<int>(kind.part), kind.pairs});
      }
    }
    return all;
  }

  void prepare(const PlannedRound& planned) {
    const bool fresh = find_kind(planned.kinds.front())->fresh_instance;
    if (arena_ && (fresh || rounds_here_ >= rounds_per_instance)) arena_.reset();
    if (arena_) return;
    rounds_here_ = 0;
    arena_ = std::make_unique<Arena>(
        ArenaOptions{.seed = options_.seed, .sends_per_s = options_.sends_per_s});
  }

  Options options_;
  Report report_;
  std::unique_ptr<Arena> arena_;
  int rounds_here_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler(on_log_check);
  try {
    const std::string no_mounts = keep_mounts_private();
    if (!no_mounts.empty()) std::cerr << "parley_fault: " << no_mounts << '\n';
    Options options;
    if (const auto code = read_options(argc, argv, options)) return *code;
    if (options.list) {
      for (const Kind& kind : kinds()) std::cout << kind.name << ": " << kind.what << '\n';
      return 0;
    }
    if (options.keep) ::setenv("PARLEY_KEEP", "1", 1);
    return Run{options}.all();
  } catch (const std::exception& error) {
    std::cerr << "parley_fault: " << error.what() << '\n';
    return 1;
  }
}
