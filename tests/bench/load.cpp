#include "tests/bench/load.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "tests/support/mqtt_packet.hpp"
#include "tests/support/text.hpp"

namespace parley::bench {

using Clock = std::chrono::steady_clock;

namespace {

constexpr int still_ms = 30'000;
constexpr std::size_t read_bytes = 64 * 1024;

[[noreturn]] void broken(const std::string& what) { throw std::runtime_error("load: " + what); }

}  // namespace

struct Load::Client {
  int fd = -1;
  bool writes = false;
  std::string frame;  // of a publish; its packet id is at `id_at`
  std::size_t id_at = 0;
  std::uint16_t last_id = 0;
  int open = 0;  // not acked yet
  std::string in;
  std::string out;
};

Load::Load(test::Instance& instance, const LoadOptions& options)
    : options_{options}, epoll_{::epoll_create1(EPOLL_CLOEXEC)} {
  const std::string text(options_.bytes, 'x');
  for (int i = 1; i <= 2 * options_.pairs; ++i) {
    const bool writes = i <= options_.pairs;
    const int pair = writes ? i : i - options_.pairs;
    const std::string me = test::with_number(writes ? "w" : "r", pair);
    auto client = std::make_unique<Client>();
    client->writes = writes;
    test::MqttClient connected = instance.connect(instance.login(me));
    connected.subscribe("im/u/" + me + (writes ? "/ack/+" : "/inbox/+"));
    client->fd = connected.release();
    ::fcntl(client->fd, F_SETFL, O_NONBLOCK);
    const std::string topic = test::with_number("im/u/" + me + "/send/r", pair);
    client->frame =
        test::encode_publish({.topic = topic, .payload = text, .qos = 1, .packet_id = 1}, 4);
    client->id_at = client->frame.size() - text.size() - 2;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = client.get();
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client->fd, &event);
    clients_.push_back(std::move(client));
  }
}

Load::~Load() {
  for (const auto& client : clients_) ::close(client->fd);
  ::close(epoll_);
}

void Load::flush(Client& client) {
  while (!client.out.empty()) {
    const ssize_t sent = ::send(client.fd, client.out.data(), client.out.size(), MSG_NOSIGNAL);
    // What does not fit goes with the next packet that comes: one is always awaited.
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) broken(std::strerror(errno));
    client.out.erase(0, static_cast<std::size_t>(sent));
  }
}

void Load::send_more(Client& client) {
  while (client.writes && to_send_ > 0 && client.open < options_.window) {
    client.last_id =
        client.last_id == 65535 ? std::uint16_t{1} : static_cast<std::uint16_t>(client.last_id + 1);
    client.frame[client.id_at] = static_cast<char>(client.last_id >> 8);
    client.frame[client.id_at + 1] = static_cast<char>(client.last_id & 0xff);
    client.out += client.frame;
    ++client.open;
    --to_send_;
  }
}

void Load::handle(Client& client, unsigned type, unsigned flags, const char* body,
                  std::size_t size) {
  constexpr unsigned publish = 3;
  if (type != publish) return;
  const auto topic_size = static_cast<std::size_t>((static_cast<unsigned char>(body[0]) << 8) |
                                                   static_cast<unsigned char>(body[1]));
  const std::size_t payload_at = 2 + topic_size + ((flags & 6U) != 0 ? 2 : 0);
  if (payload_at > size) broken("a bad packet");
  if (client.writes) {
    const std::string_view ack{body + payload_at, size - payload_at};
    if (!ack.starts_with("stored ")) broken("ack " + std::string{ack});
    ++stored_;
    --client.open;
    return;
  }
  ++delivered_;
  if ((flags & 6U) != 0) {
    client.out += std::string("\x40\x02", 2);
    client.out.append(body + 2 + topic_size, 2);
  }
}

void Load::take(Client& client) {
  std::array<char, read_bytes> part;
  while (true) {
    const ssize_t got = ::recv(client.fd, part.data(), part.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got <= 0) broken("disconnected");
    client.in.append(part.data(), static_cast<std::size_t>(got));
    if (static_cast<std::size_t>(got) < part.size()) break;
  }
  std::size_t at = 0;
  while (client.in.size() - at >= 2) {
    std::size_t size = 0;
    std::size_t header = 1;
    for (unsigned shift = 0;; shift += 7) {
      if (at + header >= client.in.size()) {
        size = std::string::npos;
        break;
      }
      const auto byte = static_cast<unsigned char>(client.in[at + header++]);
      size |= static_cast<std::size_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) break;
    }
    if (size == std::string::npos || client.in.size() - at - header < size) break;
    const auto first = static_cast<unsigned char>(client.in[at]);
    handle(client, first >> 4U, first & 15U, client.in.data() + at + header, size);
    at += header + size;
  }
  client.in.erase(0, at);
}

double Load::run(std::uint64_t messages) {
  to_send_ = messages;
  stored_ = delivered_ = 0;
  const auto began = Clock::now();
  for (const auto& client : clients_) {
    send_more(*client);
    flush(*client);
  }
  std::array<epoll_event, 256> events{};
  while (stored_ < messages || delivered_ < messages) {
    const int ready = ::epoll_wait(epoll_, events.data(), events.size(), still_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      broken(test::with_number("nothing moves: stored ", stored_) +
             test::with_number(", delivered ", delivered_));
    }
    for (int i = 0; i < ready; ++i) {
      Client& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
      take(client);
      send_more(client);
      flush(client);
    }
  }
  return std::chrono::duration<double>(Clock::now() - began).count();
}

}  // namespace parley::bench
