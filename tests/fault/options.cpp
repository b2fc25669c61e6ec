#include "tests/fault/options.hpp"

#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace parley::fault {

namespace {

constexpr const char* usage =
    "Usage: parley_fault [--rounds N] [--from N] [--seed S] [--seconds-per-round T]\n"
    "                    [--rate MESSAGES_PER_S] [--only KIND[,KIND...]] [--list] [--keep]\n";

std::set<std::string> parts(const std::string& text) {
  std::set<std::string> all;
  std::istringstream in{text};
  for (std::string part; std::getline(in, part, ',');) all.insert(part);
  return all;
}

}  // namespace

std::optional<Options> read_options(int argc, char** argv) {
  Options options;
  try {
    for (int i = 1; i < argc; ++i) {
      const std::string_view name = argv[i];
      if (name == "--list") {
        options.list = true;
        continue;
      }
      if (name == "--keep") {
        options.keep = true;
        continue;
      }
      if (++i == argc) throw std::invalid_argument("no value");
      const std::string value = argv[i];
      if (name == "--rounds") {
        options.rounds = std::stoi(value);
      } else if (name == "--from") {
        options.from = std::stoi(value);
      } else if (name == "--seed") {
        options.seed = std::stoull(value);
      } else if (name == "--seconds-per-round") {
        options.round_ms = static_cast<int>(std::stod(value) * 1000);
      } else if (name == "--rate") {
        options.sends_per_s = std::stod(value);
      } else if (name == "--only") {
        options.only = parts(value);
      } else {
        throw std::invalid_argument("unknown option");
      }
    }
  } catch (const std::exception&) {
    std::cerr << usage;
    return std::nullopt;
  }
  return options;
}

}  // namespace parley::fault
