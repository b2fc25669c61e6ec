#include "tests/fault/report.hpp"

#include <cstdio>
#include <iostream>

namespace parley::fault {

namespace {

constexpr std::size_t violations_shown_max = 12;

}  // namespace

void Report::add_to(Line& line, const RoundResult& result, int injected, int skipped) {
  ++line.rounds;
  line.injected += injected;
  line.skipped += skipped;
  line.violations += static_cast<std::int64_t>(result.violations.size());
  line.reconnected += result.reconnected;
  line.counts += result.counts;
}

void Report::add(const RoundResult& result) {
  for (const std::string& kind : result.planned.kinds) {
    add_to(lines_[kind], result, result.injected.contains(kind) ? 1 : 0,
           result.skipped.contains(kind) ? 1 : 0);
  }
  add_to(total_, result, static_cast<int>(result.injected.size()),
         static_cast<int>(result.skipped.size()));
  // A trap may not have been passed in time: then nothing was put to the test.
  if (result.violations.empty())
    ++(result.injected.empty() ? rounds_without_fault_ : rounds_passed_);
  std::cout << ": " << result.counts.sent << " sent, " << result.counts.stored << " stored, "
            << result.counts.delivered << " delivered, " << result.counts.redelivered << " again";
  if (result.reconnected > 0) std::cout << ", " << result.reconnected << " came back for the rest";
  std::cout << (result.violations.empty() ? "\n" : ": VIOLATED\n");
  std::size_t shown = 0;
  for (const Violation& violation : result.violations) {
    if (++shown > violations_shown_max) {
      std::cout << "  … and " << result.violations.size() - violations_shown_max << " more\n";
      break;
    }
    std::cout << "  VIOLATION " << violation.check << ", seed " << seed_ << ", "
              << describe(result.planned) << ": " << violation.what << "\n";
    const auto history = result.histories.find(violation.text);
    if (history != result.histories.end()) std::cout << history->second;
  }
  std::cout << std::flush;
}

void Report::print(const std::string& name, const Line& line) {
  std::printf("%-26s %6lld %8lld %8lld %8lld %8lld %8lld %9lld %9lld %8lld %7lld %7lld %10lld\n",
              name.c_str(), static_cast<long long>(line.rounds),
              static_cast<long long>(line.injected), static_cast<long long>(line.counts.sent),
              static_cast<long long>(line.counts.taken), static_cast<long long>(line.counts.acked),
              static_cast<long long>(line.counts.stored),
              static_cast<long long>(line.counts.delivered),
              static_cast<long long>(line.counts.redelivered),
              static_cast<long long>(line.counts.refused), static_cast<long long>(line.reconnected),
              static_cast<long long>(line.skipped), static_cast<long long>(line.violations));
}

bool Report::finish(int bad_logs) {
  std::printf("\n%-26s %6s %8s %8s %8s %8s %8s %9s %9s %8s %7s %7s %10s\n", "fault", "rounds",
              "injected", "sent", "PUBACKed", "acked", "stored", "delivered", "again", "refused",
              "back", "skipped", "violations");
  for (const auto& [name, line] : lines_) print(name, line);
  print("all", total_);
  if (bad_logs > 0) std::printf("%d lines in logs that no log may hold\n", bad_logs);
  const std::int64_t failed = total_.rounds - rounds_passed_ - rounds_without_fault_;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
  std::printf("[doctest] test cases: %lld | %lld passed | %lld failed | %lld skipped\n",
              static_cast<long long>(total_.rounds), static_cast<long long>(rounds_passed_),
              static_cast<long long>(failed), static_cast<long long>(rounds_without_fault_));
  return failed == 0 && bad_logs == 0 && rounds_passed_ > 0;
}

}  // namespace parley::fault
