// The one configuration file, read by the worker and the command line (config/parley.toml says what
// each key means).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.hpp"
#include "core/result.hpp"

namespace parley {

struct BrokerConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
  std::string prefix = "im";
  std::string key_file;  // an absolute path, or one relative to the working directory
};
struct DatabaseConfig {
  std::string uri;  // libpq's; may hold a password, so it is never logged
  std::uint32_t lanes = 2;
};
struct DeliveryConfig {
  std::uint32_t request_timeout_ms = 5'000;
  std::uint32_t redeliver_after_ms = 10'000;
  std::uint32_t redeliver_max = 3;
  std::uint32_t unconfirmed_max = 400;  // packets on their way to one session
  std::uint32_t paced_per_s = 500;      // packets of a backlog that nobody confirms
};
struct PresenceConfig {
  std::uint32_t grace_ms = 30'000;  // who is back by then was never away
};
struct SearchConfig {
  std::string configuration = "simple";  // of PostgreSQL's text search
};
struct RetentionConfig {
  std::uint32_t days = 0;  // 0: messages stay for ever
};
struct LinkConfig {
  std::uint32_t credit_records = 8'192;
  std::uint32_t credit_bytes = 8 * 1024 * 1024;
  std::uint32_t batches_window = 64;  // sent and not applied; no key: only the simulation sets it
};
enum class LogLevel { debug, info, warn, error };
struct LogConfig {
  LogLevel level = LogLevel::info;
};
struct InfoConfig {
  std::vector<std::string> endpoints;  // published in <prefix>/s/info: where clients may connect
};

struct Config {
  BrokerConfig broker;
  DatabaseConfig database;
  Limits limits;
  DeliveryConfig delivery;
  PresenceConfig presence;
  SearchConfig search;
  RetentionConfig retention;
  LinkConfig link;
  LogConfig log;
  InfoConfig info;
};

std::string_view to_string(LogLevel level);

/// Reads a configuration file. Relative paths in it are relative to its folder.
/// @return or everything that is wrong with it, one sentence each ("<path>:<line>: …")
Result<Config, std::vector<std::string>> load_config(const std::string& path);
/// The same from text. @param path  for messages, and whose folder relative paths start from
Result<Config, std::vector<std::string>> parse_config(std::string_view text,
                                                      const std::string& path);

/// What is in force, as a configuration file with every key. A password in the URI is masked.
std::string render_config(const Config& config);

}  // namespace parley
