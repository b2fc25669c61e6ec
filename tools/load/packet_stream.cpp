#include "tools/load/packet_stream.hpp"

#include <stdexcept>

namespace parley::load {
namespace {

std::uint16_t u16(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>((static_cast<unsigned char>(bytes[at]) << 8U) |
                                    static_cast<unsigned char>(bytes[at + 1]));
}

}  // namespace

std::optional<PacketView> next_packet(std::string_view& bytes) {
  std::size_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7, ++at) {
    if (shift > 21) throw std::runtime_error("mqtt: bad length");
    if (at >= bytes.size()) return std::nullopt;
    const auto byte = static_cast<unsigned char>(bytes[at]);
    length |= static_cast<std::size_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) break;
  }
  ++at;
  if (bytes.size() < at + length) return std::nullopt;
  const auto first = static_cast<unsigned char>(bytes[0]);
  const PacketView packet{static_cast<PacketType>(first >> 4U), first & 0x0fU,
                          bytes.substr(at, length)};
  bytes.remove_prefix(at + length);
  return packet;
}

PublishView view_publish(const PacketView& packet) {
  const auto body = packet.body;
  const bool has_id = (packet.flags & 6U) != 0;
  if (body.size() < 2) throw std::runtime_error("mqtt: packet too short");
  const std::size_t topic_bytes = u16(body, 0);
  const std::size_t payload_at = 2 + topic_bytes + (has_id ? 2 : 0);
  if (body.size() < payload_at) throw std::runtime_error("mqtt: packet too short");
  return {body.substr(2, topic_bytes), body.substr(payload_at),
          has_id ? u16(body, payload_at - 2) : std::uint16_t{0}};
}

std::uint16_t view_packet_id(const PacketView& packet) {
  if (packet.body.size() < 2) throw std::runtime_error("mqtt: packet too short");
  return u16(packet.body, 0);
}

}  // namespace parley::load
