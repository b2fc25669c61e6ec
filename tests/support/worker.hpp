// A private parleyd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/process.hpp"

namespace parley::test {

/// parleyd: the one that was built with the tests, or what PARLEY_WORKER_PROGRAM says (one with a
/// sanitizer, or a broken one).
std::string worker_program();
/// Likewise the plugin (PARLEY_PLUGIN_FILE) and `parley` (PARLEY_CLI_PROGRAM), as they belong to
/// the worker: for comparing versions.
std::string plugin_file();
std::string cli_program();

class Worker {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;
  /// @param config_path  its TOML file; @param log_path  where its log goes
  /// @param environment  added to ours at each start
  Worker(std::string config_path, std::string log_path, Environment environment = {});

  /// Starts it; it is not online yet.
  void start();
  [[nodiscard]] bool started() const { return process_.has_value(); }
  [[nodiscard]] Process& process() { return *process_; }
  void kill() { process_->kill(); }
  /// SIGTERM. @return its exit code
  int stop();
  [[nodiscard]] std::string log() const { return read_file(log_path_); }
  [[nodiscard]] const std::string& log_path() const { return log_path_; }
  [[nodiscard]] const Environment& environment() const { return environment_; }
  /// Counts from the next start.
  void set_environment(Environment environment) { environment_ = std::move(environment); }

 private:
  std::string config_path_;
  std::string log_path_;
  Environment environment_;
  std::optional<Process> process_;
};

}  // namespace parley::test
