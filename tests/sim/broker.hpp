// A broker of one thread, as the plugin sees Mosquitto 2.0: it loads the real plugin through its
// entry points and calls its callbacks in the order of the broker's loop. Connections are pairs of
// queues; what moves when is the caller's choice.
#pragma once

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/plugin.hpp"
#include "tests/sim/random.hpp"

namespace parley::sim {

struct Packet {
  std::string topic;
  std::string payload;
  int qos = 0;
};

/// How somebody logs in.
struct Login {
  std::string client_id;
  std::string user;
  std::string password;
  bool clean = true;
  int protocol = 4;
  int keep_alive_s = 60;
};

/// What the broker knows of a client id.
struct Context {
  bool used = false;
  bool connected = false;
  Login login;
  std::uint64_t connection = 0;  // counts connections: tells an old one's end from a new one
  std::vector<std::string> filters;
  std::deque<Packet> out;     // sent, or to be sent, and not received yet
  std::size_t inbox_max = 0;  // of them, on inboxes: what comes beyond is dropped; 0: nothing is
};

enum class Published { taken, denied, disconnected };

class Broker {
 public:
  /// @param state_dir  of the plugin; survives crash()
  Broker(Random& random, std::string key_file, std::string state_dir, std::size_t spool_mib);
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker();

  /// @return false if the plugin refused to start
  bool start();
  /// kill -9: every connection and session is gone, the plugin's files stay.
  void crash();
  [[nodiscard]] bool running() const { return plugin_ != nullptr; }
  /// The plugin's inside, for looking.
  [[nodiscard]] plugin::Plugin& plugin() { return *plugin_; }

  /// @return its place; null if it was refused
  mosquitto* connect(const Login& login);
  void disconnect(mosquitto* client);
  bool subscribe(mosquitto* client, const std::string& filter);
  Published publish(mosquitto* client, const std::string& topic, const std::string& payload,
                    int qos);
  Context& context(const mosquitto* client);
  /// The number of the connection that has this place now; 0 if none has.
  std::uint64_t connection_of(const mosquitto* client);

  /// From now on so many packets of inboxes, beside those that wait for it already.
  void keep_at_most(const mosquitto* client, std::size_t inbox);
  std::uint64_t dropped = 0;

  /// The start of a pass of the loop: what the plugin published goes out.
  void hand_out();
  /// Its end.
  void tick();

  // ---- called by the C interface ----
  int registered(int event, MOSQ_FUNC_generic_callback function, void* user_data);
  int published_by_plugin(const char* topic, int bytes, void* payload, int qos);
  void kick(const std::string& client_id);
  /// Of 1,000 fences: how many the broker does not take, as it has no memory.
  std::uint64_t fences_refused_permille = 0;
  std::uint64_t fences_refused = 0;
  /// Deliveries and fences: all but the frames to the worker.
  std::uint64_t plugin_publishes = 0;

  /// Called with each packet that the worker's receiver is sent.
  std::function<void(const Packet&)> on_link_packet;

 private:
  int call(int event, void* data);
  bool may_read(mosquitto* client, const Packet& packet);
  mosquitto* free_place();
  mosquitto* find(const std::string& client_id);
  void take_over(mosquitto* old_place, mosquitto* new_place, bool clean);

  Random& random_;
  const std::string key_file_;
  const std::string state_dir_;
  const std::size_t spool_mib_;
  plugin::Plugin* plugin_ = nullptr;
  void* user_data_ = nullptr;
  std::map<int, MOSQ_FUNC_generic_callback> callbacks_;
  std::vector<Context> contexts_;
  std::deque<Packet> queue_;
  std::uint64_t connections_ = 0;
};

/// The one that the C interface speaks for; null between seeds.
Broker*& the_broker();
/// Prints what the plugin logs.
bool& verbose();

}  // namespace parley::sim
