#include "tests/walk/device.hpp"

#include <functional>
#include <stdexcept>

namespace parley::walk {

using Json = nlohmann::json;
using test::Publication;

namespace {

const std::vector<std::string>& filters() {
  static const std::vector<std::string> all{"ack.json/+", "re.json/+", "sent.json/+",
                                            "event.json/+", "inbox.json/+"};
  return all;
}

// Some speak MQTT 5; always the same ones.
int version_of(const std::string& client_id) {
  return std::hash<std::string>{}(client_id) % 4 == 0 ? 5 : 4;
}

}  // namespace

Device::Device(test::Instance& instance, std::string user, std::string name, Habit habit)
    : instance_{instance},
      user_{std::move(user)},
      name_{std::move(name)},
      habit_{habit},
      version_{version_of(user_ + "." + name_)} {}

void Device::connect(bool clean) {
  auto options = instance_.device_login(user_, name_);
  options.clean = clean;
  options.version = version_;
  options.keepalive_s = habit_ == Habit::never_confirms ? short_keepalive_s : keepalive_s;
  if (version_ == 5) options.session_expiry_s = 3'600;
  person_.emplace(instance_.connected(user_, options));
  if (!clean && subscribed_ && !person_->mqtt.session_present()) {
    throw std::runtime_error(client_id() + ": its session is gone");
  }
}

void Device::subscribe() {
  subscribed_ = true;
  for (const auto& filter : filters()) person_->listen({filter});
  person_->listen({"state/unread"});
}

void Device::listen_to_replies() { person_->listen({"re.json/+"}); }

void Device::disconnect() {
  look();
  person_->mqtt.disconnect();
  take(person_->mqtt.take());
  person_.reset();
}

void Device::drop() {
  person_->mqtt.drop();
  take(person_->mqtt.take());
  person_.reset();
}

void Device::publish(const std::string& rest, const std::string& payload) {
  person_->mqtt.publish_soon({.topic = person_->topic(rest), .payload = payload, .qos = 1});
}

Json Device::ack(const std::string& id) {
  return Json::parse(person_->expect_text("ack.json/" + id));
}

Json Device::reply(const std::string& id) {
  return Json::parse(person_->expect_text("re.json/" + id));
}

std::size_t Device::look() {
  const auto all = person_->mqtt.drain();
  take(all);
  confirm();
  return all.size();
}

void Device::take(const std::vector<Publication>& all) {
  const std::string prefix = "im/u/" + user_ + "/";
  for (const Publication& one : all) {
    if (!one.topic.starts_with(prefix)) {
      throw std::runtime_error(client_id() + " got " + one.topic);
    }
    const std::string rest = one.topic.substr(prefix.size());
    const std::string verb = rest.substr(0, rest.find('/'));
    if (rest == "state/unread") {
      unread_ = one.payload;
    } else if (verb == "inbox.json" || verb == "sent.json" || verb == "event.json") {
      const Json payload = Json::parse(one.payload);
      const std::string own = payload.value("from", "");
      if (verb != "event.json" && (own == user_) != (verb == "sent.json")) {
        throw std::runtime_error(client_id() + ": " + one.topic + " brings " + one.payload);
      }
      view_.take(verb, payload);
    }
  }
}

void Device::confirm() {
  if (habit_ == Habit::never_confirms) return;
  for (const auto& [conv, held] : view_.all()) {
    Seq& said = confirmed_[conv];
    if (held.newest <= said) continue;
    said = held.newest;
    publish("got/" + conv, std::to_string(said));
  }
}

Json Device::positions() const {
  Json all = Json::array();
  for (const auto& [conv, held] : view_.all()) {
    if (held.rev > 0) all.push_back({{"conv", conv}, {"rev", held.rev}});
  }
  return all;
}

}  // namespace parley::walk
