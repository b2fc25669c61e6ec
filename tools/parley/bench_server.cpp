// The server that `parley bench` measures: its users, its rooms, its processes.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <thread>

#include "tools/parley/bench.hpp"

namespace parley::cli {
namespace {

constexpr std::int64_t other_users_max = 20;

/// Names are $1 and a number, 1 … $2.
constexpr const char* make_users =
    "WITH wanted AS (SELECT $1 || n AS name FROM generate_series(1, $2::int) AS n),"
    " named AS (INSERT INTO names (name, kind, id)"
    "           SELECT name, 'user', nextval('user_ids') FROM wanted w"
    "           WHERE NOT EXISTS (SELECT FROM names n WHERE n.name = w.name)"
    "           ON CONFLICT (name) DO NOTHING RETURNING name, id)"
    " INSERT INTO users (user_id, name) SELECT id, name FROM named";
constexpr const char* list_users =
    "SELECT u.name, u.user_id, u.generation, u.disabled_at IS NOT NULL"
    " FROM generate_series(1, $2::int) AS n JOIN users u ON u.name = $1 || n ORDER BY n";

/// What was not taken by clients of an earlier run would come first otherwise.
constexpr const char* catch_members_up =
    "UPDATE members m SET got_seq = h.last_seq FROM conversation_heads h, users u"
    " WHERE starts_with(u.name, 'bench-') AND m.user_id = u.user_id"
    " AND h.conversation_id = m.conversation_id AND m.got_seq < h.last_seq";
constexpr const char* catch_devices_up =
    "UPDATE device_marks m SET got_seq = h.last_seq, got_rev = h.last_rev"
    " FROM conversation_heads h, users u"
    " WHERE starts_with(u.name, 'bench-') AND m.user_id = u.user_id"
    " AND h.conversation_id = m.conversation_id AND m.got_seq < h.last_seq";

constexpr const char* make_room =
    "WITH named AS (INSERT INTO names (name, kind, id)"
    "               VALUES ($1, 'room', nextval('conversation_ids'))"
    "               ON CONFLICT (name) DO NOTHING RETURNING id),"
    " head AS (INSERT INTO conversation_heads (conversation_id) SELECT id FROM named)"
    " INSERT INTO conversations (conversation_id, kind, name, title, created_by)"
    " SELECT id, 'room', $1, 'bench', $2::bigint FROM named";
/// As enter_room does it, for many at once. $2: their ids, the owner first.
constexpr const char* fill_room =
    "WITH room AS (SELECT conversation_id, last_seq FROM conversations"
    "              JOIN conversation_heads USING (conversation_id) WHERE name = $1),"
    " fresh AS (INSERT INTO members (conversation_id, user_id, got_seq, read_seq, role)"
    "           SELECT conversation_id, someone, last_seq, last_seq,"
    "                  CASE WHEN place = 1 THEN 'owner' ELSE 'member' END"
    "           FROM room, unnest($2::bigint[]) WITH ORDINALITY AS w(someone, place)"
    "           ON CONFLICT (conversation_id, user_id) DO NOTHING RETURNING *),"
    " since AS (INSERT INTO membership_periods (conversation_id, user_id, joined_seq, since_seq)"
    "           SELECT conversation_id, user_id, 0, got_seq FROM fresh),"
    " own AS (INSERT INTO user_conversations (user_id, conversation_id)"
    "         SELECT user_id, conversation_id FROM fresh ON CONFLICT DO NOTHING),"
    " marks AS (INSERT INTO device_marks (user_id, device, conversation_id, got_seq)"
    "           SELECT d.user_id, d.device, f.conversation_id, f.got_seq"
    "           FROM fresh f JOIN devices d USING (user_id) WHERE f.got_seq > 0"
    "           ON CONFLICT DO NOTHING),"
    " counted AS (UPDATE conversations SET member_count = member_count + (SELECT count(*) FROM "
    "fresh)"
    "             WHERE conversation_id = (SELECT conversation_id FROM room))"
    " UPDATE conversation_heads SET members_version = members_version + 1"
    " WHERE conversation_id = (SELECT conversation_id FROM fresh LIMIT 1)";

constexpr const char* look_at_server =
    "SELECT pg_backend_pid(),"
    " (SELECT count(*) FROM users WHERE NOT starts_with(name, 'bench-')),"
    " 'PostgreSQL ' || current_setting('server_version') || ', fsync ' || current_setting('fsync')"
    " || ', synchronous_commit ' || current_setting('synchronous_commit')";

bool is_here(const char* host) {
  const std::string_view name = host == nullptr ? "" : host;
  return name.empty() || name.front() == '/' || name == "localhost" || name == "127.0.0.1" ||
         name == "::1";
}

std::string id_list(const std::vector<User>& users) {
  std::string list = "{";
  for (const User& user : users) {
    list += (list.size() > 1 ? "," : "") + std::to_string(user.user_id.value);
  }
  return list + "}";
}

}  // namespace

Bench::Bench(BenchOptions options, Config config, Database database)
    : options_{std::move(options)}, config_{std::move(config)}, database_{std::move(database)} {
  // Seeds repeat; texts of an earlier run must not pass for ours.
  run_ =
      static_cast<std::uint32_t>(now_s()) * 2'654'435'761U ^ static_cast<std::uint32_t>(::getpid());
}

Outcome<Bench> Bench::open(const Setup& setup, BenchOptions options) {
  auto config = load_setup(setup);
  if (!config) return failed(config.error());
  auto database = Database::open_migrated(config->database.uri);
  if (!database) return failed(database.error());
  if (options.bytes > config->limits.text_bytes_max) {
    return fail(Exit::usage, "--bytes is above the server's limits.text_bytes_max");
  }
  const auto writers = static_cast<double>(options.pairs);
  if (options.rate > writers * config->limits.publishes_per_s) {
    return fail(Exit::usage, "each user may publish " +
                                 std::to_string(config->limits.publishes_per_s) +
                                 " messages per second: for this --rate give more --pairs");
  }
  const auto keys = load_key_file(config->broker.key_file);
  if (!keys) return fail(Exit::failed, keys.error());
  const Key* const key = keys->newest(false);
  if (key == nullptr) {
    return fail(Exit::failed,
                config->broker.key_file + ": holds no active key; make one: parley key new");
  }
  Bench bench{std::move(options), std::move(*config), std::move(*database)};
  bench.secret_ = key->secret;
  bench.key_id_ = key->key_id;
  if (auto looked = bench.look(); !looked) return failed(looked.error());
  return bench;
}

Outcome<void> Bench::look() {
  const auto rows = database_.run(look_at_server);
  if (!rows) return failed(rows.error());
  if (is_here(PQhost(database_.get()))) backend_ = rows->integer(0, 0);
  database_settings_ = rows->text(0, 2);
  if (rows->integer(0, 1) > other_users_max && !options_.yes) {
    return fail(
        Exit::failed,
        "this server has " + rows->text(0, 1) +
            " users of its own, and a measurement is a heavy load that leaves users, rooms and "
            "messages \"bench-…\" behind for ever. Take another server (tools/up --dir DIR makes "
            "one), or say --yes");
  }
  find_processes();
  return {};
}

void Bench::find_processes() {
  const std::string& host = config_.broker.host;
  server_ = {};
  if (host == "localhost" || host == "::1" || host.starts_with("127.")) {
    server_.broker = load::find_broker(config_.broker.port);
  }
  server_.worker = load::find_worker(config_.broker.port);
  if (backend_ != 0) server_.postmaster = load::find_postmaster(static_cast<pid_t>(backend_));
}

Outcome<void> Bench::catch_up() {
  for (const char* const sql : {catch_members_up, catch_devices_up}) {
    if (auto done = database_.run(sql); !done) return failed(done.error());
  }
  return {};
}

Outcome<std::vector<User>> Bench::users(const std::string& kind, unsigned count) {
  const std::string prefix = "bench-" + kind;
  const std::string number = std::to_string(count);
  const auto made = database_.run(make_users, {prefix, number});
  if (!made) return failed(made.error());
  if (auto done = catch_up(); !done) return failed(done.error());
  if (auto told = database_.run("NOTIFY parley_users"); !told) return failed(told.error());
  const auto rows = database_.run(list_users, {prefix, number});
  if (!rows) return failed(rows.error());
  std::vector<User> users;
  for (int row = 0; row < rows->count(); ++row) {
    if (rows->text(row, 3) == "t") return fail(Exit::failed, rows->text(row, 0) + " is disabled");
    users.push_back({UserId{rows->integer(row, 1)}, rows->text(row, 0),
                     static_cast<std::uint32_t>(rows->integer(row, 2)), false});
  }
  if (users.size() != count) {
    return fail(Exit::failed, "a name among " + prefix + "1 … " + prefix + number +
                                  " is not a user's, or not any more");
  }
  return users;
}

Outcome<std::string> Bench::room(const std::string& name, const std::vector<User>& members) {
  const std::string full = "bench-" + name;
  const std::string owner = std::to_string(members.front().user_id.value);
  auto done = database_.transact([&]() -> Outcome<void> {
    if (auto made = database_.run(make_room, {full, owner}); !made) return failed(made.error());
    if (auto filled = database_.run(fill_room, {full, id_list(members)}); !filled) {
      return failed(filled.error());
    }
    return {};
  });
  if (!done) return failed(done.error());
  return full;
}

load::Credentials Bench::login(const User& user, const std::string& device) const {
  TokenClaims claims;
  claims.key_id = key_id_;
  claims.scope = scope::ordinary;
  claims.user_id = user.user_id;
  claims.expires_at = static_cast<std::uint32_t>(now_s() + 86'400);
  claims.generation = user.generation;
  const std::string id = device.empty() ? "parley-" + user.name : user.name + "." + device;
  return {id, user.name,
          mint_token(claims, TokenSubject{config_.broker.prefix, user.name, ""}, secret_)};
}

load::Credentials Bench::foreign_login(const std::string& client_id) const {
  if (options_.relay_user.empty()) return {client_id, std::nullopt, std::nullopt};
  return {client_id, options_.relay_user, options_.relay_password};
}

std::string Bench::topic(const User& user, const std::string& rest) const {
  return config_.broker.prefix + "/u/" + user.name + "/" + rest;
}

load::Endpoint Bench::where() const { return {config_.broker.host, config_.broker.port}; }

load::Endpoint Bench::bare_where() const {
  return options_.bare_port == 0 ? where() : load::Endpoint{"127.0.0.1", options_.bare_port};
}

pid_t Bench::bare_broker() const {
  return options_.bare_port == 0 ? server_.broker : load::find_broker(options_.bare_port);
}

std::uint32_t Bench::next_run() { return ++run_; }

std::function<void(const load::Progress&)> Bench::progress() const {
  if (::isatty(STDERR_FILENO) == 0) return [](const load::Progress&) {};
  return [title = title_](const load::Progress& now) {
    const double left = now.share > 0 ? now.seconds / now.share - now.seconds : 0;
    std::fprintf(stderr, "\r%s: %llu messages, %.0f/s, %3.0f %%, %.0f s left \033[K", title.c_str(),
                 static_cast<unsigned long long>(now.messages),
                 static_cast<double>(now.messages) / std::max(now.seconds, 0.001), now.share * 100,
                 std::ceil(left));
    if (now.share >= 1) std::fprintf(stderr, "\r\033[K");
  };
}

void Bench::say(const std::string& line) const {
  if (::isatty(STDERR_FILENO) != 0) std::cerr << "\r\033[K" << title_ << ": " << line << std::flush;
}

// ---- CPU ----

namespace {

void add_cpu(Figures& figures, const std::string& tail, const load::CpuTimes& used, double count) {
  const double scale = 1e6 / std::max(count, 1.0);
  if (used.broker) figures.add("broker" + tail, *used.broker * scale);
  if (used.worker) figures.add("worker" + tail, *used.worker * scale);
  if (used.postgres) figures.add("postgres" + tail, *used.postgres * scale);
  if (used.broker && used.worker && used.postgres) {
    figures.add("server" + tail, (*used.broker + *used.worker + *used.postgres) * scale);
  }
}

/// Until two looks in a row see next to no work; the search index may have a lot to do.
load::CpuTimes wait_for_rest(const load::Server& server) {
  constexpr auto step = std::chrono::milliseconds{200};
  constexpr double busy_s = 0.025;  // of a step: more than what an idle server does
  constexpr int steps_max = 600;
  load::CpuTimes last = load::cpu_times(server);
  int quiet = 0;
  for (int i = 0; i < steps_max && quiet < 2; ++i) {
    std::this_thread::sleep_for(step);
    const load::CpuTimes now = load::cpu_times(server);
    const load::CpuTimes used = now - last;
    last = now;
    const double busy =
        used.worker.value_or(0) + used.postgres.value_or(0) + used.broker.value_or(0);
    quiet = busy < busy_s ? quiet + 1 : 0;
  }
  return last;
}

}  // namespace

void CpuMeter::finish(Figures& figures, const std::string& what, double count) const {
  const load::Server& server = bench_.server();
  const load::CpuTimes ended = load::cpu_times(server);
  add_cpu(figures, "_cpu_us_per_" + what, ended - began_, count);
  figures.add("generator_cpu_us_per_" + what,
              (ended - began_).generator * 1e6 / std::max(count, 1.0));
  bench_.say("waiting until the server is at rest");
  const std::int64_t ended_at = load::now_ns();
  const load::CpuTimes rested = wait_for_rest(server);
  add_cpu(figures, "_cpu_us_afterwards", rested - ended, count);
  figures.add("seconds_until_at_rest",
              static_cast<double>(load::now_ns() - ended_at) / load::ns_per_s);
}

}  // namespace parley::cli
