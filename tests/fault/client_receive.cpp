// The receiving half of a client.
#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "schema/proto/parley/v1/client.pb.h"
#include "tests/fault/client.hpp"

namespace parley::fault {

namespace {

using Json = nlohmann::json;

constexpr Micros ms = 1'000;
constexpr Micros confirm_after = 400 * ms;  // then what is not confirmed yet is

Seq number_of(std::string_view text) {
  Seq number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// "stored 17" or "refused CODE".
void read_text_ack(const std::string& payload, AckSeen& ack) {
  if (payload.starts_with("stored ")) ack.seq = number_of(std::string_view{payload}.substr(7));
  if (payload.starts_with("refused ")) ack.code = payload.substr(8);
}

}  // namespace

void Client::handle(const test::Packet& packet) {
  using test::PacketType;
  switch (packet.type) {
    case PacketType::connack:
      return on_connack(packet);
    case PacketType::publish: {
      const test::Publication publication = test::decode_publish(packet, spec_.version);
      if (publication.qos == 1) {
        connection_->write(test::encode_ack(PacketType::puback, publication.packet_id));
      }
      return on_publication(publication);
    }
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubcomp: {
      const test::Answer answer = test::decode_answer(packet);
      const Wait wait = packet.type == PacketType::puback   ? Wait::puback
                        : packet.type == PacketType::pubrec ? Wait::pubrec
                                                            : Wait::pubcomp;
      return settle_answer(answer.packet_id, wait, answer.reason);
    }
    case PacketType::suback:
      for (const std::uint8_t code : test::decode_suback(packet, spec_.version).codes) {
        if (code > 2) throw std::runtime_error(spec_.reader.client_id + " may not subscribe");
      }
      --subacks_open_;
      sessions_.back().subscribed_at = now_micros();
      return;
    case PacketType::disconnect:
      return end_connection("DISCONNECT");
    case PacketType::pingresp:
    case PacketType::unsuback:
    case PacketType::connect:
    case PacketType::subscribe:
    case PacketType::unsubscribe:
    case PacketType::pingreq:
    case PacketType::pubrel:
      return;
  }
}

void Client::on_publication(const test::Publication& publication) {
  if (!publication.topic.starts_with(base_)) {
    sessions_.back().strange_topics.push_back(publication.topic);
    return;
  }
  const std::string rest = publication.topic.substr(base_.size());
  const auto slash = rest.find('/');
  const std::string verb = rest.substr(0, slash);
  const std::string name = slash == std::string::npos ? "" : rest.substr(slash + 1);
  if (verb.starts_with("inbox") || verb.starts_with("sent")) {
    return on_message(verb, name, publication);
  }
  if (verb.starts_with("ack") || verb == "rr") return on_answer(verb, name, publication);
  if (verb == "event.json") return on_event(publication.payload);
}

void Client::on_message(const std::string& verb, const std::string& conv,
                        const test::Publication& publication) {
  Delivery delivery;
  delivery.at = now_micros();
  delivery.feed = verb.starts_with("inbox") ? Feed::inbox : Feed::sent;
  delivery.conversation = membership_.conversation_of(spec_.reader.user, conv);
  if (verb.ends_with(".json")) {
    const Json json = Json::parse(publication.payload);
    delivery.format = Format::json;
    delivery.from = json["from"];
    delivery.seq = json["seq"].get<Seq>();
    delivery.text = json["text"];
  } else if (verb.ends_with(".pb")) {
    v1::Message message;
    if (!message.ParseFromString(publication.payload)) throw std::runtime_error("bad protobuf");
    delivery.format = Format::protobuf;
    delivery.from = message.from();
    delivery.seq = message.seq();
    delivery.text = message.text();
  } else {
    delivery.text = publication.payload;
    delivery.from = publication.user_property("from");
    delivery.seq = number_of(publication.user_property("seq"));
    const auto colon = delivery.text.find(": ");
    if (delivery.conversation.starts_with('#') && colon != std::string::npos) {
      delivery.from = delivery.text.substr(0, colon);
      delivery.text.erase(0, colon + 2);
    }
  }
  if (forgets(delivery)) return;
  Seq& seen = seen_[{{delivery.feed, delivery.format}, delivery.conversation}];
  seen = std::max(seen, delivery.seq);
  if (delivery.seq == 0) seen_texts_.insert(delivery.text);
  if (spec_.confirm_every > 0 && delivery.feed == Feed::inbox && delivery.seq > 0) {
    to_confirm_[conv].first = holds(delivery.conversation);
    ++since_confirmed_[conv];
  }
  if (live_since_ == 0) live_since_ = delivery.at;
  sessions_.back().deliveries.push_back(std::move(delivery));
}

bool Client::forgets(const Delivery& delivery) {
  if (!spec_.reader.confirms || delivery.feed != Feed::inbox) return false;
  const std::pair key{FeedFormat{delivery.feed, delivery.format}, delivery.conversation};
  if (now_micros() < forget_until_) {
    if (delivery.seq > seen_[key]) forgot_.try_emplace(key, delivery.seq);
    return true;
  }
  const auto first = forgot_.find(key);
  if (first == forgot_.end() || delivery.seq < first->second) return false;
  if (delivery.seq > first->second) return true;
  forgot_.erase(first);
  return false;
}

/// Up to where it holds that in all its formats: a `got` says so of everything before.
Seq Client::holds(const std::string& conversation) const {
  Seq lowest = std::numeric_limits<Seq>::max();
  for (const FeedFormat& feed : spec_.reader.feeds) {
    if (feed.first != Feed::inbox) continue;
    const auto seen = seen_.find({feed, conversation});
    lowest = std::min(lowest, seen == seen_.end() ? 0 : seen->second);
  }
  return lowest;
}

void Client::on_answer(const std::string& verb, const std::string& id,
                       const test::Publication& publication) {
  AckSeen ack{.client = spec_.reader.client,
              .connection = sessions_.back().connection,
              .at = now_micros(),
              .user = spec_.reader.user};
  ack.id = id == "-" || verb == "rr" ? "" : id;
  if (publication.correlation_data) ack.correlation = *publication.correlation_data;
  const std::string format = verb == "rr" ? id : verb;
  std::string conv;
  if (format.ends_with(".json")) {
    const Json json = Json::parse(publication.payload);
    conv = json["conv"];
    if (json["ok"].get<bool>()) ack.seq = json["seq"].get<Seq>();
    ack.code = json["code"];
    if (verb == "rr" && ack.correlation.empty()) ack.id = json["id"];
  } else if (format.ends_with(".pb")) {
    v1::Ack message;
    if (!message.ParseFromString(publication.payload)) throw std::runtime_error("bad protobuf");
    conv = message.conv();
    if (message.ok()) ack.seq = message.seq();
    ack.code = message.code();
  } else {
    read_text_ack(publication.payload, ack);
  }
  if (!conv.empty()) ack.conversation = membership_.conversation_of(spec_.reader.user, conv);
  on_ack(std::move(ack));
}

void Client::on_event(const std::string& payload) {
  const Json json = Json::parse(payload);
  if (!json.contains("truncated")) return;
  sessions_.back().truncations.push_back(
      {membership_.conversation_of(spec_.reader.user, json["conv"]),
       json["truncated"]["from_seq"].get<Seq>(), now_micros()});
}

void Client::confirm(bool all) {
  if (spec_.confirm_every <= 0) return;
  const Micros now = now_micros();
  const bool late = now - confirmed_at_ > confirm_after;
  for (auto& [conv, marks] : to_confirm_) {
    auto& [newest, confirmed] = marks;
    if (newest <= confirmed) continue;
    int& since = since_confirmed_[conv];
    if (since < spec_.confirm_every && !(late && all)) continue;
    since = 0;
    confirmed = newest;
    confirmed_at_ = now;
    const std::string verb = random_() % 8 == 0 ? "read/" : "got/";
    test::Publication publication{
        .topic = base_ + verb + conv, .payload = std::to_string(newest), .qos = 0};
    connection_->write(test::encode_publish(publication, spec_.version));
    sessions_.back().marks.push_back(
        {membership_.conversation_of(spec_.reader.user, conv), newest, now});
  }
}

}  // namespace parley::fault
