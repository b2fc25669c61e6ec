// The packets of a byte stream, where they lie: nothing is copied but what a read cut in two.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tools/load/mqtt_packet.hpp"

namespace parley::load {

/// One packet in somebody else's buffer.
struct PacketView {
  PacketType type = PacketType::connect;
  unsigned flags = 0;
  std::string_view body;  // without the fixed header
};

/// Takes the first complete packet off the front of `bytes`; nothing if there is none yet.
/// @throw std::runtime_error if the bytes cannot be MQTT
std::optional<PacketView> next_packet(std::string_view& bytes);

/// An MQTT 3.1.1 PUBLISH in somebody else's buffer.
struct PublishView {
  std::string_view topic;
  std::string_view payload;
  std::uint16_t packet_id = 0;  // 0 with QoS 0
};
/// @throw std::runtime_error if it is too short
PublishView view_publish(const PacketView& packet);
/// Of a PUBACK and its like. @throw std::runtime_error if it is too short
std::uint16_t view_packet_id(const PacketView& packet);

class PacketStream {
 public:
  /// Calls `take(const PacketView&)` for each packet that is complete now; what it looks at is gone
  /// when it returns, and it must not feed this stream.
  template <class Take>
  void feed(std::string_view bytes, Take&& take) {
    if (rest_.empty()) {
      while (const auto packet = next_packet(bytes)) take(*packet);
      rest_.assign(bytes);
      return;
    }
    rest_.append(bytes);
    std::string_view left{rest_};
    while (const auto packet = next_packet(left)) take(*packet);
    rest_.erase(0, rest_.size() - left.size());
  }
  /// Forgets the beginning of a packet: for a new connection.
  void clear() { rest_.clear(); }

 private:
  std::string rest_;  // the beginning of a packet whose end has not come
};

}  // namespace parley::load
