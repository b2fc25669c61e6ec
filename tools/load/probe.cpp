#include "tools/load/probe.hpp"

#include <chrono>

namespace parley::load {
namespace {

// Between an answer and the next ping: a wait may seem shorter by that.
constexpr auto pause = std::chrono::microseconds{200};

}  // namespace

class Probe::Pinger final : public Client {
 public:
  using Client::Client;
  bool answered = true;

 private:
  void on_ping_answer() override { answered = true; }
};

Probe::Probe(const Endpoint& where, const Credentials& credentials)
    : pinger_{std::make_unique<Pinger>(poller_)} {
  log_in_all(poller_, {pinger_.get()}, {where}, [&](std::size_t) { return credentials; });
  thread_ = std::thread{[this] { run(); }};
}

Probe::~Probe() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

const Histogram& Probe::stop() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
  if (!error_.empty()) throw Error(error_);
  return waits_;
}

void Probe::run() {
  try {
    while (!ending_) {
      if (restart_.exchange(false)) waits_.clear();
      const std::int64_t began = now_ns();
      pinger_->answered = false;
      pinger_->ping();
      while (!pinger_->answered && pinger_->is_open()) {
        poller_.turn(began + patience_ns);
        if (now_ns() - began >= patience_ns) break;
      }
      if (!pinger_->is_open()) throw Error("the broker has disconnected the client that waits");
      waits_.add(now_ns() - began);
      std::this_thread::sleep_for(pause);
    }
  } catch (const std::exception& error) {
    error_ = error.what();
  }
}

}  // namespace parley::load
