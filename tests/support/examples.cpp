#include "tests/support/examples.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>

#include "tests/support/text.hpp"

namespace parley::test {
namespace {

using Json = nlohmann::json;

[[noreturn]] void unreadable(int line, const std::string& why) {
  throw std::runtime_error(with_number("protocol.md, line ", line) + ": " + why);
}

/// "> im/u/alice/send/bob (as alice.phone) (response topic im/u/alice/rr/1)"
ExampleStep step_of(const std::string& text, int line) {
  static const std::regex form{
      R"(([<>]) im/u/([a-z0-9_-]+)/(\S+)(?: \(as (\S+)\))?(?: \(response topic im/u/[a-z0-9_-]+/(\S+)\))?)"};
  std::smatch parts;
  if (!std::regex_match(text, parts, form)) unreadable(line, text + " is no step");
  ExampleStep step;
  step.says = parts[1] == ">" ? Says::publishes : Says::gets;
  step.who = parts[4].matched ? parts[4] : parts[2];
  step.rest = parts[3];
  step.answer = parts[5];
  step.line = line;
  return step;
}

bool is_time(const std::string& text) {
  static const std::regex form{R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"};
  return std::regex_match(text, form);
}

bool is_token(const std::string& text) {
  static const std::regex form{"[A-Za-z0-9_-]{68}"};
  return std::regex_match(text, form);
}

/// What is another one each time has its name here instead.
std::string without_chance(const std::string& key, const std::string& text) {
  static const std::regex version{R"(\d+\.\d+\.\d+)"};
  static const std::regex seconds{R"(\b1\d{9}\b)"};
  if (is_time(text)) return "a time";
  if (is_token(text)) return "a token";
  if (key == "epoch" && !text.empty()) return "an epoch";
  if (key == "version" && std::regex_match(text, version)) return "a version";
  return std::regex_replace(text, seconds, "unix seconds");
}

bool alike(const std::string& key, const Json& shown, const Json& actual) {
  if (shown.type() != actual.type() && !(shown.is_number() && actual.is_number())) return false;
  if (shown.is_string()) {
    const auto a = shown.get<std::string>();
    const auto b = actual.get<std::string>();
    const bool nested = a.starts_with('{') && b.starts_with('{');
    return nested ? as_shown(a, b) : without_chance(key, a) == without_chance(key, b);
  }
  if (!shown.is_structured()) return shown == actual;
  if (shown.size() != actual.size()) return false;
  if (shown.is_array()) {
    return std::equal(shown.begin(), shown.end(), actual.begin(),
                      [&](const Json& a, const Json& b) { return alike(key, a, b); });
  }
  const auto items = shown.items();
  return std::all_of(items.begin(), items.end(), [&](const auto& item) {
    return actual.contains(item.key()) && alike(item.key(), item.value(), actual[item.key()]);
  });
}

}  // namespace

std::vector<ExampleStep> examples_in(std::string_view document) {
  std::vector<ExampleStep> steps;
  bool inside = false;
  bool fresh = false;  // no step yet in this block
  int line = 0;
  int block = 0;
  for (const auto& text : lines_of(document)) {
    ++line;
    if (!inside) {
      inside = fresh = text == "```mqtt";
      if (inside) ++block;
    } else if (text == "```") {
      inside = false;
    } else if (text.starts_with("> ") || text.starts_with("< ")) {
      steps.push_back(step_of(text, line));
      steps.back().block = block;
      fresh = false;
    } else if (fresh) {
      unreadable(line, "a payload without topic");
    } else {
      auto& payload = steps.back().payload;
      payload += (payload.empty() ? "" : "\n") + text;
    }
  }
  return steps;
}

bool as_shown(const std::string& shown, const std::string& actual) {
  const auto a = Json::parse(shown, nullptr, false);
  const auto b = Json::parse(actual, nullptr, false);
  if (a.is_structured() && b.is_structured()) return alike("", a, b);
  return without_chance("", shown) == without_chance("", actual);
}

}  // namespace parley::test
