// Random operations, and comparisons of what everybody then holds. Started by tools/walk.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string_view>

#include "tests/walk/walk.hpp"

namespace {

/// What an instance's logs held that no log may hold.
int& bad_logs() {
  static int count = 0;
  return count;
}

void on_log_check(const doctest::AssertData& data) {
  ++bad_logs();
  std::cout << "LOG: " << data.m_file << ": " << (data.m_expr == nullptr ? "" : data.m_expr)
            << '\n';
}

int usage() {
  std::cerr << "usage: parley_walk [--operations N] [--users N] [--seed N] [--quiet-every N]\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler(on_log_check);
  parley::walk::Options options;
  options.seed = static_cast<std::uint64_t>(std::time(nullptr));
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) return usage();
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (name == "--seed") {
      options.seed = value;
    } else if (name == "--operations") {
      options.operations = static_cast<int>(value);
    } else if (name == "--users") {
      options.users = static_cast<int>(value);
    } else if (name == "--quiet-every") {
      options.quiet_every = static_cast<int>(value);
    } else {
      return usage();
    }
  }
  if (options.users < 2 || options.operations < 1 || options.quiet_every < 1) return usage();
  parley::walk::Sum sum;
  try {
    sum = parley::walk::Walk{options}.run();
  } catch (const std::exception& error) {
    std::cout << error.what() << '\n';
    ++sum.failed;
  }
  sum.failed += bad_logs();
  // As the other programs say it, for tools/test.
  std::cout << "[doctest] test cases: " << sum.passed + sum.failed << " | " << sum.passed
            << " passed | " << sum.failed << " failed | 0 skipped\n";
  std::cout << sum.passed << " passed, " << sum.failed << " failed" << std::endl;
  return sum.failed == 0 && sum.passed > 0 ? 0 : 1;
}
