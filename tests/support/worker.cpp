#include "tests/support/worker.hpp"

#include <csignal>
#include <stdexcept>

namespace parley::test {

Worker::Worker(std::string config_path, std::string log_path, Environment environment)
    : config_path_{std::move(config_path)},
      log_path_{std::move(log_path)},
      environment_{std::move(environment)} {}

void Worker::start() {
  process_.reset();
  process_.emplace(Command{.argv = {PARLEY_WORKER, "--config", config_path_},
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
