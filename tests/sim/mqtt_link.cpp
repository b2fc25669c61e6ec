// The simulation's MqttLink: the same class as worker/mqtt_link.cpp, with tests/sim/network behind
// it instead of paho. It keeps the promises of worker/mqtt_link.hpp and nothing else.
#include "worker/mqtt_link.hpp"

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>
#include <utility>

#include "tests/sim/network.hpp"

namespace parley {
namespace {

constexpr std::size_t events_max = 64;
constexpr std::size_t messages_max = 4'096;
constexpr int retry_delay_ms_max = 2'000;
constexpr std::size_t receiver = 0;

}  // namespace

/// Both connections, as one: they come up and go down together.
class MqttLink::Client {
 public:
  Client(MqttLink& link, std::uint64_t attempt) : connection_{std::make_shared<sim::LinkEnd>()} {
    connection_->message = [&link, attempt](std::string payload) {
      if (!link.messages_.push({attempt, std::move(payload)})) ++link.dropped_;
    };
    connection_->event = [&link, attempt](bool up) {
      const auto what = up ? Event::What::subscribed : Event::What::lost;
      (void)link.events_.push({what, receiver, attempt, "network"});
    };
    connection_->receiver.client_id = link.settings_.client_ids[0];
    connection_->publisher.client_id = link.settings_.client_ids[1];
    for (auto* login : {&connection_->receiver, &connection_->publisher}) {
      login->user = link.settings_.user;
      login->password = link.settings_.password();
      login->protocol = 5;
    }
    connection_->filters = link.settings_.filters;
    sim::the_network()->dial(connection_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { sim::the_network()->hang_up(connection_); }

  void publish(const std::string& topic, std::string_view payload, int qos) {
    sim::the_network()->send(*connection_, {topic, std::string{payload}, qos});
  }

 private:
  std::shared_ptr<sim::LinkEnd> connection_;
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
  clients_[receiver] = std::make_unique<Client>(*this, attempt_);
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
  if (event.what == Event::What::lost) {
    fail(event.why);
    return;
  }
  if (std::exchange(up_, true)) return;
  reported_down_ = false;
  retry_delay_ms_ = 0;
  handlers_.up();
}

void MqttLink::fail(const std::string& why) {
  ++attempt_;
  up_ = false;
  if (!reported_down_) handlers_.down(why);
  reported_down_ = true;
  retry_delay_ms_ = std::min(retry_delay_ms_ == 0 ? 50 : retry_delay_ms_ * 2, retry_delay_ms_max);
  retry_.expires_after(std::chrono::milliseconds{retry_delay_ms_});
  retry_.async_wait([this](const asio::error_code& error) {
    if (error || stopped_) return;
    clients_[receiver].reset();
    connect_all();
  });
}

bool MqttLink::publish(const std::string& topic, std::string_view payload) {
  return publish(topic, payload, 0, false);
}

bool MqttLink::publish_retained(const std::string& topic, std::string_view payload) {
  return publish(topic, payload, 1, true);
}

bool MqttLink::publish(const std::string& topic, std::string_view payload, int qos, bool) {
  if (!up_) return false;
  clients_[receiver]->publish(topic, payload, qos);
  return true;
}

void MqttLink::stop() {
  stopped_ = true;
  retry_.cancel();
  clients_[receiver].reset();
  up_ = false;
}

}  // namespace parley
