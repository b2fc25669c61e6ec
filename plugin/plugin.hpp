// Everything that the plugin is, in one place; made at start, gone at the broker's end. The
// callbacks below are called by plugin.cpp only, all in the broker's thread.
#pragma once

#include <cstdint>

#include "core/keyring.hpp"
#include "core/rate.hpp"
#include "plugin/broker.hpp"
#include "plugin/link.hpp"
#include "plugin/options.hpp"
#include "plugin/outlet.hpp"
#include "plugin/owners.hpp"
#include "plugin/revocations_file.hpp"
#include "plugin/sessions.hpp"
#include "plugin/spool_file.hpp"
#include "plugin/wills.hpp"

namespace parley::plugin {

/// What is opened at start, and may fail.
struct Opened {
  Keyring keys;
  StateLock lock;
  SpoolFile spool;
  OwnersFile owners;
  RevocationsFile revocations;
};

struct Plugin {
  Plugin(Options o, Opened opened);
  Plugin(const Plugin&) = delete;  // its parts hold on to one another
  Plugin& operator=(const Plugin&) = delete;

  const Options options;
  Keyring keys;
  StateLock lock;
  SpoolFile spool_file;
  OwnersFile owners_file;
  RevocationsFile revocations;
  Spool& spool;
  ClientOwners& owners;
  Counters counters;
  Sessions sessions;
  Outlet outlet;
  Wills wills;
  Link link;

  /// Other clients whose login the broker has not refused until the next tick.
  std::vector<const mosquitto*> foreign_logins;
  bool rechecking = false;  // after a reload the broker asks again for those that are connected
  bool kicking = false;     // and while it disconnects someone it asks about what he has subscribed
  TokenBucket refusal_logs{20, 100};
  TokenBucket alarm_logs{1, 1};

  std::uint64_t ticks = 0;
  std::int64_t last_second = 0;  // of the monotonic clock
  std::int64_t last_summary_s = 0;
  Counters summarized;
  std::uint64_t revocations_seen = 0;
};

// ---- authenticate.cpp ----
/// The session of ours behind a connection; null if there is none. The broker reuses its pointers,
/// and some listeners log in without asking us: a session that is over is taken for this
/// connection's only if id and user name are the same.
Session* session_of(Plugin& plugin, const mosquitto* client);

int on_basic_auth(Plugin& plugin, const mosquitto_evt_basic_auth& event);
void on_disconnect(Plugin& plugin, const mosquitto* client);
/// Reads the keys again; keeps the old ones if that fails.
void on_reload(Plugin& plugin);
/// Whether a session's token is still good, as far as the revocation list goes.
bool is_allowed(const Plugin& plugin, const Session& session);
/// Notes, once there is a list, from where on a rise says that its device is not wanted any more.
void learn_device_generation(const Plugin& plugin, Session& session);

// ---- authorize.cpp ----
int on_acl_check(Plugin& plugin, const mosquitto_evt_acl_check& event);

// ---- ingest.cpp ----
int on_message(Plugin& plugin, const mosquitto_evt_message& event);
/// A will that the broker is about to publish, or an ordinary publish to its topic: see wills.hpp.
void on_will(Plugin& plugin, Session& session, const mosquitto_evt_acl_check& event,
             std::string_view topic_rest);

// ---- tick.cpp ----
void on_tick(Plugin& plugin);

}  // namespace parley::plugin
