// The command line of parley_fault.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace parley::fault {

struct Options {
  int rounds = 20;
  int from = 1;  // earlier rounds of the plan are left out
  std::uint64_t seed = 1;
  int round_ms = 1'500;  // of traffic
  double sends_per_s = 150;
  std::set<std::string> only{};
  bool list = false;
  bool keep = false;

  [[nodiscard]] bool wants(const std::string& kind) const {
    return only.empty() || only.contains(kind);
  }
};

/// Nothing if there is something to do. Else the exit code: 0 after --help, 2 if the command line
/// cannot be understood; what is wrong stands on stderr then.
std::optional<int> read_options(int argc, char** argv, Options& options);

}  // namespace parley::fault
