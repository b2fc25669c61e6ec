#include "worker/mqtt_link.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <mqtt/async_client.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <asio/post.hpp>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "worker/log.hpp"

namespace parley {
namespace {

constexpr std::size_t receiver = 0;
constexpr std::size_t publisher = 1;
constexpr std::size_t messages_max =
    1024;  // each at most a frame: what comes on top is asked for again
constexpr std::size_t events_max = 1024;
constexpr int retry_delay_ms_max = 2'000;
constexpr int keep_alive_s = 20;
constexpr int disconnect_within_ms = 300;  // for `offline` to be acknowledged

/// paho leaves Nagle's algorithm on, which costs 40 ms per round trip: find its sockets by their
/// peer.
void set_tcp_nodelay(int port) {
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return;
  // The folder is this function's own: readdir's buffer is not shared.
  while (const dirent* entry = readdir(folder)) {  // NOLINT(concurrency-mt-unsafe)
    const int descriptor = std::atoi(entry->d_name);
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    in_port_t peer_port = 0;
    if (peer.ss_family == AF_INET) peer_port = reinterpret_cast<sockaddr_in*>(&peer)->sin_port;
    if (peer.ss_family == AF_INET6) peer_port = reinterpret_cast<sockaddr_in6*>(&peer)->sin6_port;
    if (ntohs(peer_port) != port) continue;
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  closedir(folder);
}

}  // namespace

/// One paho client. Its callbacks run on paho's threads and only push into the inboxes.
class MqttLink::Client : public mqtt::callback, public mqtt::iaction_listener {
 public:
  Client(MqttLink& link, std::size_t index, std::uint64_t attempt)
      : link_{link},
        index_{index},
        attempt_{attempt},
        client_{"tcp://" + link.settings_.host + ":" + std::to_string(link.settings_.port),
                link.settings_.client_ids[index], mqtt::create_options{MQTTVERSION_5}} {
    client_.set_callback(*this);
  }

  void connect() {
    auto options = mqtt::connect_options_builder()
                       .mqtt_version(MQTTVERSION_5)
                       .clean_start(true)
                       .keep_alive_interval(std::chrono::seconds{keep_alive_s})
                       .connect_timeout(std::chrono::seconds{5})
                       .max_inflight(65'535)
                       .user_name(link_.settings_.user)
                       .password(link_.settings_.password())
                       .finalize();
    if (index_ == publisher) {
      options.set_will(mqtt::will_options{link_.settings_.will_topic,
                                          mqtt::binary{link_.settings_.will_payload}, 1, true});
    }
    client_.connect(options, nullptr, *this);
  }

  void subscribe() {
    auto filters = std::make_shared<mqtt::string_collection>(link_.settings_.filters);
    const mqtt::iasync_client::qos_collection qos(link_.settings_.filters.size(), 0);
    subscribing_ = true;
    client_.subscribe(filters, qos, nullptr, *this);
  }

  mqtt::async_client& client() { return client_; }

 private:
  void push(Event::What what, std::string why = "") {
    // A full inbox of events is a bug: there are four of them per connection.
    if (!link_.events_.push({what, index_, attempt_, std::move(why)})) std::abort();
  }
  void on_failure(const mqtt::token& token) override {
    push(Event::What::failed,
         std::string{subscribing_ ? "subscribe" : "connect"} + " refused, code " +
             std::to_string(token.get_reason_code() != 0 ? static_cast<int>(token.get_reason_code())
                                                         : token.get_return_code()));
  }
  void on_success(const mqtt::token&) override {
    push(subscribing_ ? Event::What::subscribed : Event::What::connected);
  }
  void connection_lost(const std::string& cause) override { push(Event::What::lost, cause); }
  void message_arrived(mqtt::const_message_ptr message) override {
    if (!link_.messages_.push({attempt_, message->get_payload()})) ++link_.dropped_;
  }

  MqttLink& link_;
  const std::size_t index_;
  const std::uint64_t attempt_;
  std::atomic<bool> subscribing_ = false;
  mqtt::async_client client_;
};

MqttLink::MqttLink(asio::io_context& loop, MqttSettings settings, Handlers handlers)
    : loop_{loop},
      settings_{std::move(settings)},
      handlers_{std::move(handlers)},
      retry_{loop},
      events_{events_max, [this] { asio::post(loop_, [this] { drain(); }); }},
      messages_{messages_max, [this] { asio::post(loop_, [this] { drain(); }); }} {}

MqttLink::~MqttLink() = default;

void MqttLink::start() { connect_all(); }

void MqttLink::connect_all() {
  ++attempt_;
  connected_ = {};
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    try {
      clients_[i] = std::make_unique<Client>(*this, i, attempt_);
      clients_[i]->connect();
    } catch (const std::exception& error) {
      fail(error.what());
      return;
    }
  }
}

void MqttLink::drain() {
  for (const auto& event : events_.take()) {
    if (event.attempt == attempt_ && !stopped_) on_event(event);
  }
  for (auto& message : messages_.take()) {
    if (message.attempt == attempt_) handlers_.message(std::move(message.payload));
  }
}

void MqttLink::on_event(const Event& event) {
  switch (event.what) {
    case Event::What::connected:
      if (std::exchange(connected_[event.client], true)) return;  // paho may say so twice
      if (!connected_[receiver] || !connected_[publisher]) return;
      set_tcp_nodelay(settings_.port);
      try {
        clients_[receiver]->subscribe();
      } catch (const std::exception& error) {
        fail(error.what());
      }
      return;
    case Event::What::subscribed:
      if (std::exchange(up_, true)) return;
      reported_down_ = false;
      retry_delay_ms_ = 0;
      handlers_.up();
      return;
    case Event::What::failed:
    case Event::What::lost:
      fail(event.why);
      return;
  }
}

void MqttLink::fail(const std::string& why) {
  ++attempt_;  // what the old clients still say does not count
  up_ = false;
  if (!reported_down_) handlers_.down(why);
  reported_down_ = true;
  retry_delay_ms_ = std::min(retry_delay_ms_ == 0 ? 50 : retry_delay_ms_ * 2, retry_delay_ms_max);
  retry_.expires_after(std::chrono::milliseconds{retry_delay_ms_});
  retry_.async_wait([this](const asio::error_code& error) {
    if (error || stopped_) return;
    for (auto& client : clients_) client.reset();
    connect_all();
  });
}

bool MqttLink::publish(const std::string& topic, std::string_view payload) {
  return publish(topic, payload, 0, false);
}

bool MqttLink::publish_retained(const std::string& topic, std::string_view payload) {
  return publish(topic, payload, 1, true);
}

bool MqttLink::publish(const std::string& topic, std::string_view payload, int qos, bool retained) {
  if (!up_) return false;
  try {
    clients_[publisher]->client().publish(topic, payload.data(), payload.size(), qos, retained);
    return true;
  } catch (const mqtt::exception& error) {
    log::debug("event=publish_failed err={}", log::quoted(error.what()));
    return false;
  }
}

void MqttLink::stop() {
  stopped_ = true;
  retry_.cancel();
  // Both at once, and not for long: what is still on its way is in the spool, and a connection that
  // just ends is as good to the broker but for the Last Will, which says what we have said.
  std::vector<mqtt::token_ptr> ends;
  for (auto& client : clients_) {
    try {
      if (client != nullptr && client->client().is_connected()) {
        ends.push_back(client->client().disconnect(disconnect_within_ms));
      }
    } catch (const mqtt::exception&) {
      // It is gone already, which is what we want.
    }
  }
  for (const auto& end : ends) {
    try {
      end->wait_for(std::chrono::milliseconds{2 * disconnect_within_ms});
    } catch (const mqtt::exception&) {
      // The same.
    }
  }
  up_ = false;
}

}  // namespace parley
