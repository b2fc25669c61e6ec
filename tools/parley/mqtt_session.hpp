// One MQTT 5 connection of the command line: unnamed, clean, waited for.
#pragma once

#include <mqtt/async_client.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tools/parley/outcome.hpp"
#include "tools/parley/setup.hpp"

namespace parley::cli {

using Clock = std::chrono::steady_clock;

struct Arrived {
  std::string topic;
  std::string payload;
  std::string correlation_data;
};
struct ConnectionLost {};
struct NothingYet {};
using Received = std::variant<Arrived, ConnectionLost, NothingYet>;

class MqttSession {
 public:
  static Outcome<MqttSession> open(const Login& login, Clock::time_point deadline);
  MqttSession(MqttSession&&) = default;
  MqttSession& operator=(MqttSession&&) = default;
  MqttSession(const MqttSession&) = delete;
  MqttSession& operator=(const MqttSession&) = delete;
  ~MqttSession();

  Outcome<void> subscribe(const std::string& filter, int qos, Clock::time_point deadline);
  /// Hands it over; the broker's word on it comes with `publish_refused`.
  Outcome<void> publish(mqtt::message_ptr message);
  /// Whether the broker has refused what was published last (MQTT 5 reason code 0x80 and above).
  [[nodiscard]] bool publish_refused() const;
  /// Whether it has taken it.
  [[nodiscard]] bool publish_taken() const;
  Received receive(std::chrono::milliseconds at_most);

 private:
  explicit MqttSession(std::unique_ptr<mqtt::async_client> client) : client_{std::move(client)} {}

  std::unique_ptr<mqtt::async_client> client_;
  mqtt::delivery_token_ptr published_;
};

}  // namespace parley::cli
