#include "tools/parley/mqtt_session.hpp"

#include <algorithm>

namespace parley::cli {
namespace {

constexpr int reason_refused = 0x80;  // MQTT 5 §2.4: from here on a reason code is a failure
constexpr std::chrono::milliseconds disconnect_patience{500};
constexpr std::chrono::milliseconds receive_slice{100};
constexpr int keep_alive_s = 30;

/// Whether the broker said no; else the connection or this side failed. Paho puts a CONNACK's code
/// in one place and the others' codes in another.
bool is_refusal(const mqtt::exception& error) {
  return error.get_reason_code() >= reason_refused || error.get_return_code() >= reason_refused;
}

std::chrono::milliseconds left_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  return std::max(left, std::chrono::milliseconds{1});
}

std::string address(const Login& login) {
  const bool v6 = login.host.find(':') != std::string::npos && login.host.front() != '[';
  const std::string host = v6 ? "[" + login.host + "]" : login.host;
  return "tcp://" + host + ":" + std::to_string(login.port);
}

Failure not_reached(const Login& login, const std::string& why) {
  return {Exit::unreachable, "no broker at " + login.host + ":" + std::to_string(login.port) +
                                 " (" + why + "); is it running, and is that the place?"};
}

Failure not_let_in(const Login& login) {
  return {Exit::login_refused,
          "the broker does not let " + login.name +
              " in; see whether the token is good: parley token verify TOKEN --user " + login.name,
          {}};
}

mqtt::connect_options options_of(const Login& login, Clock::time_point deadline) {
  mqtt::connect_options options;
  options.set_mqtt_version(MQTTVERSION_5);
  options.set_clean_start(true);
  options.set_user_name(login.name);
  options.set_password(login.token);
  options.set_keep_alive_interval(keep_alive_s);
  const auto left_s = std::chrono::duration_cast<std::chrono::seconds>(left_until(deadline));
  options.set_connect_timeout(std::max(left_s, std::chrono::seconds{1}));
  return options;
}

}  // namespace

Outcome<MqttSession> MqttSession::open(const Login& login, Clock::time_point deadline) {
  try {
    const mqtt::create_options how{MQTTVERSION_5};
    MqttSession session{
        std::make_unique<mqtt::async_client>(address(login), random_id("cli-"), how, nullptr)};
    session.client_->start_consuming();
    const auto connecting = session.client_->connect(options_of(login, deadline));
    if (!connecting->wait_for(left_until(deadline))) {
      return failed(not_reached(login, "no answer in time"));
    }
    return session;
  } catch (const mqtt::exception& error) {
    if (is_refusal(error)) {
      return failed(not_let_in(login));
    }
    return failed(not_reached(login, error.what()));
  }
}

MqttSession::~MqttSession() {
  if (!client_) return;
  try {
    if (client_->is_connected()) client_->disconnect()->wait_for(disconnect_patience);
    client_->stop_consuming();
  } catch (const mqtt::exception&) {
    // It is gone either way.
  }
}

Outcome<void> MqttSession::subscribe(const std::string& filter, int qos,
                                     Clock::time_point deadline) {
  try {
    if (!client_->subscribe(filter, qos)->wait_for(left_until(deadline))) {
      return fail(Exit::timed_out, "the broker did not answer a subscription in time");
    }
    return {};
  } catch (const mqtt::exception& error) {
    if (is_refusal(error)) {
      return refuse(Code::forbidden, "the broker refuses to subscribe " + filter +
                                         "; does the token have the scope for it?");
    }
    return fail(Exit::unreachable, std::string{"the connection was lost: "} + error.what());
  }
}

Outcome<void> MqttSession::publish(mqtt::message_ptr message) {
  try {
    published_ = client_->publish(std::move(message));
    return {};
  } catch (const mqtt::exception& error) {
    return fail(Exit::unreachable, std::string{"the connection was lost: "} + error.what());
  }
}

bool MqttSession::publish_refused() const {
  return published_ && published_->is_complete() &&
         static_cast<int>(published_->get_reason_code()) >= reason_refused &&
         published_->get_reason_code() != mqtt::MQTTPP_V3_CODE;
}

bool MqttSession::publish_taken() const {
  return published_ && published_->is_complete() && !publish_refused();
}

Received MqttSession::receive(std::chrono::milliseconds at_most) {
  const auto until = Clock::now() + at_most;
  do {
    mqtt::const_message_ptr message;
    const auto slice = std::min(receive_slice, left_until(until));
    if (client_->try_consume_message_for(&message, slice)) {
      if (!message) return ConnectionLost{};
      const auto& properties = message->get_properties();
      std::string correlation;
      if (properties.contains(mqtt::property::CORRELATION_DATA)) {
        correlation = mqtt::get<std::string>(properties, mqtt::property::CORRELATION_DATA);
      }
      return Arrived{message->get_topic(), message->get_payload_str(), std::move(correlation)};
    }
    if (!client_->is_connected()) return ConnectionLost{};
    if (publish_refused()) return NothingYet{};
  } while (Clock::now() < until);
  return NothingYet{};
}

}  // namespace parley::cli
