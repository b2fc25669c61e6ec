// The examples of docs/protocol.md: read from the document, carried out, compared.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace parley::test {

enum class Says { publishes, gets };

/// One thing that a client does or gets, and its payload.
struct ExampleStep {
  Says says = Says::publishes;
  std::string who;     // "alice", or "alice.phone" for that device
  std::string rest;    // of the topic, behind "im/u/<who>/"
  std::string answer;  // where its MQTT 5 response topic points, if it has one; "rr/1"
  std::string payload;
  int line = 0;
  int block = 0;  // of the document's examples, from 1
};

/// All blocks that begin with "```mqtt": "> topic" and "< topic" in front of a payload of one or
/// more lines, which belong together as one.
/// @throw std::runtime_error with the line of what cannot be read
std::vector<ExampleStep> examples_in(std::string_view document);

/// Whether `actual` is what the document shows as `shown`: the same, but for times, tokens,
/// versions and the epoch, which must only look alike. JSON by its values, whatever the line
/// breaks.
bool as_shown(const std::string& shown, const std::string& actual);

}  // namespace parley::test
