#include "tests/sim/broker.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "tests/sim/clock.hpp"

namespace parley::sim {
namespace {

constexpr std::size_t places = 40;

/// The plugin's maps are ordered by these pointers: the same addresses in every run, or a seed
/// would not repeat itself.
std::byte* place_base() {
  static std::byte* const base = [] {
    void* const wanted = reinterpret_cast<void*>(0x2000'0000'0000);
    void* const memory =
        ::mmap(wanted, places * 64, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (memory != wanted) throw std::runtime_error{"the addresses for clients are taken"};
    return static_cast<std::byte*>(memory);
  }();
  return base;
}

mosquitto* place(std::size_t index) {
  return reinterpret_cast<mosquitto*>(place_base() + index * 64);
}

std::size_t index_of(const mosquitto* client) {
  return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(client) - place_base()) / 64;
}

bool is_inbox(const Packet& packet) { return packet.topic.find("/inbox") != std::string::npos; }

std::size_t inbox_packets(const Context& context) {
  return static_cast<std::size_t>(std::count_if(context.out.begin(), context.out.end(), is_inbox));
}

bool matches(const std::string& filter, const std::string& topic) {
  bool result = false;
  return mosquitto_topic_matches_sub(filter.c_str(), topic.c_str(), &result) == MOSQ_ERR_SUCCESS &&
         result;
}

}  // namespace

Broker*& the_broker() {
  static Broker* broker = nullptr;
  return broker;
}

bool& verbose() {
  static bool on = false;
  return on;
}

Broker::Broker(Random& random, std::string key_file, std::string state_dir, std::size_t spool_mib)
    : random_{random},
      key_file_{std::move(key_file)},
      state_dir_{std::move(state_dir)},
      spool_mib_{spool_mib},
      contexts_(places) {
  the_broker() = this;
}

Broker::~Broker() {
  crash();
  the_broker() = nullptr;
}

bool Broker::start() {
  const std::string mib = std::to_string(spool_mib_);
  std::vector<std::pair<std::string, std::string>> given = {
      {"key_file", key_file_}, {"state_dir", state_dir_}, {"spool_mib", mib}};
  std::vector<mosquitto_opt> options;
  for (auto& [key, value] : given) options.push_back({key.data(), value.data()});
  callbacks_.clear();
  return mosquitto_plugin_init(nullptr, &user_data_, options.data(),
                               static_cast<int>(options.size())) == MOSQ_ERR_SUCCESS;
}

void Broker::crash() {
  if (plugin_ == nullptr) return;
  mosquitto_plugin_cleanup(user_data_, nullptr, 0);
  plugin_ = nullptr;
  user_data_ = nullptr;
  for (auto& context : contexts_) context = {};
  queue_.clear();
}

int Broker::registered(int event, MOSQ_FUNC_generic_callback function, void* user_data) {
  if (event == plugin::event_client_offline) return MOSQ_ERR_INVAL;  // as 2.0 says
  callbacks_[event] = function;
  plugin_ = static_cast<plugin::Plugin*>(user_data);
  return MOSQ_ERR_SUCCESS;
}

int Broker::call(int event, void* data) { return callbacks_.at(event)(event, data, plugin_); }

void Broker::keep_at_most(const mosquitto* client, std::size_t inbox) {
  Context& known = context(client);
  known.inbox_max = inbox + inbox_packets(known);
}

Context& Broker::context(const mosquitto* client) { return contexts_.at(index_of(client)); }

std::uint64_t Broker::connection_of(const mosquitto* client) {
  const Context& known = context(client);
  return known.used && known.connected ? known.connection : 0;
}

mosquitto* Broker::free_place() {
  // The memory of one that is gone is given to the next: the plugin must not mix them up.
  const std::size_t from = random_.below(8);
  for (std::size_t i = from; i < places; ++i) {
    if (!contexts_[i].used) return place(i);
  }
  throw std::runtime_error{"too many clients"};
}

mosquitto* Broker::find(const std::string& client_id) {
  for (std::size_t i = 0; i < places; ++i) {
    if (contexts_[i].used && contexts_[i].login.client_id == client_id) return place(i);
  }
  return nullptr;
}

void Broker::take_over(mosquitto* old_place, mosquitto* new_place, bool clean) {
  Context& old = context(old_place);
  if (!clean && !old.login.clean) {
    context(new_place).filters = std::move(old.filters);
    context(new_place).out = std::move(old.out);
  }
  if (old.connected) {
    mosquitto_evt_disconnect gone{};
    gone.client = old_place;
    gone.reason = MOSQ_ERR_SUCCESS;
    call(MOSQ_EVT_DISCONNECT, &gone);
  }
  context(old_place) = {};
}

mosquitto* Broker::connect(const Login& login) {
  if (!running()) return nullptr;
  mosquitto* const before = find(login.client_id);
  mosquitto* const client = free_place();
  Context& fresh = context(client);
  fresh.used = true;
  fresh.login = login;
  std::string user = login.user;
  std::string password = login.password;
  mosquitto_evt_basic_auth event{};
  event.client = client;
  event.username = user.data();
  event.password = password.data();
  if (call(MOSQ_EVT_BASIC_AUTH, &event) != MOSQ_ERR_SUCCESS) {
    fresh = {};
    return nullptr;
  }
  fresh.connected = true;
  fresh.connection = ++connections_;
  if (before != nullptr) take_over(before, client, login.clean);
  // What was kept for it is checked once more.
  std::erase_if(fresh.out, [&](const Packet& packet) { return !may_read(client, packet); });
  return client;
}

void Broker::disconnect(mosquitto* client) {
  Context& known = context(client);
  if (!known.used || !known.connected) return;
  known.connected = false;
  std::erase_if(known.out, [](const Packet& packet) { return packet.qos == 0; });
  mosquitto_evt_disconnect gone{};
  gone.client = client;
  gone.reason = MOSQ_ERR_CONN_LOST;
  call(MOSQ_EVT_DISCONNECT, &gone);
  if (known.login.clean) known = {};
}

void Broker::kick(const std::string& client_id) {
  mosquitto* const client = find(client_id);
  if (client != nullptr) disconnect(client);
}

bool Broker::subscribe(mosquitto* client, const std::string& filter) {
  mosquitto_evt_acl_check event{};
  std::string text = filter;
  event.client = client;
  event.topic = text.data();
  event.access = MOSQ_ACL_SUBSCRIBE;
  if (call(MOSQ_EVT_ACL_CHECK, &event) != MOSQ_ERR_SUCCESS) return false;
  auto& filters = context(client).filters;
  std::erase(filters, filter);
  filters.push_back(filter);
  return true;
}

bool Broker::may_read(mosquitto* client, const Packet& packet) {
  mosquitto_evt_acl_check event{};
  event.client = client;
  event.topic = packet.topic.c_str();
  event.payload = packet.payload.data();
  event.payloadlen = static_cast<std::uint32_t>(packet.payload.size());
  event.qos = static_cast<std::uint8_t>(packet.qos);
  event.access = MOSQ_ACL_READ;
  return call(MOSQ_EVT_ACL_CHECK, &event) == MOSQ_ERR_SUCCESS;
}

Published Broker::publish(mosquitto* client, const std::string& topic, const std::string& payload,
                          int qos) {
  mosquitto_evt_acl_check check{};
  check.client = client;
  check.topic = topic.c_str();
  check.payload = payload.data();
  check.payloadlen = static_cast<std::uint32_t>(payload.size());
  check.qos = static_cast<std::uint8_t>(qos);
  check.access = MOSQ_ACL_WRITE;
  if (call(MOSQ_EVT_ACL_CHECK, &check) != MOSQ_ERR_SUCCESS) return Published::denied;
  std::string topic_copy = topic;
  std::string copy = payload;
  int result = MOSQ_ERR_SUCCESS;
  if (topic.starts_with("$CONTROL/")) {
    mosquitto_evt_control event{};
    event.client = client;
    event.topic = topic_copy.data();
    event.payload = copy.data();
    event.payloadlen = static_cast<std::uint32_t>(copy.size());
    event.qos = static_cast<std::uint8_t>(qos);
    result = call(MOSQ_EVT_CONTROL, &event);
  } else {
    mosquitto_evt_message event{};
    event.client = client;
    event.topic = topic_copy.data();
    event.payload = copy.data();
    event.payloadlen = static_cast<std::uint32_t>(copy.size());
    event.qos = static_cast<std::uint8_t>(qos);
    result = call(MOSQ_EVT_MESSAGE, &event);
  }
  if (result == MOSQ_ERR_SUCCESS) return Published::taken;
  if (result == MOSQ_ERR_ACL_DENIED) return Published::denied;
  disconnect(client);
  return Published::disconnected;
}

void Broker::hand_out() {
  if (!running()) return;
  for (auto& packet : std::exchange(queue_, {})) {
    for (std::size_t i = 0; i < places; ++i) {
      Context& known = contexts_[i];
      if (!known.used) continue;
      bool wanted = false;
      for (const auto& filter : known.filters) wanted = wanted || matches(filter, packet.topic);
      if (!wanted || !may_read(place(i), packet)) continue;
      if (known.inbox_max > 0 && inbox_packets(known) >= known.inbox_max && is_inbox(packet)) {
        ++dropped;
        if (verbose())
          std::printf("%8lld dropped for %s: %s\n", static_cast<long long>(clock::now_ms()),
                      known.login.client_id.c_str(), packet.topic.c_str());
        continue;
      }
      if (known.connected || (packet.qos > 0 && !known.login.clean)) known.out.push_back(packet);
      if (on_link_packet && packet.topic.starts_with("$")) on_link_packet(packet);
    }
  }
}

void Broker::tick() {
  if (!running()) return;
  mosquitto_evt_tick event{};
  call(MOSQ_EVT_TICK, &event);
}

int Broker::published_by_plugin(const char* topic, int bytes, void* payload, int qos) {
  if (std::string_view{topic}.starts_with("$im/fence") && fences_refused_permille > 0 &&
      random_.permille(fences_refused_permille)) {
    ++fences_refused;
    return MOSQ_ERR_NOMEM;
  }
  queue_.push_back({topic,
                    std::string(static_cast<const char*>(payload), static_cast<std::size_t>(bytes)),
                    qos});
  if (!queue_.back().topic.starts_with("$im/in/")) ++plugin_publishes;
  return MOSQ_ERR_SUCCESS;
}

}  // namespace parley::sim

// The part of the broker's C interface that the plugin uses.
// NOLINTBEGIN
#define SIM_EXPORT __attribute__((visibility("default")))
using parley::sim::the_broker;
extern "C" {

SIM_EXPORT void mosquitto_log_printf(int level, const char* format, ...) {
  if (!parley::sim::verbose()) return;
  std::va_list arguments;
  va_start(arguments, format);
  std::printf("%8lld plugin %s ", static_cast<long long>(parley::sim::clock::now_ms()),
              level == MOSQ_LOG_ERR ? "ERROR" : "info");
  std::vprintf(format, arguments);
  std::printf("\n");
  va_end(arguments);
}
SIM_EXPORT const char* mosquitto_client_id(const mosquitto* client) {
  return the_broker()->context(client).login.client_id.c_str();
}
SIM_EXPORT const char* mosquitto_client_address(const mosquitto*) { return "127.0.0.1"; }
SIM_EXPORT const char* mosquitto_client_username(const mosquitto* client) {
  return the_broker()->context(client).login.user.c_str();
}
SIM_EXPORT bool mosquitto_client_clean_session(const mosquitto* client) {
  return the_broker()->context(client).login.clean;
}
SIM_EXPORT int mosquitto_client_protocol_version(const mosquitto* client) {
  return the_broker()->context(client).login.protocol;
}
SIM_EXPORT int mosquitto_client_keepalive(const mosquitto* client) {
  return the_broker()->context(client).login.keep_alive_s;
}
SIM_EXPORT int mosquitto_client_sub_count(const mosquitto* client) {
  return static_cast<int>(the_broker()->context(client).filters.size());
}
SIM_EXPORT void* mosquitto_malloc(size_t bytes) { return std::malloc(bytes); }
SIM_EXPORT void mosquitto_free(void* memory) { std::free(memory); }
SIM_EXPORT int mosquitto_broker_publish(const char*, const char* topic, int bytes, void* payload,
                                        int qos, bool, mosquitto_property* properties) {
  const int result = the_broker()->published_by_plugin(topic, bytes, payload, qos);
  if (result != MOSQ_ERR_SUCCESS) return result;  // the caller's still
  std::free(payload);
  mosquitto_property_free_all(&properties);
  return result;
}
SIM_EXPORT int mosquitto_callback_register(mosquitto_plugin_id_t*, int event,
                                           MOSQ_FUNC_generic_callback function, const void*,
                                           void* user_data) {
  return the_broker()->registered(event, function, user_data);
}
SIM_EXPORT int mosquitto_callback_unregister(mosquitto_plugin_id_t*, int,
                                             MOSQ_FUNC_generic_callback, const void*) {
  return MOSQ_ERR_SUCCESS;
}
SIM_EXPORT int mosquitto_kick_client_by_clientid(const char* client_id, bool) {
  the_broker()->kick(client_id);
  return MOSQ_ERR_SUCCESS;
}

}  // extern "C"
// NOLINTEND
