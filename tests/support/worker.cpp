#include "tests/support/worker.hpp"

#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace parley::test {

namespace {

std::string other_or(const char* variable, const char* built) {
  const char* const other = std::getenv(variable);
  return other == nullptr ? built : other;
}

}  // namespace

std::string worker_program() { return other_or("PARLEY_WORKER_PROGRAM", PARLEY_WORKER); }
std::string plugin_file() { return other_or("PARLEY_PLUGIN_FILE", PARLEY_PLUGIN); }
std::string cli_program() { return other_or("PARLEY_CLI_PROGRAM", PARLEY_CLI); }

Worker::Worker(std::string config_path, std::string log_path, Environment environment)
    : config_path_{std::move(config_path)},
      log_path_{std::move(log_path)},
      environment_{std::move(environment)} {}

void Worker::start() {
  process_.reset();
  process_.emplace(Command{.argv = {worker_program(), "--config", config_path_},
                           .env = environment_,
                           .log_path = log_path_});
}

int Worker::stop() {
  process_->signal(SIGTERM);
  const auto code = process_->wait();
  if (!code) throw std::runtime_error("parleyd does not stop");
  return *code;
}

}  // namespace parley::test
