#include "tests/support/broker.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "tests/support/mqtt_client.hpp"
#include "tests/support/worker.hpp"

namespace parley::test {

namespace {

constexpr int port_attempts = 20;

/// Whether something accepts connections there.
bool accepts(std::uint16_t port) {
  try {
    const MqttClient probe{port};
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

void write_password_file(const std::string& path, const BrokerOptions& options) {
  bool first = true;
  for (const auto& [name, password] : options.passwords) {
    Command command{.argv = {"mosquitto_passwd", "-b"}};
    if (first) command.argv.emplace_back("-c");
    command.argv.insert(command.argv.end(), {path, name, password});
    if (run(command).code != 0) throw std::runtime_error("mosquitto_passwd");
    first = false;
  }
}

}  // namespace

Broker::Broker(std::string folder, BrokerOptions options)
    : folder_{std::move(folder)}, options_{std::move(options)} {
  ::mkdir((folder_ + "/store").c_str(), 0755);
  ::mkdir((folder_ + "/spool").c_str(), 0755);
  if (!options_.passwords.empty()) write_password_file(folder_ + "/passwords", options_);
  if (!options_.acl_lines.empty()) {
    std::string text;
    for (const std::string& line : options_.acl_lines) text += line + "\n";
    write_file(folder_ + "/acl", text);
  }
  for (int attempt = 0; attempt < port_attempts; ++attempt) {
    port_ = free_port();
    if (try_start()) return;
  }
  throw std::runtime_error("mosquitto does not start: " + log());
}

void Broker::write_conf() const {
  std::string conf = "persistence true\npersistence_location " + folder_ +
                     "/store/\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
                     "log_dest stderr\nlog_type error\nlog_type warning\nlog_type notice\n"
                     "log_type information\n";
  if (::getuid() == 0) conf += "user root\n";
  for (const std::string& line : options_.lines) conf += line + "\n";
  if (!options_.passwords.empty()) conf += "password_file " + folder_ + "/passwords\n";
  if (!options_.acl_lines.empty()) conf += "acl_file " + folder_ + "/acl\n";
  if (options_.with_plugin) {
    conf += "plugin " + plugin_file() + "\n";
    conf += "plugin_opt_key_file " + folder_ + "/keys\n";
    conf += "plugin_opt_state_dir " +
            (options_.state_dir.empty() ? folder_ + "/spool" : options_.state_dir) + "\n";
    for (const std::string& option : options_.plugin_options) conf += "plugin_opt_" + option + "\n";
  }
  conf += with_number("listener ", port_) + " 127.0.0.1\n";
  write_file(folder_ + "/mosquitto.conf", conf);
}

bool Broker::try_start() {
  write_conf();
  Command command{.argv = {"/usr/sbin/mosquitto", "-c", folder_ + "/mosquitto.conf"},
                  .env = options_.environment,
                  .log_path = log_path(),
                  .folder = folder_};
  if (const char* preload = std::getenv("PARLEY_BROKER_PRELOAD")) {
    std::string libraries = preload;
    for (const auto& [key, value] : std::exchange(command.env, {})) {
      if (key == "LD_PRELOAD") {
        libraries += ":" + value;
      } else {
        command.env.emplace_back(key, value);
      }
    }
    command.env.emplace_back("LD_PRELOAD", libraries);
    command.env.emplace_back("ASAN_OPTIONS", "detect_leaks=0:verify_asan_link_order=0");
  }
  process_.emplace(command);
  const Deadline deadline;
  bool up = false;
  eventually(
      "mosquitto accepts connections",
      [&] {
        // The listener of somebody else on the same port must not count: ours would have ended.
        up = process_->running() && accepts(port_) && process_->running();
        return up || !process_->running();
      },
      deadline);
  return up;
}

void Broker::stop() {
  process_->signal(SIGTERM);
  if (!process_->wait()) throw std::runtime_error("mosquitto does not stop");
}

void Broker::start() {
  process_.reset();
  if (!try_start()) throw std::runtime_error("mosquitto does not start again: " + log());
}

}  // namespace parley::test
