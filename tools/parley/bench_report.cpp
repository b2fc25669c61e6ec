// What `parley bench` tells: a table for people, JSON for programs.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "tools/parley/bench.hpp"

namespace parley::cli {
namespace {

using Json = nlohmann::ordered_json;

/// What is set against what, of the same run.
struct Ratio {
  const char* name;
  const char* of;
  const char* against;
  const char* figure;
};
constexpr Ratio ratios[] = {
    {"chat / relay", "chat", "relay", "messages_per_s"},
    {"room / fanout", "room", "fanout", "deliveries_per_s"},
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

const ScenarioRuns* find(const std::vector<ScenarioRuns>& all, std::string_view name) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const ScenarioRuns& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::vector<double> values_of(const ScenarioRuns& scenario, std::string_view figure) {
  std::vector<double> values;
  for (const Figures& run : scenario.runs) {
    if (const double* const value = run.find(figure)) values.push_back(*value);
  }
  return values;
}

/// Of the measurements that followed each other; empty if one of the two is missing.
std::vector<double> values_of(const std::vector<ScenarioRuns>& all, const Ratio& ratio) {
  std::vector<double> values;
  const ScenarioRuns* const of = find(all, ratio.of);
  const ScenarioRuns* const against = find(all, ratio.against);
  if (of == nullptr || against == nullptr) return values;
  for (std::size_t i = 0; i < std::min(of->runs.size(), against->runs.size()); ++i) {
    const double* const above = of->runs[i].find(ratio.figure);
    const double* const below = against->runs[i].find(ratio.figure);
    if (above != nullptr && below != nullptr && *below > 0) values.push_back(*above / *below);
  }
  return values;
}

load::Counters sum(const ScenarioRuns& scenario, load::Counters Figures::*which) {
  load::Counters all;
  for (const Figures& run : scenario.runs) all += run.*which;
  return all;
}

std::string missing_of(const ScenarioRuns& scenario) {
  for (const Figures& run : scenario.runs) {
    if (!run.missing.empty()) return run.missing;
  }
  return {};
}

Json json_of(const load::Counters& counters) {
  return {{"lost", counters.lost},
          {"duplicates", counters.duplicates},
          {"out_of_order", counters.out_of_order},
          {"refused", counters.refused},
          {"repeated", counters.repeated}};
}

double rounded(double value) {
  const double scale = std::abs(value) < 100 ? 1000 : 10;
  return std::round(value * scale) / scale;
}

Json json_of(const ScenarioRuns& scenario) {
  if (const auto missing = missing_of(scenario); !missing.empty()) return {{"missing", missing}};
  Json median_of = Json::object();
  Json runs = Json::array();
  for (const auto& [name, value] : scenario.runs.front().values) {
    median_of[name] = rounded(median(values_of(scenario, name)));
  }
  for (const Figures& run : scenario.runs) {
    Json one = Json::object();
    for (const auto& [name, value] : run.values) one[name] = rounded(value);
    runs.push_back(std::move(one));
  }
  return {{"median", median_of},
          {"runs", runs},
          {"acks", json_of(sum(scenario, &Figures::acks))},
          {"deliveries", json_of(sum(scenario, &Figures::deliveries))}};
}

Json options_json(const BenchOptions& options) {
  return {{"pairs", options.pairs},
          {"window", options.window},
          {"bytes", options.bytes},
          {"messages", options.messages},
          {"seconds", options.seconds},
          {"rate", options.rate},
          {"members", options.members},
          {"writers", options.writers},
          {"connections", options.connections},
          {"logins", options.logins},
          {"users", options.users},
          {"unread", options.unread},
          {"within", options.within},
          {"seed", options.seed},
          {"repeat", options.repeat}};
}

std::string with_commas(double value) {
  std::string digits = std::to_string(static_cast<long long>(std::llround(value)));
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (value < 0 ? 1 : 0);
       at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string shown(double value) {
  if (std::abs(value) >= 1000) return with_commas(value);
  std::array<char, 32> text{};
  const int decimals = std::abs(value) >= 100 ? 0 : std::abs(value) >= 10 ? 1 : 2;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string right(const std::string& text, std::size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

/// "median", and how far the measurements lie apart.
std::string row(const std::string& name, const std::vector<double>& values) {
  constexpr std::size_t name_width = 36;
  constexpr std::size_t value_width = 12;
  std::string line = "  " + padded(name, name_width) + right(shown(median(values)), value_width);
  if (values.size() > 1) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    line += "   (" + shown(*least) + " … " + shown(*most) + ")";
  }
  return line + '\n';
}

std::string faults_of(const ScenarioRuns& scenario) {
  std::string text;
  const auto add = [&](const char* what, const load::Counters& counters) {
    if (counters.good()) return;
    text += scenario.name + ": " + what + ": " + std::to_string(counters.lost) + " lost, " +
            std::to_string(counters.duplicates) + " duplicates, " +
            std::to_string(counters.out_of_order) + " out of order, " +
            std::to_string(counters.refused) + " refused\n";
  };
  add("acknowledgements", sum(scenario, &Figures::acks));
  add("deliveries", sum(scenario, &Figures::deliveries));
  for (const Figures& run : scenario.runs) {
    if (!run.complaint.empty()) text += scenario.name + ": " + run.complaint + '\n';
  }
  return text;
}

std::string machine() {
  return std::to_string(std::thread::hardware_concurrency()) + " × " + load::processor_name() +
         ", " + std::to_string(load::memory_bytes() >> 20U) + " MiB";
}

}  // namespace

const double* Figures::find(std::string_view name) const {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const auto& one) { return one.first == name; });
  return found == values.end() ? nullptr : &found->second;
}

std::string bench_faults(const std::vector<ScenarioRuns>& all) {
  std::string text;
  for (const auto& scenario : all) text += faults_of(scenario);
  if (!text.empty()) text.pop_back();
  return text;
}

std::string bench_json(const Bench& bench, const std::vector<ScenarioRuns>& all) {
  Json scenarios = Json::object();
  for (const auto& scenario : all) scenarios[scenario.name] = json_of(scenario);
  Json compared = Json::object();
  for (const Ratio& ratio : ratios) {
    const auto values = values_of(all, ratio);
    if (!values.empty()) compared[ratio.name] = rounded(median(values));
  }
  const load::Server& server = bench.server();
  const Json report{{"version", PARLEY_VERSION},
                    {"machine", machine()},
                    {"database", bench.database_settings()},
                    {"found",
                     {{"broker", server.broker > 0},
                      {"worker", server.worker > 0},
                      {"postgres", server.postmaster > 0}}},
                    {"options", options_json(bench.options())},
                    {"scenarios", scenarios},
                    {"ratios", compared},
                    {"good", bench_faults(all).empty()}};
  return report.dump(2) + '\n';
}

std::string bench_table(const Bench& bench, const std::vector<ScenarioRuns>& all) {
  const BenchOptions& options = bench.options();
  std::string text = "parley " PARLEY_VERSION " on " + machine() + "\n" +
                     bench.database_settings() + "; median of " + std::to_string(options.repeat) +
                     ", seed " + std::to_string(options.seed) + "\n";
  const load::Server& server = bench.server();
  if (server.broker == 0 || server.worker == 0 || server.postmaster == 0) {
    text +=
        "(not all processes of the server are on this machine and visible: their CPU is missing)\n";
  }
  for (const auto& scenario : all) {
    text += '\n' + scenario.name + '\n';
    if (const auto missing = missing_of(scenario); !missing.empty()) {
      text += "  not measured: " + missing + '\n';
      continue;
    }
    for (const auto& [name, value] : scenario.runs.front().values) {
      text += row(name, values_of(scenario, name));
    }
    const auto faults = faults_of(scenario);
    text += faults.empty() ? "  nothing lost, doubled or out of order\n" : faults;
  }
  bool any = false;
  for (const Ratio& ratio : ratios) {
    const auto values = values_of(all, ratio);
    if (values.empty()) continue;
    if (!any) text += "\nratios of the same run\n";
    any = true;
    text += row(std::string{ratio.name} + ", " + ratio.figure, values);
  }
  return text;
}

}  // namespace parley::cli
