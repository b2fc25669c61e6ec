// The broker's C interface as we use it. Only from the broker's thread.
#pragma once

#include <mosquitto.h>
#include <mosquitto_broker.h>
// It declares our entry points, which alone the broker must be able to find.
#pragma GCC visibility push(default)
#include <mosquitto_plugin.h>
#pragma GCC visibility pop

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "core/link.hpp"

namespace parley::plugin {

/// MOSQ_EVT_CLIENT_OFFLINE of 2.1: raised instead of DISCONNECT for sessions that persist.
inline constexpr int event_client_offline = 28;

// ---- logs: one logfmt line each, never a token, a password or a payload ----

void log_error(const std::string& line);
void log_warning(const std::string& line);
void log_info(const std::string& line);
/// Text of strangers as a value: printable, at most 80 bytes, in quotes where needed.
std::string quoted(std::string_view text);

// ---- clocks ----

Now read_clocks();
std::int64_t unix_seconds(const Now& now);

// ---- facts about a client ----

std::string_view client_id(const mosquitto* client);
std::string_view client_address(const mosquitto* client);

// ---- publishing ----

/// MQTT 5 properties on their way to mosquitto_broker_publish, which takes them.
class OutProperties {
 public:
  OutProperties() = default;
  OutProperties(const OutProperties&) = delete;
  OutProperties& operator=(const OutProperties&) = delete;
  ~OutProperties() { mosquitto_property_free_all(&list_); }

  /// Leaves out what the broker does not accept (broken UTF-8).
  void add_user_property(const std::string& key, const std::string& value);
  void add_correlation_data(std::string_view data);
  mosquitto_property* take() { return std::exchange(list_, nullptr); }

 private:
  mosquitto_property* list_ = nullptr;
};

/// Puts a message into the broker's queue; it goes out, and is checked, at the start of the next
/// pass of the broker's loop, in the order of these calls. Never retained.
/// @return false if the broker has no memory
bool publish(const std::string& topic, std::string_view payload, int qos,
             mosquitto_property* properties = nullptr);

// ---- what a client publishes beside the payload ----

struct InProperties {
  std::vector<link::Property> user;  // only those that we know, each once
  std::string response_topic;
  std::optional<std::string> correlation_data;
};
InProperties read_properties(const mosquitto_property* list);
/// Finds the functions that read properties: some builds of the broker do not offer them to
/// plugins.
/// @return false if there are none; then properties of clients are not seen
bool find_property_readers();

}  // namespace parley::plugin
