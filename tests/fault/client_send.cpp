// The publishing half of a client.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "schema/proto/parley/v1/client.pb.h"
#include "tests/fault/checker.hpp"
#include "tests/fault/client.hpp"

namespace parley::fault {

namespace {

constexpr Micros ms = 1'000;
constexpr Micros ack_within = 2'500 * ms;  // then it is sent again
constexpr Micros again_after = 300 * ms;   // after a PUBACK that said no
constexpr std::size_t open_max = 40;       // messages without an answer
constexpr std::size_t stored_max = 50;
constexpr std::size_t long_text_bytes = 3'000;

double share(std::mt19937_64& random) {
  return std::uniform_real_distribution<double>{0, 1}(random);
}

std::string payload_of(const Send& send, bool id_inside) {
  const std::string id = id_inside ? send.id : std::string{};
  switch (send.format) {
    case Format::text:
      return send.text;
    case Format::json: {
      nlohmann::json json{{"text", send.text}};
      if (!id.empty()) json["id"] = id;
      return json.dump();
    }
    case Format::protobuf: {
      v1::Send message;
      message.set_text(send.text);
      message.set_id(id);
      return message.SerializeAsString();
    }
  }
  return {};
}

std::string verb_of(Format format) {
  return format == Format::text ? "send" : std::string("send.") + to_string(format);
}

}  // namespace

void Client::make_new_sends() {
  if (spec_.sends_per_s <= 0 || subacks_open_ > 0) return;
  const Micros now = now_micros();
  if (next_send_at_ < now - 100 * ms) next_send_at_ = now;  // no making up for a pause
  while (next_send_at_ <= now && pending_.size() < open_max) {
    make_one();
    const double gap_s = std::exponential_distribution<double>{spec_.sends_per_s}(random_);
    next_send_at_ += static_cast<Micros>(gap_s * 1e6);
  }
}

Send Client::draft() {
  Send send;
  const std::string number =
      std::to_string(spec_.reader.client) + "." + std::to_string(++sends_made_);
  send.client = spec_.reader.client;
  send.user = spec_.reader.user;
  send.to = spec_.targets[random_() % spec_.targets.size()];
  send.text = send.user + "." + number + " ";
  const double size = share(random_);
  const std::size_t bytes = size < 0.05 ? long_text_bytes : static_cast<std::size_t>(size * 120);
  for (std::size_t i = 0; i < bytes; ++i) send.text += static_cast<char>('a' + (i * 7) % 26);
  if (share(random_) < spec_.id_share) send.id = "c" + number;
  const std::uint64_t qos = random_() % 10;
  send.qos = qos < 2 ? 0 : qos < 8 ? 1 : 2;
  send.format = static_cast<Format>(random_() % 3);
  return send;
}

void Client::make_odd(Send& send) {
  switch (random_() % 4) {
    case 0:
      send.to = "nobody";
      send.refusal = "USER_NOT_FOUND";
      return;
    case 1:
      if (spec_.stranger_room.empty()) return;
      send.to = spec_.stranger_room;
      send.refusal = "NOT_MEMBER";
      return;
    case 2:
      if (stored_.empty()) return;
      send.to = stored_.front().to;
      send.id = stored_.front().id;
      send.refusal = "ID_CONFLICT";
      return;
    default:
      if (stored_.empty()) return;
      // The same once more, much later and perhaps in another format.
      send.to = stored_.back().to;
      send.id = stored_.back().id;
      send.text = stored_.back().text;
      return;
  }
}

void Client::make_one() {
  Send send = draft();
  if (share(random_) < spec_.odd_share) make_odd(send);
  send.conversation = membership_.conversation_of(send.user, send.to);
  if (spec_.version == 5 && share(random_) < 0.2) {
    send.correlation =
        "k" + std::to_string(spec_.reader.client) + "." + std::to_string(sends_made_);
  }
  start(std::move(send));
}

void Client::start(Send send) {
  Pending pending;
  pending.send = sends_.size();
  // Without an id, or a correlation on a session that lives, nobody can tell whose ack it is.
  pending.needs_ack = !send.id.empty();
  sends_.push_back(std::move(send));
  pending_.push_back(pending);
  transmit(pending_.back());
}

std::uint16_t Client::next_packet_id() {
  const auto used = [&](std::uint16_t id) {
    return std::any_of(pending_.begin(), pending_.end(), [&](const Pending& pending) {
      return pending.wait != Wait::nothing && pending.packet_id == id;
    });
  };
  do {
    last_packet_id_ = static_cast<std::uint16_t>(last_packet_id_ % 65'000 + 1);
  } while (used(last_packet_id_));
  return last_packet_id_;
}

test::Publication Client::publication_of(const Send& send) {
  test::Publication publication;
  publication.qos = send.qos;
  publication.topic = base_ + verb_of(send.format) + "/" + send.to;
  const bool property = send.format == Format::text && spec_.version == 5 && random_() % 2 == 0;
  const bool inside = send.format != Format::text && random_() % 2 == 0;
  publication.payload = payload_of(send, inside);
  if (!send.id.empty() && property) publication.user_properties.push_back({"id", send.id});
  if (!send.id.empty() && !property && !inside) publication.topic += "/" + send.id;
  if (!send.correlation.empty()) {
    publication.response_topic = base_ + "rr/" + verb_of(send.format);
    publication.correlation_data = send.correlation;
  }
  return publication;
}

void Client::transmit(Pending& pending) {
  Send& send = sends_[pending.send];
  test::Publication publication = publication_of(send);
  pending.last_at = now_micros();
  pending.again_at = 0;
  pending.packet_id = 0;
  pending.wait = Wait::nothing;
  if (send.qos > 0) {
    pending.packet_id = publication.packet_id = next_packet_id();
    pending.wait = send.qos == 1 ? Wait::puback : Wait::pubrec;
  }
  send.transmissions.push_back({sessions_.back().connection, pending.last_at});
  connection_->write(test::encode_publish(publication, spec_.version));
}

void Client::resume_after_connect() {
  if (spec_.clean && had_session_) session_present_ = false;
  for (Pending& pending : pending_) resend(pending, session_present_);
}

void Client::resend(Pending& pending, bool same_session) {
  Send& send = sends_[pending.send];
  if (!same_session || (pending.wait == Wait::nothing && pending.needs_ack)) {
    return transmit(pending);
  }
  pending.last_at = now_micros();
  if (pending.wait == Wait::pubcomp) {
    connection_->write(test::encode_ack(test::PacketType::pubrel, pending.packet_id));
  } else if (pending.wait != Wait::nothing) {
    test::Publication publication = publication_of(send);
    publication.dup = true;
    publication.packet_id = pending.packet_id;
    send.transmissions.push_back({sessions_.back().connection, pending.last_at});
    connection_->write(test::encode_publish(publication, spec_.version));
  }
}

void Client::resend_overdue() {
  const Micros now = now_micros();
  if (now < stalled_until_ || now < slow_until_) return;  // the answers may lie there unread
  for (Pending& pending : pending_) {
    const bool refused_by_broker = pending.again_at != 0 && now >= pending.again_at;
    const bool unanswered = pending.needs_ack && pending.wait == Wait::nothing &&
                            pending.again_at == 0 && now - pending.last_at > ack_within;
    if (refused_by_broker || unanswered) transmit(pending);
  }
}

void Client::settle_answer(std::uint16_t packet_id, Wait wait, int reason) {
  const auto found = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& pending) {
    return pending.wait == wait && pending.packet_id == packet_id;
  });
  if (found == pending_.end()) {
    // A PUBREC may come again: the broker waits for its PUBREL.
    if (wait == Wait::pubrec) {
      connection_->write(test::encode_ack(test::PacketType::pubrel, packet_id));
    }
    return;
  }
  if (wait == Wait::pubcomp) {
    found->wait = Wait::nothing;
    return;
  }
  sends_[found->send].answers.push_back({sessions_.back().connection, now_micros(), reason});
  if (reason >= failure_reason) {
    found->wait = Wait::nothing;
    if (found->needs_ack) found->again_at = now_micros() + again_after;
    return;
  }
  found->wait = wait == Wait::puback ? Wait::nothing : Wait::pubcomp;
  if (wait == Wait::pubrec) {
    connection_->write(test::encode_ack(test::PacketType::pubrel, packet_id));
  }
}

void Client::on_ack(AckSeen ack) {
  for (Pending& pending : pending_) {
    const Send& send = sends_[pending.send];
    const bool mine = !ack.correlation.empty() ? send.correlation == ack.correlation
                                               : !ack.id.empty() && send.id == ack.id;
    // An id that is used for two contents has an answer for each.
    const bool fits = ack.seq > 0 ? send.refusal.empty() : send.refusal == ack.code;
    if (!mine || !fits || !pending.needs_ack) continue;
    pending.again_at = 0;
    const bool repeat = ack.seq > 0 && phase_ == Phase::traffic && share(random_) < 0.08;
    if (repeat && pending.wait == Wait::nothing) {
      transmit(pending);  // on purpose: nothing must come of it but the same ack
      break;
    }
    pending.needs_ack = false;
    if (ack.seq > 0 && share(random_) < 0.2) {
      stored_.push_back(send);
      stored_.back().transmissions.clear();
      stored_.back().answers.clear();
      if (stored_.size() > stored_max) stored_.pop_front();
    }
    break;
  }
  acks_.push_back(std::move(ack));
}

void Client::drop_done() {
  std::erase_if(pending_, [](const Pending& pending) {
    return pending.wait == Wait::nothing && !pending.needs_ack && pending.again_at == 0;
  });
}

}  // namespace parley::fault
