#include "tests/support/mqtt_client.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace parley::test {

MqttClient::MqttClient(std::uint16_t port)
    : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  }
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

MqttClient::~MqttClient() {
  if (socket_.open() && connected_) disconnect();
}

void MqttClient::send_raw(std::string_view bytes) {
  while (!bytes.empty() && !closed_) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      // What the broker said before it hung up may still be readable: reading finds the end.
      return;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool MqttClient::read_some(Deadline deadline) {
  pollfd waiting{socket_.get(), POLLIN, 0};
  const int ready = ::poll(&waiting, 1, deadline.left_ms());
  if (ready < 0 && errno == EINTR) return true;
  if (ready <= 0) return false;
  char part[65536];
  const ssize_t got = ::recv(socket_.get(), part, sizeof part, 0);
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) {
    closed_ = true;
    connected_ = false;
    return false;
  }
  buffer_.append(part, static_cast<std::size_t>(got));
  while (const auto packet = take_packet(buffer_)) handle(*packet);
  return true;
}

bool MqttClient::wait_for(const std::function<bool()>& done, Deadline deadline) {
  while (!done()) {
    if (closed_) return false;
    if (!read_some(deadline) && !closed_ && deadline.passed()) return done();
  }
  return true;
}

void MqttClient::acknowledge(int qos, std::uint16_t packet_id) {
  if (qos == 1) send_raw(encode_ack(PacketType::puback, packet_id));
  if (qos == 2) send_raw(encode_ack(PacketType::pubrec, packet_id));
}

void MqttClient::resume_acks() {
  acking_ = true;
  for (const auto& [qos, packet_id] : std::exchange(withheld_, {})) acknowledge(qos, packet_id);
}

void MqttClient::handle_publish(const Packet& packet) {
  Publication publication = decode_publish(packet, version_);
  if (acking_) {
    acknowledge(publication.qos, publication.packet_id);
  } else {
    withheld_.emplace_back(publication.qos, publication.packet_id);
  }
  received_.push_back(std::move(publication));
}

void MqttClient::handle(const Packet& packet) {
  switch (packet.type) {
    case PacketType::connack: {
      const Connack connack = decode_connack(packet);
      session_present_ = connack.session_present;
      connack_ = connack.code;
      return;
    }
    case PacketType::publish:
      return handle_publish(packet);
    case PacketType::puback:
    case PacketType::pubcomp: {
      const Answer answer = decode_answer(packet);
      answers_[answer.packet_id] = answer.reason;
      if (unanswered_ > 0) --unanswered_;
      return;
    }
    case PacketType::pubrec: {
      const Answer answer = decode_answer(packet);
      if (answer.reason >= 0x80) {
        answers_[answer.packet_id] = answer.reason;
        if (unanswered_ > 0) --unanswered_;
        return;
      }
      return send_raw(encode_ack(PacketType::pubrel, answer.packet_id));
    }
    case PacketType::pubrel:
      return send_raw(encode_ack(PacketType::pubcomp, decode_answer(packet).packet_id));
    case PacketType::suback:
    case PacketType::unsuback: {
      Suback suback = decode_suback(packet, version_);
      subacks_[suback.packet_id] = std::move(suback.codes);
      return;
    }
    case PacketType::pingresp:
      if (pings_open_ > 0) --pings_open_;
      return;
    case PacketType::disconnect:
      disconnect_reason_ =
          packet.body.empty() ? 0 : static_cast<int>(static_cast<std::uint8_t>(packet.body[0]));
      return;
    case PacketType::connect:
    case PacketType::subscribe:
    case PacketType::unsubscribe:
    case PacketType::pingreq:
      break;
  }
  throw std::runtime_error("mqtt: a packet that no broker sends");
}

int MqttClient::connect(const ConnectOptions& options) {
  version_ = options.version;
  send_raw(encode_connect(options));
  const Deadline deadline;
  if (!wait_for([&] { return connack_.has_value(); }, deadline)) {
    if (closed_) return disconnected;
    throw std::runtime_error("no CONNACK");
  }
  connected_ = *connack_ == 0;
  return *connack_;
}

std::uint16_t MqttClient::next_packet_id() {
  last_packet_id_ =
      last_packet_id_ == 65535 ? std::uint16_t{1} : static_cast<std::uint16_t>(last_packet_id_ + 1);
  return last_packet_id_;
}

std::vector<int> MqttClient::subscribe(const std::vector<std::string>& filters, int qos) {
  const std::uint16_t id = next_packet_id();
  std::vector<Subscription> what;
  for (const std::string& filter : filters) what.push_back({filter, qos});
  send_raw(encode_subscribe(id, what, version_));
  if (!wait_for([&] { return subacks_.contains(id); }, Deadline{})) {
    if (closed_) return std::vector<int>(filters.size(), disconnected);
    throw std::runtime_error("no SUBACK for " + filters.at(0));
  }
  return {subacks_[id].begin(), subacks_[id].end()};
}

int MqttClient::subscribe(const std::string& filter, int qos) {
  return subscribe(std::vector<std::string>{filter}, qos).at(0);
}

void MqttClient::unsubscribe(const std::string& filter) {
  const std::uint16_t id = next_packet_id();
  send_raw(encode_unsubscribe(id, {filter}, version_));
  if (!wait_for([&] { return subacks_.contains(id); }, Deadline{})) {
    throw std::runtime_error("no UNSUBACK for " + filter);
  }
}

std::uint16_t MqttClient::publish_soon(Publication publication) {
  if (publication.qos > 0) {
    publication.packet_id = next_packet_id();
    answers_.erase(publication.packet_id);
    ++unanswered_;
  }
  send_raw(encode_publish(publication, version_));
  return publication.packet_id;
}

bool MqttClient::await_answers(std::size_t open, Deadline deadline) {
  if (wait_for([&] { return unanswered_ <= open; }, deadline)) return true;
  if (closed_) return false;
  throw std::runtime_error(std::to_string(unanswered_) + " publications without PUBACK");
}

int MqttClient::publish(const Publication& publication) {
  const std::uint16_t id = publish_soon(publication);
  if (publication.qos == 0) return 0;
  if (!wait_for([&] { return answers_.contains(id); }, Deadline{})) {
    if (closed_) return disconnected;
    throw std::runtime_error("no PUBACK for " + publication.topic);
  }
  return answers_[id];
}

int MqttClient::publish(const std::string& topic, const std::string& payload, int qos) {
  return publish(Publication{.topic = topic, .payload = payload, .qos = qos});
}

std::string MqttClient::what_came() const {
  std::string text = closed_ ? " (disconnected)" : "";
  text += "; what came instead:";
  for (const Publication& publication : received_) {
    text += "\n  " + publication.topic + " " + publication.payload.substr(0, 200);
  }
  return text;
}

Publication MqttClient::expect_that(const std::string& what,
                                    const std::function<bool(const Publication&)>& is_it,
                                    Deadline deadline) {
  std::size_t seen = 0;
  const auto found = [&] {
    while (seen < received_.size() && !is_it(received_[seen])) ++seen;
    return seen < received_.size();
  };
  if (!wait_for(found, deadline)) throw std::runtime_error("nothing on " + what + what_came());
  Publication publication = std::move(received_[seen]);
  received_.erase(received_.begin() + static_cast<std::ptrdiff_t>(seen));
  return publication;
}

Publication MqttClient::expect(const std::string& topic_filter, Deadline deadline) {
  return expect_that(
      topic_filter, [&](const Publication& p) { return matches(topic_filter, p.topic); }, deadline);
}

std::string MqttClient::expect_text(const std::string& topic_filter, Deadline deadline) {
  return expect(topic_filter, deadline).payload;
}

std::vector<Publication> MqttClient::drain() {
  if (!ping()) throw std::runtime_error("drain: disconnected");
  return take();
}

std::vector<Publication> MqttClient::take() {
  std::vector<Publication> all{std::make_move_iterator(received_.begin()),
                               std::make_move_iterator(received_.end())};
  received_.clear();
  return all;
}

bool MqttClient::ping(Deadline deadline) {
  ++pings_open_;
  send_raw(encode_empty(PacketType::pingreq));
  if (wait_for([&] { return pings_open_ == 0; }, deadline)) return true;
  if (closed_) return false;
  throw std::runtime_error("no PINGRESP");
}

bool MqttClient::wait_closed(Deadline deadline) {
  wait_for([] { return false; }, deadline);
  return closed_;
}

void MqttClient::disconnect() {
  if (connected_) {
    send_raw(encode_empty(PacketType::disconnect));
    wait_closed();  // the broker hangs up once it has dealt with it
  }
  drop();
}

void MqttClient::drop() {
  connected_ = false;
  closed_ = true;
  socket_.reset();
}

int MqttClient::release() {
  connected_ = false;
  closed_ = true;
  return socket_.release();
}

bool matches(std::string_view filter, std::string_view topic) {
  while (true) {
    if (filter == "#") return true;
    const auto filter_end = std::min(filter.find('/'), filter.size());
    const auto topic_end = std::min(topic.find('/'), topic.size());
    const auto level = filter.substr(0, filter_end);
    if (level != "+" && level != topic.substr(0, topic_end)) return false;
    const bool filter_over = filter_end == filter.size();
    const bool topic_over = topic_end == topic.size();
    if (filter_over && topic_over) return true;
    if (filter_over) return false;
    filter.remove_prefix(filter_end + 1);
    if (topic_over) return filter == "#";
    topic.remove_prefix(topic_end + 1);
  }
}

}  // namespace parley::test
