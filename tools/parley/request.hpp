// One `do` from the command line: asked, printed, and turned into an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/parley/outcome.hpp"
#include "tools/parley/setup.hpp"

namespace parley::cli {

/// Keeps the order of the schema.
using Json = nlohmann::ordered_json;

/// How any request is asked and shown.
struct Manner {
  int timeout_s = 10;  // for each answer
  bool json = false;
};
/// --timeout, --json, and who asks.
void add_manner_options(CLI::App& command, Setup& setup, const std::shared_ptr<Manner>& manner);

/// A login for some minutes.
Outcome<Login> login_to_ask(const Setup& setup);

/// @return the result of one answer. A refusal is a failure with its code
Outcome<Json> request(const Login& login, const std::string& method, const Json& what,
                      const Manner& manner);

/// Logs in, asks, and prints the result of each answer: with `--json` as it came, one object in a
/// line, else for people (print_result).
Outcome<void> run_request(const Setup& setup, const std::string& method, const Json& what,
                          const Manner& manner);

/// Prints a result for people: a line for each thing, its parts with tabs between them.
/// @return a failure if a part of what was asked for was refused
Outcome<void> print_result(const std::string& method, const Json& result);

/// A part of a result as one word or more in a line; what is not there is "-".
std::string shown(const Json& value);

}  // namespace parley::cli
