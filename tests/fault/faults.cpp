#include "tests/fault/faults.hpp"

#include <algorithm>
#include <csignal>

namespace parley::fault {

namespace {

using test::Postgres;

/// A fault out of two functions.
class Simple : public Fault {
 public:
  using Step = std::function<void(Arena&)>;
  Simple(Step strike, Step heal) : strike_{std::move(strike)}, heal_{std::move(heal)} {}
  void strike(Arena& arena) override { strike_(arena); }
  void heal(Arena& arena) override { heal_(arena); }

 private:
  Step strike_;
  Step heal_;
};

Kind simple(std::string name, std::string what, Part part, Simple::Step strike, Simple::Step heal) {
  return {.name = std::move(name),
          .what = std::move(what),
          .part = part,
          .make = [strike = std::move(strike), heal = std::move(heal)] {
            return std::make_unique<Simple>(strike, heal);
          }};
}

void nothing(Arena&) {}

void start_worker(Arena& arena) { arena.instance().worker().start(); }
void start_broker(Arena& arena) { arena.instance().broker().start(); }
void start_postgres(Arena&) { Postgres::shared().start(); }

void add_kills(std::vector<Kind>& all) {
  all.push_back(simple(
      "kill_worker", "parleyd gets SIGKILL", Part::worker,
      [](Arena& arena) { arena.instance().worker().kill(); }, start_worker));
  all.push_back(simple(
      "kill_broker", "Mosquitto gets SIGKILL", Part::broker,
      [](Arena& arena) { arena.instance().broker().kill(); }, start_broker));
  all.push_back(simple(
      "kill_postgres", "every process of PostgreSQL gets SIGKILL", Part::database,
      [](Arena&) { Postgres::shared().kill(); }, start_postgres));
}

void add_restarts(std::vector<Kind>& all) {
  all.push_back(simple(
      "stop_worker", "parleyd gets SIGTERM and is started again", Part::worker,
      [](Arena& arena) { arena.instance().worker().stop(); }, start_worker));
  all.push_back(simple(
      "postgres_fast", "PostgreSQL is stopped in mode fast and started again", Part::database,
      [](Arena&) { Postgres::shared().stop(Postgres::Stop::fast); }, start_postgres));
  all.push_back(simple(
      "postgres_immediate", "PostgreSQL is stopped in mode immediate and started again",
      Part::database, [](Arena&) { Postgres::shared().stop(Postgres::Stop::immediate); },
      start_postgres));
  all.push_back(simple(
      "terminate_backends", "every connection of parleyd is ended by the server", Part::database,
      [](Arena& arena) {
        arena.instance().database().query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
            " current_database() AND pid <> pg_backend_pid()");
      },
      nothing));
}

void add_pauses(std::vector<Kind>& all) {
  all.push_back(simple(
      "pause_worker", "parleyd is stopped (SIGSTOP) and goes on (SIGCONT)", Part::worker,
      [](Arena& arena) { arena.instance().worker().process().signal(SIGSTOP); },
      [](Arena& arena) { arena.instance().worker().process().signal(SIGCONT); }));
  all.push_back(simple(
      "pause_broker", "Mosquitto is stopped (SIGSTOP) and goes on (SIGCONT)", Part::broker,
      [](Arena& arena) { arena.instance().broker().process().signal(SIGSTOP); },
      [](Arena& arena) { arena.instance().broker().process().signal(SIGCONT); }));
  all.push_back(simple(
      "pause_postgres", "every process of PostgreSQL is stopped (SIGSTOP) and goes on (SIGCONT)",
      Part::database, [](Arena&) { Postgres::shared().signal_all(SIGSTOP); },
      [](Arena&) { Postgres::shared().signal_all(SIGCONT); }));
}

/// Asks every third client, from a different first one each time.
void some_clients(Arena& arena, const std::function<void(Client&)>& ask) {
  static std::size_t first = 0;
  auto& clients = arena.clients();
  for (std::size_t i = first++ % 3; i < clients.size(); i += 3) ask(*clients[i]);
}

void add_clients(std::vector<Kind>& all) {
  constexpr Micros stall = 1'500'000;
  all.push_back(simple(
      "stalled_readers", "a third of the clients stop reading", Part::clients,
      [](Arena& arena) { some_clients(arena, [](Client& c) { c.stall_for(stall); }); }, nothing));
  all.push_back(simple(
      "slow_readers", "a third of the clients read a few packets at a time", Part::clients,
      [](Arena& arena) { some_clients(arena, [](Client& c) { c.slow_for(stall); }); }, nothing));
  all.push_back(simple(
      "drop_clients", "a third of the clients lose their connection", Part::clients,
      [](Arena& arena) {
        some_clients(arena, [](Client& c) { c.leave(Client::Leave::abruptly); });
      },
      nothing));
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = [] {
    std::vector<Kind> made;
    add_kills(made);
    add_restarts(made);
    add_pauses(made);
    add_clients(made);
    return made;
  }();
  return all;
}

const Kind* find_kind(const std::string& name) {
  const auto found = std::find_if(kinds().begin(), kinds().end(),
                                  [&](const Kind& kind) { return kind.name == name; });
  return found == kinds().end() ? nullptr : &*found;
}

}  // namespace parley::fault
