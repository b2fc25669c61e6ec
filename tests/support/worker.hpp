// A private parleyd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/support/process.hpp"

namespace parley::test {

class Worker {
 public:
  /// @param config_path  its TOML file; @param log_path  where its log goes
  Worker(std::string config_path, std::string log_path);

  /// Starts it; it is not online yet.
  void start();
  [[nodiscard]] bool started() const { return process_.has_value(); }
  [[nodiscard]] Process& process() { return *process_; }
  void kill() { process_->kill(); }
  /// SIGTERM. @return its exit code
  int stop();
  [[nodiscard]] std::string log() const { return read_file(log_path_); }
  [[nodiscard]] const std::string& log_path() const { return log_path_; }

 private:
  std::string config_path_;
  std::string log_path_;
  std::optional<Process> process_;
};

}  // namespace parley::test
