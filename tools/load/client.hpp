// One MQTT 3.1.1 client of the load side: logs in, subscribes, acknowledges what it gets.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/load/poller.hpp"

namespace parley::load {

/// How a client logs in. Without user name: anonymous.
struct Credentials {
  std::string client_id;
  std::optional<std::string> user;
  std::optional<std::string> password;
};

class Client : public Connection {
 public:
  enum class State { closed, connecting, connected, subscribing, ready, refused };

  using Connection::Connection;

  /// Opens the connection and says CONNECT (clean session).
  /// @param number  see Connection::open
  void log_in(const Endpoint& where, const Credentials& credentials, std::size_t number = 0);
  /// QoS 1. Once connected.
  void subscribe(const std::vector<std::string>& filters);
  /// Publishes with QoS 1; nobody waits for the PUBACK.
  void publish(std::string_view topic, std::string_view payload);
  /// Says DISCONNECT; the broker closes.
  void say_goodbye();
  void ping();

  [[nodiscard]] State state() const { return state_; }
  /// The CONNACK's code, or 0x80 if a subscription was refused.
  [[nodiscard]] int refusal() const { return refusal_; }

 protected:
  /// A PUBLISH; it is acknowledged already.
  virtual void on_publish(const PublishView& /*message*/) {}
  virtual void on_puback(std::uint16_t /*packet_id*/) {}
  virtual void on_ping_answer() {}
  void on_packet(const PacketView& packet) final;
  void on_closed() override;
  std::uint16_t next_packet_id() {
    return last_id_ =
               last_id_ == 65'535 ? std::uint16_t{1} : static_cast<std::uint16_t>(last_id_ + 1);
  }

 private:
  State state_ = State::closed;
  int refusal_ = 0;
  std::uint16_t last_id_ = 0;
};

/// What a crowd of clients does at once.
struct CrowdLogin {
  const Endpoint& where;
  std::size_t at_once = 64;      // unanswered at any time
  std::size_t first_number = 0;  // see Connection::open
};

/// Logs all of them in and waits for it.
/// @param credentials  of the client with that index
/// @return seconds from the first CONNECT to the last CONNACK
/// @throw Error if one is refused, or nothing moves for 30 s
double log_in_all(Poller& poller, const std::vector<Client*>& clients, const CrowdLogin& crowd,
                  const std::function<Credentials(std::size_t)>& credentials);
/// Lets all of them subscribe and waits for it. @throw Error likewise
void subscribe_all(Poller& poller, const std::vector<Client*>& clients, std::size_t at_once,
                   const std::function<std::vector<std::string>(std::size_t)>& filters);
/// Lets all of them say goodbye, and waits until the broker has closed them.
void leave_all(Poller& poller, const std::vector<Client*>& clients);

/// Time within which something must move.
inline constexpr std::int64_t patience_ns = 30 * ns_per_s;

}  // namespace parley::load
