#include "tools/load/mqtt_packet.hpp"

#include <stdexcept>

#include "tools/load/packet_stream.hpp"

namespace parley::load {

namespace {

/// MQTT 5 §2.2.2.2.
enum Property : std::uint8_t {
  message_expiry = 0x02,
  content_type = 0x03,
  response_topic = 0x08,
  correlation_data = 0x09,
  session_expiry = 0x11,
  will_delay = 0x18,
  receive_maximum = 0x21,
  user_property = 0x26,
};

void put_u16(std::string& out, std::size_t value) {
  out.push_back(static_cast<char>(value >> 8U));
  out.push_back(static_cast<char>(value & 0xffU));
}

void put_u32(std::string& out, std::uint32_t value) {
  put_u16(out, value >> 16U);
  put_u16(out, value & 0xffffU);
}

void put_length(std::string& out, std::size_t value) {
  do {
    const std::size_t low = value % 128;
    value /= 128;
    out.push_back(static_cast<char>(value > 0 ? low | 0x80U : low));
  } while (value > 0);
}

void put_text(std::string& out, std::string_view text) {
  put_u16(out, text.size());
  out.append(text);
}

std::string framed(PacketType type, unsigned flags, std::string_view body) {
  std::string out(1, static_cast<char>((static_cast<unsigned>(type) << 4U) | flags));
  put_length(out, body.size());
  return out.append(body);
}

void put_properties(std::string& out, std::string_view properties) {
  put_length(out, properties.size());
  out.append(properties);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_{bytes} {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::string_view bytes(std::size_t count) {
    if (rest_.size() < count) throw std::runtime_error("mqtt: packet too short");
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::uint8_t u8() { return static_cast<std::uint8_t>(bytes(1)[0]); }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>((high << 8U) | u8());
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return (high << 16U) | u16();
  }
  std::size_t length() {
    std::size_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
      const std::size_t byte = u8();
      value |= (byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    throw std::runtime_error("mqtt: bad length");
  }
  std::string text() { return std::string(bytes(u16())); }
  std::string_view rest() { return bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

void read_property(Reader& in, Publication& into) {
  switch (in.u8()) {
    case message_expiry:
      into.expiry_s = in.u32();
      return;
    case content_type:
      into.content_type = in.text();
      return;
    case response_topic:
      into.response_topic = in.text();
      return;
    case correlation_data:
      into.correlation_data = in.text();
      return;
    case user_property: {
      std::string key = in.text();
      into.user_properties.push_back({std::move(key), in.text()});
      return;
    }
    case 0x01:  // payload format indicator
      in.u8();
      return;
    case 0x0b:  // subscription identifier
      in.length();
      return;
    default:
      throw std::runtime_error("mqtt: a property that no PUBLISH has");
  }
}

std::string will_part(const Will& will, int version) {
  std::string out;
  if (version == 5) {
    std::string properties;
    if (will.delay_s > 0) {
      properties.push_back(static_cast<char>(will_delay));
      put_u32(properties, will.delay_s);
    }
    put_properties(out, properties);
  }
  put_text(out, will.topic);
  put_text(out, will.payload);
  return out;
}

}  // namespace

std::string Publication::user_property(std::string_view key) const {
  for (const UserProperty& property : user_properties) {
    if (property.key == key) return property.value;
  }
  return {};
}

std::string encode_connect(const ConnectOptions& options) {
  std::string body;
  put_text(body, "MQTT");
  body.push_back(static_cast<char>(options.version));
  unsigned flags = options.clean ? 2U : 0U;
  if (options.will) {
    flags |= 4U | (static_cast<unsigned>(options.will->qos) << 3U);
    if (options.will->retain) flags |= 0x20U;
  }
  if (options.password) flags |= 0x40U;
  if (options.username) flags |= 0x80U;
  body.push_back(static_cast<char>(flags));
  put_u16(body, options.keepalive_s);
  if (options.version == 5) {
    std::string properties;
    if (options.session_expiry_s) {
      properties.push_back(static_cast<char>(session_expiry));
      put_u32(properties, *options.session_expiry_s);
    }
    if (options.receive_maximum) {
      properties.push_back(static_cast<char>(receive_maximum));
      put_u16(properties, *options.receive_maximum);
    }
    put_properties(body, properties);
  }
  put_text(body, options.client_id);
  if (options.will) body += will_part(*options.will, options.version);
  if (options.username) put_text(body, *options.username);
  if (options.password) put_text(body, *options.password);
  return framed(PacketType::connect, 0, body);
}

std::string encode_publish(const Publication& publication, int version) {
  std::string body;
  put_text(body, publication.topic);
  if (publication.qos > 0) put_u16(body, publication.packet_id);
  if (version == 5) {
    std::string properties;
    const auto put = [&](Property id, const std::optional<std::string>& value) {
      if (!value) return;
      properties.push_back(static_cast<char>(id));
      put_text(properties, *value);
    };
    if (publication.expiry_s) {
      properties.push_back(static_cast<char>(message_expiry));
      put_u32(properties, *publication.expiry_s);
    }
    put(content_type, publication.content_type);
    put(response_topic, publication.response_topic);
    put(correlation_data, publication.correlation_data);
    for (const UserProperty& property : publication.user_properties) {
      properties.push_back(static_cast<char>(user_property));
      put_text(properties, property.key);
      put_text(properties, property.value);
    }
    put_properties(body, properties);
  }
  body += publication.payload;
  const unsigned flags = (publication.dup ? 8U : 0U) |
                         (static_cast<unsigned>(publication.qos) << 1U) |
                         (publication.retain ? 1U : 0U);
  return framed(PacketType::publish, flags, body);
}

std::string encode_subscribe(std::uint16_t packet_id, const std::vector<Subscription>& what,
                             int version) {
  std::string body;
  put_u16(body, packet_id);
  if (version == 5) put_properties(body, {});
  for (const Subscription& subscription : what) {
    put_text(body, subscription.filter);
    body.push_back(static_cast<char>(subscription.qos));
  }
  return framed(PacketType::subscribe, 2, body);
}

std::string encode_unsubscribe(std::uint16_t packet_id, const std::vector<std::string>& filters,
                               int version) {
  std::string body;
  put_u16(body, packet_id);
  if (version == 5) put_properties(body, {});
  for (const std::string& filter : filters) put_text(body, filter);
  return framed(PacketType::unsubscribe, 2, body);
}

std::string encode_ack(PacketType type, std::uint16_t packet_id) {
  std::string body;
  put_u16(body, packet_id);
  return framed(type, type == PacketType::pubrel ? 2 : 0, body);
}

std::string encode_empty(PacketType type) { return framed(type, 0, {}); }

std::optional<Packet> take_packet(std::string& buffer) {
  std::string_view rest{buffer};
  const auto seen = next_packet(rest);
  if (!seen) return std::nullopt;
  Packet packet{seen->type, seen->flags, std::string{seen->body}};
  buffer.erase(0, buffer.size() - rest.size());
  return packet;
}

Publication decode_publish(const Packet& packet, int version) {
  Reader in{packet.body};
  Publication publication;
  publication.qos = static_cast<int>((packet.flags >> 1U) & 3U);
  publication.retain = (packet.flags & 1U) != 0;
  publication.dup = (packet.flags & 8U) != 0;
  publication.topic = in.text();
  if (publication.qos > 0) publication.packet_id = in.u16();
  if (version == 5) {
    Reader properties{in.bytes(in.length())};
    while (!properties.empty()) read_property(properties, publication);
  }
  publication.payload = in.rest();
  return publication;
}

Answer decode_answer(const Packet& packet) {
  Reader in{packet.body};
  Answer answer;
  answer.packet_id = in.u16();
  if (!in.empty()) answer.reason = in.u8();
  return answer;
}

Connack decode_connack(const Packet& packet) {
  Reader in{packet.body};
  Connack connack;
  connack.session_present = (in.u8() & 1U) != 0;
  connack.code = in.u8();
  return connack;
}

Suback decode_suback(const Packet& packet, int version) {
  Reader in{packet.body};
  Suback suback;
  suback.packet_id = in.u16();
  if (version == 5) in.bytes(in.length());
  while (!in.empty()) suback.codes.push_back(in.u8());
  return suback;
}

}  // namespace parley::load
