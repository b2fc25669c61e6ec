// What happens once per pass of the broker's loop, and once per second.

#include "plugin/plugin.hpp"

namespace parley::plugin {
namespace {

constexpr std::int64_t summary_every_s = 60;

/// Logins that the broker itself has decided upon by now: those it refused are gone again.
void settle_foreign_logins(Plugin& plugin) {
  for (const mosquitto* client : std::exchange(plugin.foreign_logins, {})) {
    const std::string id{plugin.owners.held_by(client)};
    if (!id.empty()) plugin.owners_file.saw_foreign(id, mosquitto_client_clean_session(client));
  }
}

void store_wills(Plugin& plugin) {
  plugin.wills.hand_over([&](const Will& will) {
    if (!plugin.spool.append(will.record, Spool::Reserve::keep)) return false;  // later, then
    ++plugin.counters.wills;
    ++plugin.counters.spooled;
    return true;
  });
}

/// Disconnects those whose token is no longer good. The broker calls us back from within.
void kick(Plugin& plugin) {
  for (const SessionNo no : plugin.sessions.take_doomed()) {
    const Session* session = plugin.sessions.find(no);
    if (session == nullptr || session->life == Life::dead) continue;
    // Another connection took the id already: this one ends by itself, and the id is the other's.
    if (!plugin.owners.is_latest(session->client)) continue;
    const std::string id{session->client_id.view()};
    log_info("event=kicked user=" + quoted(session->name()) + " client=" + quoted(id));
    ++plugin.counters.kicked;
    plugin.kicking = true;
    mosquitto_kick_client_by_clientid(id.c_str(), false);
    plugin.kicking = false;
  }
}

void log_summary(Plugin& plugin, std::int64_t now_s) {
  if (now_s - plugin.last_summary_s < summary_every_s || plugin.counters == plugin.summarized)
    return;
  plugin.last_summary_s = now_s;
  plugin.summarized = plugin.counters;
  const Counters& c = plugin.counters;
  std::string line = "event=summary";
  const auto add = [&line](const char* key, std::uint64_t value) {
    line.append(" ").append(key).append("=").append(std::to_string(value));
  };
  add("live", plugin.sessions.live());
  add("spool_bytes", plugin.spool.used_bytes());
  add("spool_records", plugin.spool.entries().size());
  add("logins", c.logins);
  add("logins_refused", c.logins_refused);
  add("spooled", c.spooled);
  add("delivered", c.delivered);
  add("refused", c.refused);
  add("rate_limited", c.rate_limited);
  add("spool_full", c.spool_full);
  add("wills", c.wills);
  add("wills_dropped", c.wills_dropped);
  add("frames_in", c.frames_in);
  add("frames_bad", c.frames_bad);
  add("frames_out", c.frames_out);
  add("repeats", c.repeats);
  add("gates_lost", c.gates_lost);
  add("kicked", c.kicked);
  add("out_of_memory", c.out_of_memory);
  log_info(line);
}

void every_second(Plugin& plugin, const Now& now) {
  plugin.sessions.expire(unix_seconds(now));
  plugin.revocations.retry();
  log_summary(plugin, now.mono.value / 1'000);
}

}  // namespace

void on_tick(Plugin& plugin) {
  const Now now = read_clocks();
  ++plugin.ticks;
  plugin.rechecking = false;
  plugin.outlet.begin_tick();
  settle_foreign_logins(plugin);
  if (now.mono.value / 1'000 != plugin.last_second) {
    plugin.last_second = now.mono.value / 1'000;
    every_second(plugin, now);
  }
  if (plugin.revocations_seen != plugin.link.revocations_changed()) {
    plugin.revocations_seen = plugin.link.revocations_changed();
    plugin.sessions.doom_unless([&](Session& session) {
      learn_device_generation(plugin, session);
      return is_allowed(plugin, session);
    });
  }
  kick(plugin);
  plugin.sessions.tick(now.mono);
  store_wills(plugin);
  plugin.link.flush(now);
  plugin.outlet.end_tick();
}

}  // namespace parley::plugin
