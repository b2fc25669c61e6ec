#include "tools/load/client.hpp"

#include <algorithm>

namespace parley::load {
namespace {

constexpr int subscription_refused = 0x80;

std::string reason(int code) {
  switch (code) {
    case 4:
    case 5:
      return "the broker refuses the login";
    case subscription_refused:
      return "the broker refuses a subscription";
    default:
      return "the broker refuses the connection with code " + std::to_string(code);
  }
}

/// Starts something for each client, so many at once, and waits until each has come to `wanted`.
void bring_all(Poller& poller, const std::vector<Client*>& clients, std::size_t at_once,
               Client::State wanted, const std::function<void(std::size_t)>& start) {
  std::vector<std::size_t> open;
  std::size_t started = 0;
  std::int64_t moved = now_ns();
  while (started < clients.size() || !open.empty()) {
    while (started < clients.size() && open.size() < at_once) {
      start(started);
      open.push_back(started++);
    }
    poller.turn(now_ns() + ns_per_s);
    const std::size_t before = open.size();
    std::erase_if(open, [&](std::size_t index) {
      const Client& client = *clients[index];
      if (client.state() == Client::State::refused) throw Error(reason(client.refusal()));
      if (client.state() == Client::State::closed && wanted != Client::State::closed) {
        throw Error("the broker closes connection " + std::to_string(index + 1) +
                    " at once; its log says why (for many connections it needs a high enough "
                    "limit of open files, ulimit -n)");
      }
      return client.state() == wanted;
    });
    if (open.size() != before) moved = now_ns();
    if (now_ns() - moved > patience_ns) {
      throw Error("the broker does not answer: " + std::to_string(started - open.size()) + " of " +
                  std::to_string(clients.size()) + " clients have come through");
    }
  }
}

}  // namespace

void Client::log_in(const Endpoint& where, const Credentials& credentials, std::size_t number) {
  open(where, number);
  state_ = State::connecting;
  ConnectOptions options;
  options.client_id = credentials.client_id;
  options.username = credentials.user;
  options.password = credentials.password;
  options.keepalive_s = 600;
  write(encode_connect(options));
}

void Client::subscribe(const std::vector<std::string>& filters) {
  std::vector<Subscription> subscriptions;
  subscriptions.reserve(filters.size());
  for (const auto& filter : filters) subscriptions.push_back({filter, 1});
  state_ = State::subscribing;
  write(encode_subscribe(next_packet_id(), subscriptions, 4));
}

void Client::publish(std::string_view topic, std::string_view payload) {
  Publication publication;
  publication.topic = topic;
  publication.payload = payload;
  publication.packet_id = next_packet_id();
  write(encode_publish(publication, 4));
}

void Client::say_goodbye() { write(encode_empty(PacketType::disconnect)); }

void Client::ping() { write(std::string_view{"\xc0\x00", 2}); }

void Client::on_closed() {
  if (state_ != State::refused) state_ = State::closed;
}

void Client::on_packet(const PacketView& packet) {
  if (packet.type == PacketType::publish) {
    const PublishView message = view_publish(packet);
    if (message.packet_id != 0) {
      auto& out = want_write();
      out += '\x40';
      out += '\x02';
      out += static_cast<char>(message.packet_id >> 8U);
      out += static_cast<char>(message.packet_id & 0xffU);
    }
    on_publish(message);
  } else if (packet.type == PacketType::puback) {
    on_puback(view_packet_id(packet));
  } else if (packet.type == PacketType::pingresp) {
    on_ping_answer();
  } else if (packet.type == PacketType::connack) {
    refusal_ = packet.body.size() < 2 ? 1 : static_cast<unsigned char>(packet.body[1]);
    state_ = refusal_ == 0 ? State::connected : State::refused;
  } else if (packet.type == PacketType::suback) {
    for (const char code : packet.body.substr(std::min<std::size_t>(2, packet.body.size()))) {
      if (static_cast<unsigned char>(code) >= subscription_refused) {
        refusal_ = subscription_refused;
      }
    }
    state_ = refusal_ == 0 ? State::ready : State::refused;
  }
}

double log_in_all(Poller& poller, const std::vector<Client*>& clients, const CrowdLogin& crowd,
                  const std::function<Credentials(std::size_t)>& credentials) {
  const std::int64_t began = now_ns();
  bring_all(poller, clients, crowd.at_once, Client::State::connected, [&](std::size_t index) {
    clients[index]->log_in(crowd.where, credentials(index), crowd.first_number + index);
  });
  return static_cast<double>(now_ns() - began) / ns_per_s;
}

void subscribe_all(Poller& poller, const std::vector<Client*>& clients, std::size_t at_once,
                   const std::function<std::vector<std::string>(std::size_t)>& filters) {
  bring_all(poller, clients, at_once, Client::State::ready,
            [&](std::size_t index) { clients[index]->subscribe(filters(index)); });
}

void leave_all(Poller& poller, const std::vector<Client*>& clients) {
  bring_all(poller, clients, clients.size(), Client::State::closed, [&](std::size_t index) {
    if (clients[index]->is_open()) clients[index]->say_goodbye();
  });
}

}  // namespace parley::load
