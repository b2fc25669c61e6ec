// A device that has nothing to do with Parley and shares its broker: what it publishes must arrive.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/connection.hpp"
#include "tests/fault/history.hpp"

namespace parley::fault {

/// Publishes numbers to home/lamp with QoS 1 and subscribes them, always on one connection.
class ForeignDevice {
 public:
  ForeignDevice(std::uint16_t port, std::string name, std::string password);
  ForeignDevice(const ForeignDevice&) = delete;
  ForeignDevice& operator=(const ForeignDevice&) = delete;
  ~ForeignDevice();
  /// Adds everything since the last time to `round`, once what was published has come back or a
  /// deadline has passed.
  void hand_over(Round& round);

 private:
  void run();
  void guarded_step();
  void step();
  void hang_up();
  void handle(const test::Packet& packet);
  void finish_log(bool in_order);

  const std::uint16_t port_;
  const std::string name_;
  const std::string password_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> pause_{false};
  std::mutex mutex_;  // guards everything below
  std::optional<Connection> connection_;
  bool ready_ = false;
  ForeignLog log_;
  std::vector<ForeignLog> logs_;
  std::int64_t last_number_ = 0;
  std::int64_t next_at_ = 0;
  bool ping_open_ = false;
  bool in_order_ = false;
  std::vector<std::string> failures_;  // see Round::failures
  std::thread thread_;
};

}  // namespace parley::fault
