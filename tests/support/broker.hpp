// A private Mosquitto with the plugin, on a loopback port.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/process.hpp"

namespace parley::test {

struct BrokerOptions {
  std::vector<std::string> lines{};           // of mosquitto.conf, before the listener's
  std::vector<std::string> plugin_options{};  // "spool_mib 1"
  bool with_plugin = true;
  std::string state_dir{};               // of the plugin; empty: <folder>/spool
  std::vector<std::string> acl_lines{};  // of an acl_file; none: no such file
  /// Of a password_file; none: no such file.
  std::vector<std::pair<std::string, std::string>> passwords{};
  std::vector<std::pair<std::string, std::string>> environment{};  // added to ours
};

class Broker {
 public:
  /// Starts it. @param folder  where everything lies; the key file is `<folder>/keys`
  Broker(std::string folder, BrokerOptions options);

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] Process& process() { return *process_; }
  /// SIGKILL: nothing is saved but what is on disk already.
  void kill() { process_->kill(); }
  /// SIGTERM: a planned stop.
  void stop();
  /// Again, on the same port, from the same folder.
  void start();
  /// SIGHUP. Returns at once.
  void reload() const { process_->signal(1); }
  [[nodiscard]] std::string log() const { return read_file(log_path()); }
  [[nodiscard]] std::string log_path() const { return folder_ + "/mosquitto.log"; }
  /// Adds a line to `lines`; counts from the next start.
  void configure(const std::string& line) { options_.lines.push_back(line); }
  /// Counts from the next start.
  void set_environment(std::vector<std::pair<std::string, std::string>> environment) {
    options_.environment = std::move(environment);
  }

 private:
  void write_conf() const;
  bool try_start();

  std::string folder_;
  BrokerOptions options_;
  std::uint16_t port_ = 0;
  std::optional<Process> process_;
};

}  // namespace parley::test
