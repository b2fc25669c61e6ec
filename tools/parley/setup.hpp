// What every command shares: the options in front of it, and what they lead to.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "core/ids.hpp"
#include "core/token.hpp"
#include "tools/parley/database.hpp"
#include "tools/parley/outcome.hpp"
#include "worker/config.hpp"

namespace parley::cli {

/// As given on the command line or in the environment; empty: not given.
struct Setup {
  std::string config_path;
  std::string as;
  std::string token;
  std::string broker;  // host, or host:port
  std::string prefix;
};

/// Call before anything starts a thread. The command line's options overwrite it.
Setup from_environment();

/// Where the outcome of the chosen command goes: CLI11's callbacks return nothing.
using Ending = Outcome<void>;

/// For commands that work on the files and the database of a server.
Outcome<Config> load_setup(const Setup& setup);
Outcome<Database> open_database(const Setup& setup);

struct User {
  UserId user_id;
  std::string name;
  std::uint32_t generation = 0;
  bool disabled = false;
};
Outcome<User> find_user(Database& database, const std::string& name);

/// Whom to speak as, and where.
struct Login {
  std::string host;
  std::uint16_t port = 0;
  std::string prefix;
  std::string name;
  std::string token;
};
/// @param valid_s  how long a token that is made for this purpose lives, in seconds
Outcome<Login> make_login(const Setup& setup, std::uint32_t valid_s);

/// Makes a token with the newest key of the configuration's key file.
Outcome<std::string> sign_token(const Config& config, TokenClaims claims, const std::string& name,
                                const std::string& device);

/// Unix seconds.
std::int64_t now_s();
/// `prefix` and 16 random hex digits.
std::string random_id(const std::string& prefix);

/// Options of commands that speak MQTT.
void add_login_options(CLI::App& command, Setup& setup);

}  // namespace parley::cli
