#include "tests/fault/options.hpp"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tests/fault/faults.hpp"

namespace parley::fault {

std::optional<int> read_options(int argc, char** argv, Options& options) {
  constexpr int most = 1'000'000;
  double seconds_per_round = options.round_ms / 1000.0;
  std::vector<std::string> only;
  CLI::App app{"Attacks a private instance, round by round (tests/fault/README.md).",
               "parley_fault"};
  app.add_option("--rounds", options.rounds, "How many")
      ->capture_default_str()
      ->check(CLI::Range(1, most));
  app.add_option("--from", options.from, "Leaves out the rounds before that one")
      ->capture_default_str()
      ->check(CLI::Range(1, most));
  app.add_option("--seed", options.seed, "What happens when")->capture_default_str();
  app.add_option("--seconds-per-round", seconds_per_round, "Of traffic")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  app.add_option("--rate", options.sends_per_s, "Messages per second of all clients together")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 10'000.0));
  app.add_option("--only", only, "Only these kinds of faults")
      ->delimiter(',')
      ->check([](const std::string& kind) {
        return find_kind(kind) == nullptr ? "there is no kind " + kind + "; see --list" : "";
      });
  app.add_flag("--list", options.list, "List the kinds");
  app.add_flag("--keep", options.keep, "Keep the folders with the logs");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.round_ms = static_cast<int>(seconds_per_round * 1000);
  options.only = {only.begin(), only.end()};
  return std::nullopt;
}

}  // namespace parley::fault
