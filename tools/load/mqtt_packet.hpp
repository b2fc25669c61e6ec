// MQTT packets as bytes (MQTT 3.1.1 and 5): all that the load side and the test client write, and
// what they read whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace parley::load {

struct UserProperty {
  std::string key;
  std::string value;
  bool operator==(const UserProperty&) const = default;
};

struct Publication {
  std::string topic;
  std::string payload;
  int qos = 1;
  bool retain = false;
  bool dup = false;
  std::uint16_t packet_id = 0;
  // MQTT 5:
  std::vector<UserProperty> user_properties{};
  std::optional<std::string> response_topic{};
  std::optional<std::string> correlation_data{};
  std::optional<std::string> content_type{};
  std::optional<std::uint32_t> expiry_s{};

  /// The value of the first user property with that key; empty if there is none.
  [[nodiscard]] std::string user_property(std::string_view key) const;
};

struct Will {
  std::string topic;
  std::string payload;
  int qos = 1;
  bool retain = false;
  std::uint32_t delay_s = 0;  // MQTT 5
};

struct ConnectOptions {
  std::string client_id{};
  std::optional<std::string> username{};
  std::optional<std::string> password{};
  int version = 4;  // or 5
  bool clean = true;
  std::uint16_t keepalive_s = 60;
  std::optional<Will> will{};
  std::optional<std::uint32_t> session_expiry_s{};  // MQTT 5
  std::optional<std::uint16_t> receive_maximum{};   // MQTT 5
};

enum class PacketType : std::uint8_t {
  connect = 1,
  connack,
  publish,
  puback,
  pubrec,
  pubrel,
  pubcomp,
  subscribe,
  suback,
  unsubscribe,
  unsuback,
  pingreq,
  pingresp,
  disconnect,
};

struct Subscription {
  std::string filter;
  int qos = 1;
};

std::string encode_connect(const ConnectOptions& options);
std::string encode_publish(const Publication& publication, int version);
std::string encode_subscribe(std::uint16_t packet_id, const std::vector<Subscription>& what,
                             int version);
std::string encode_unsubscribe(std::uint16_t packet_id, const std::vector<std::string>& filters,
                               int version);
/// PUBACK, PUBREC, PUBREL, PUBCOMP with reason 0.
std::string encode_ack(PacketType type, std::uint16_t packet_id);
std::string encode_empty(PacketType type);  // PINGREQ, DISCONNECT

/// One packet as it came, without its length.
struct Packet {
  PacketType type = PacketType::connect;
  unsigned flags = 0;
  std::string body;
};
/// Takes the first complete packet off `buffer`; nothing if there is none yet.
/// @throw std::runtime_error if the bytes cannot be MQTT
std::optional<Packet> take_packet(std::string& buffer);

/// The body of PUBACK and its like.
struct Answer {
  std::uint16_t packet_id = 0;
  std::uint8_t reason = 0;
};
Publication decode_publish(const Packet& packet, int version);
Answer decode_answer(const Packet& packet);
struct Connack {
  bool session_present = false;
  std::uint8_t code = 0;
};
Connack decode_connack(const Packet& packet);
struct Suback {
  std::uint16_t packet_id = 0;
  std::vector<std::uint8_t> codes;
};
Suback decode_suback(const Packet& packet, int version);

}  // namespace parley::load
