// Two MQTT clients to the broker: one receives, one publishes (docs/ARCHITECTURE.md, "paho"). They
// come up and go down together, and come up again by themselves.
#pragma once

#include <array>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/inbox.hpp"

namespace parley {

struct MqttSettings {
  std::string host;
  int port = 1883;
  std::string user;
  std::function<std::string()> password;  // asked for at each connect
  std::array<std::string, 2> client_ids;  // receiver, publisher
  std::vector<std::string> filters;       // the receiver's
  std::string will_topic;                 // the publisher's: retained, QoS 1
  std::string will_payload;
};

class MqttLink {
 public:
  struct Handlers {
    std::function<void()> up;  // both connected, the receiver subscribed
    std::function<void(const std::string& why)> down;
    std::function<void(std::string payload)> message;
  };
  MqttLink(asio::io_context& loop, MqttSettings settings, Handlers handlers);
  MqttLink(const MqttLink&) = delete;
  MqttLink& operator=(const MqttLink&) = delete;
  ~MqttLink();

  void start();
  /// Publishes with QoS 0 and hands the bytes over at once. False when it is not up.
  bool publish(const std::string& topic, std::string_view payload);
  /// Retained, QoS 1.
  bool publish_retained(const std::string& topic, std::string_view payload);
  /// Disconnects in good order: no will. Waits a short while for what was published.
  void stop();

  [[nodiscard]] bool is_up() const { return up_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  class Client;
  struct Event {
    enum class What { connected, subscribed, failed, lost } what;
    std::size_t client;
    std::uint64_t attempt;
    std::string why;
  };
  /// Of an earlier connection: ignored, its numbers may belong to another broker.
  struct Message {
    std::uint64_t attempt;
    std::string payload;
  };
  bool publish(const std::string& topic, std::string_view payload, int qos, bool retained);
  void connect_all();
  void drain();
  void on_event(const Event& event);
  void fail(const std::string& why);

  asio::io_context& loop_;
  const MqttSettings settings_;
  const Handlers handlers_;
  asio::steady_timer retry_;
  Inbox<Event> events_;
  Inbox<Message> messages_;
  std::array<std::unique_ptr<Client>, 2> clients_;
  std::uint64_t attempt_ = 0;
  int retry_delay_ms_ = 0;
  std::array<bool, 2> connected_{};
  bool up_ = false;
  bool stopped_ = false;
  bool reported_down_ = false;
  std::atomic<std::uint64_t> dropped_ = 0;
};

}  // namespace parley
