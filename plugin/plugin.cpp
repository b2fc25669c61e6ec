// The entry points that the broker looks for, and its callbacks: each one guarded line.

#include "plugin/plugin.hpp"

#include <sodium.h>

#include <array>
#include <memory>
#include <utility>

#include "core/fault_point.hpp"
#include "plugin/boundary.hpp"

namespace parley::plugin {

Plugin::Plugin(Options o, Opened opened)
    : options{std::move(o)},
      keys{std::move(opened.keys)},
      lock{std::move(opened.lock)},
      spool_file{std::move(opened.spool)},
      owners_file{std::move(opened.owners)},
      revocations{std::move(opened.revocations)},
      spool{spool_file.spool()},
      owners{owners_file.owners()},
      sessions{options.limits},
      outlet{options.prefix, sessions, counters},
      link{options.prefix, sessions, spool, revocations, outlet, counters} {}

namespace {

constexpr int supported_version = 5;
constexpr long tick_at_least_every_ms = 100;

Plugin& plugin_of(void* user_data) { return *static_cast<Plugin*>(user_data); }

int basic_auth_callback(int /*event*/, void* data, void* user_data) {
  return guarded("basic_auth", MOSQ_ERR_AUTH, [&] {
    return on_basic_auth(plugin_of(user_data), *static_cast<mosquitto_evt_basic_auth*>(data));
  });
}

int acl_check_callback(int /*event*/, void* data, void* user_data) {
  return guarded("acl_check", MOSQ_ERR_ACL_DENIED, [&] {
    return on_acl_check(plugin_of(user_data), *static_cast<mosquitto_evt_acl_check*>(data));
  });
}

int message_callback(int /*event*/, void* data, void* user_data) {
  // Not "denied": a 3.1.1 publisher would be told yes for something that was not kept.
  return guarded("message", MOSQ_ERR_NOMEM, [&] {
    return on_message(plugin_of(user_data), *static_cast<mosquitto_evt_message*>(data));
  });
}

int control_callback(int /*event*/, void* data, void* user_data) {
  // Whatever is wrong with a frame, the worker's connection must not end of it.
  return guarded("control", MOSQ_ERR_SUCCESS, [&] {
    const auto& event = *static_cast<mosquitto_evt_control*>(data);
    Plugin& plugin = plugin_of(user_data);
    Session* session = plugin.sessions.find(event.client);
    if (session != nullptr && session->is_service() && session->active()) {
      const std::string_view payload{static_cast<const char*>(event.payload), event.payloadlen};
      plugin.link.on_frame(*session, payload, read_clocks());
    }
    return MOSQ_ERR_SUCCESS;
  });
}

int tick_callback(int /*event*/, void* data, void* user_data) {
  return guarded("tick", MOSQ_ERR_SUCCESS, [&] {
    on_tick(plugin_of(user_data));
    // 2.1 reads this field as milliseconds and may sleep longer without it; 2.0 ticks anyway.
    static_cast<mosquitto_evt_tick*>(data)->next_ns = tick_at_least_every_ms;
    return MOSQ_ERR_SUCCESS;
  });
}

int disconnect_callback(int /*event*/, void* data, void* user_data) {
  return guarded("disconnect", MOSQ_ERR_SUCCESS, [&] {
    on_disconnect(plugin_of(user_data), static_cast<mosquitto_evt_disconnect*>(data)->client);
    return MOSQ_ERR_SUCCESS;
  });
}

int reload_callback(int /*event*/, void* /*data*/, void* user_data) {
  // Any other answer keeps the broker from telling the plugins behind us.
  return guarded("reload", MOSQ_ERR_PLUGIN_DEFER, [&] {
    on_reload(plugin_of(user_data));
    return MOSQ_ERR_PLUGIN_DEFER;
  });
}

struct Callback {
  int event;
  MOSQ_FUNC_generic_callback function;
};
constexpr std::array<Callback, 6> callbacks = {{
    {MOSQ_EVT_BASIC_AUTH, basic_auth_callback},
    {MOSQ_EVT_ACL_CHECK, acl_check_callback},
    {MOSQ_EVT_MESSAGE, message_callback},
    {MOSQ_EVT_TICK, tick_callback},
    {MOSQ_EVT_DISCONNECT, disconnect_callback},
    {MOSQ_EVT_RELOAD, reload_callback},
}};

/// What was made at start, for the end.
struct Running {
  Running(mosquitto_plugin_id_t* i, Options options, Opened opened)
      : identifier{i}, plugin{std::move(options), std::move(opened)} {}
  mosquitto_plugin_id_t* identifier;
  Plugin plugin;
};

Result<Opened, std::string> open_all(const Options& options, std::vector<std::string>& said) {
  auto keys = load_key_file(options.key_file);
  if (!keys) return failed(keys.error());
  auto lock = StateLock::take(options.state_dir);
  if (!lock) return failed(lock.error());
  auto spool =
      SpoolFile::open(options.state_dir, options.spool_mib, unix_seconds(read_clocks()), said);
  if (!spool) return failed(spool.error());
  auto owners = OwnersFile::open(options.state_dir, said);
  if (!owners) return failed(owners.error());
  auto revocations = RevocationsFile::open(options.state_dir, said);
  if (!revocations) return failed(revocations.error());
  return Opened{std::move(*keys), std::move(*lock), std::move(*spool), std::move(*owners),
                std::move(*revocations)};
}

int register_all(mosquitto_plugin_id_t* identifier, Plugin& plugin) {
  for (const auto& [event, function] : callbacks) {
    const int result = mosquitto_callback_register(identifier, event, function, nullptr, &plugin);
    if (result != MOSQ_ERR_SUCCESS) return result;
  }
  // Only 2.1 has it, and says so itself.
  mosquitto_callback_register(identifier, event_client_offline, disconnect_callback, nullptr,
                              &plugin);
  return mosquitto_callback_register(identifier, MOSQ_EVT_CONTROL, control_callback,
                                     plugin.link.control_topic().c_str(), &plugin);
}

void unregister_all(mosquitto_plugin_id_t* identifier, const Plugin& plugin) {
  for (const auto& [event, function] : callbacks) {
    mosquitto_callback_unregister(identifier, event, function, nullptr);
  }
  mosquitto_callback_unregister(identifier, event_client_offline, disconnect_callback, nullptr);
  mosquitto_callback_unregister(identifier, MOSQ_EVT_CONTROL, control_callback,
                                plugin.link.control_topic().c_str());
}

int start(mosquitto_plugin_id_t* identifier, void** user_data, const mosquitto_opt* raw,
          int count) {
  if (sodium_init() < 0) {
    log_error("event=not_started err=\"no random numbers\"");
    return MOSQ_ERR_UNKNOWN;
  }
  std::vector<RawOption> given;
  given.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    given.emplace_back(raw[i].key == nullptr ? "" : raw[i].key,
                       raw[i].value == nullptr ? "" : raw[i].value);
  }
  auto options = parse_options(given);
  if (!options) {
    for (const auto& wrong : options.error()) log_error("event=not_started err=" + quoted(wrong));
    return MOSQ_ERR_INVAL;
  }
  std::vector<std::string> said;
  auto opened = open_all(*options, said);
  for (const auto& line : said) log_error(line);
  if (!opened) {
    log_error("event=not_started err=\"" + opened.error() + "\"");
    return MOSQ_ERR_UNKNOWN;
  }
  if (!find_property_readers())
    log_warning("event=no_property_readers note=\"MQTT 5 properties of clients are not seen\"");
  auto running = std::make_unique<Running>(identifier, std::move(*options), std::move(*opened));
  if (const int result = register_all(identifier, running->plugin); result != MOSQ_ERR_SUCCESS) {
    unregister_all(identifier, running->plugin);
    log_error("event=not_started err=\"the broker did not take a callback\" rc=" +
              std::to_string(result));
    return result;
  }
  const Spool& spool = running->plugin.spool;
  log_info("event=started prefix=" + running->plugin.options.prefix + " waiting=" +
           std::to_string(spool.entries().size()) + " next=" + std::to_string(spool.next()));
  *user_data = running.release();
  return MOSQ_ERR_SUCCESS;
}

}  // namespace
}  // namespace parley::plugin

// NOLINTBEGIN(readability-identifier-naming): the broker's names
extern "C" {

mosq_plugin_EXPORT int mosquitto_plugin_version(int count, const int* versions) {
  for (int i = 0; i < count; ++i) {
    if (versions[i] == parley::plugin::supported_version) return versions[i];
  }
  return -1;
}

mosq_plugin_EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t* identifier, void** user_data,
                                             mosquitto_opt* options, int option_count) {
  return parley::plugin::guarded("init", MOSQ_ERR_UNKNOWN, [&] {
    return parley::plugin::start(identifier, user_data, options, option_count);
  });
}

mosq_plugin_EXPORT int mosquitto_plugin_cleanup(void* user_data, mosquitto_opt* /*options*/,
                                                int /*option_count*/) {
  return parley::plugin::guarded("cleanup", MOSQ_ERR_SUCCESS, [&] {
    // With it go the wills that were asked for since the last tick: the broker ends, not the
    // clients.
    std::unique_ptr<parley::plugin::Running> running{
        static_cast<parley::plugin::Running*>(user_data)};
    if (running) parley::plugin::unregister_all(running->identifier, running->plugin);
    running.reset();
    parley::crash_point(parley::CrashPoint::plugin_after_cleanup);
    return MOSQ_ERR_SUCCESS;
  });
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
