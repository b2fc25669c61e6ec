#include "plugin/broker.hpp"

#include <dlfcn.h>
#include <mqtt_protocol.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>

namespace parley::plugin {
namespace {

constexpr std::size_t quoted_bytes_max = 80;
constexpr int properties_seen_max = 32;                // of one publish; the rest is not looked at
constexpr std::size_t property_value_bytes_max = 128;  // more cannot be an id or a number
constexpr std::size_t response_topic_bytes_max = 1024;
constexpr std::array<std::string_view, 3> known_properties = {"id", "reply-to", "ttl"};

std::int64_t milliseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000 + time.tv_nsec / 1'000'000;
}

/// What the readers return is plain malloc's.
struct Free {
  // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): this is the owner
  void operator()(void* memory) const { std::free(memory); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct PropertyReaders {
  decltype(&mosquitto_property_read_string_pair) string_pair = nullptr;
  decltype(&mosquitto_property_read_string) string = nullptr;
  decltype(&mosquitto_property_read_binary) binary = nullptr;
};
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): set once, at start
PropertyReaders readers;

template <class Function>
void find(void* from, const char* name, Function*& function) {
  if (function == nullptr) function = reinterpret_cast<Function*>(dlsym(from, name));
}

void find_all(void* from) {
  find(from, "mosquitto_property_read_string_pair", readers.string_pair);
  find(from, "mosquitto_property_read_string", readers.string);
  find(from, "mosquitto_property_read_binary", readers.binary);
}

bool found_all() {
  return readers.string_pair != nullptr && readers.string != nullptr && readers.binary != nullptr;
}

void read_user_properties(const mosquitto_property* list, std::vector<link::Property>& into) {
  const mosquitto_property* at = list;
  for (int i = 0; i < properties_seen_max && at != nullptr; ++i) {
    char* key = nullptr;
    char* value = nullptr;
    at = readers.string_pair(at, MQTT_PROP_USER_PROPERTY, &key, &value, i > 0);
    const Owned<char> own_key{key};
    const Owned<char> own_value{value};
    if (at == nullptr || key == nullptr || value == nullptr) return;
    const std::string_view name{key};
    if (std::find(known_properties.begin(), known_properties.end(), name) ==
        known_properties.end()) {
      continue;
    }
    const auto same = [name](const link::Property& known) { return known.key == name; };
    if (std::any_of(into.begin(), into.end(), same)) continue;
    into.push_back(
        {std::string{name}, std::string{value, strnlen(value, property_value_bytes_max)}});
  }
}

}  // namespace

void log_error(const std::string& line) { mosquitto_log_printf(MOSQ_LOG_ERR, "%s", line.c_str()); }
void log_warning(const std::string& line) {
  mosquitto_log_printf(MOSQ_LOG_WARNING, "%s", line.c_str());
}
void log_info(const std::string& line) { mosquitto_log_printf(MOSQ_LOG_INFO, "%s", line.c_str()); }

std::string quoted(std::string_view text) {
  std::string out;
  bool plain = !text.empty();
  for (const char c : text.substr(0, quoted_bytes_max)) {
    const bool printable = c > ' ' && c < 0x7F && c != '"' && c != '\\';
    plain = plain && printable && c != '=';
    out += printable || c == ' ' ? c : '?';
  }
  if (text.size() > quoted_bytes_max) out += "...";
  return plain ? out : '"' + out + '"';
}

Now read_clocks() {
  return {UnixMillis{milliseconds(CLOCK_REALTIME)}, MonoMillis{milliseconds(CLOCK_MONOTONIC)}};
}

std::int64_t unix_seconds(const Now& now) { return now.wall.value / 1'000; }

std::string_view client_id(const mosquitto* client) {
  const char* id = mosquitto_client_id(client);
  return id == nullptr ? std::string_view{} : std::string_view{id};
}

std::string_view client_address(const mosquitto* client) {
  const char* address = mosquitto_client_address(client);
  return address == nullptr ? std::string_view{} : std::string_view{address};
}

void OutProperties::add_user_property(const std::string& key, const std::string& value) {
  mosquitto_property_add_string_pair(&list_, MQTT_PROP_USER_PROPERTY, key.c_str(), value.c_str());
}

void OutProperties::add_correlation_data(std::string_view data) {
  if (data.empty() || data.size() > UINT16_MAX) return;
  mosquitto_property_add_binary(&list_, MQTT_PROP_CORRELATION_DATA, data.data(),
                                static_cast<std::uint16_t>(data.size()));
}

bool publish(const std::string& topic, std::string_view payload, int qos,
             mosquitto_property* properties) {
  // The broker frees the copy with its own accounting: it must come from there.
  void* copy = nullptr;
  if (!payload.empty()) {
    copy = mosquitto_malloc(payload.size());
    if (copy == nullptr) {
      mosquitto_property_free_all(&properties);
      return false;
    }
    std::memcpy(copy, payload.data(), payload.size());
  }
  const int result = mosquitto_broker_publish(
      nullptr, topic.c_str(), static_cast<int>(payload.size()), copy, qos, false, properties);
  if (result == MOSQ_ERR_SUCCESS) return true;
  mosquitto_free(copy);
  mosquitto_property_free_all(&properties);
  return false;
}

bool find_property_readers() {
  find_all(RTLD_DEFAULT);
  if (!found_all()) {
    // The broker's package brings this library; it stays loaded for as long as we are.
    void* library = dlopen("libmosquitto.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) find_all(library);
  }
  return found_all();
}

InProperties read_properties(const mosquitto_property* list) {
  InProperties properties;
  if (list == nullptr || !found_all()) return properties;
  read_user_properties(list, properties.user);

  char* topic = nullptr;
  readers.string(list, MQTT_PROP_RESPONSE_TOPIC, &topic, false);
  const Owned<char> own_topic{topic};
  if (topic != nullptr && std::strlen(topic) <= response_topic_bytes_max) {
    properties.response_topic = topic;
  }
  void* data = nullptr;
  std::uint16_t length = 0;
  readers.binary(list, MQTT_PROP_CORRELATION_DATA, &data, &length, false);
  const Owned<void> own_data{data};
  if (data != nullptr) {
    properties.correlation_data.emplace(static_cast<const char*>(data), length);
  }
  return properties;
}

}  // namespace parley::plugin
