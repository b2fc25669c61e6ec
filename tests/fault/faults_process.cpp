// Processes that die, stop and come back.
#include <csignal>
#include <stdexcept>

#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

namespace {

using test::Postgres;

/// How long a process may take to end when it is asked to: the worker finishes what it has.
constexpr test::Milliseconds end_within{15'000};

void start_worker(Arena& arena) { arena.instance().worker().start(); }
void start_broker(Arena& arena) { arena.instance().broker().start(); }
void start_postgres(Arena& arena) { arena.postgres().start(); }

void add_kills(std::vector<Kind>& all) {
  all.push_back(simple(
      "kill_worker", "parleyd gets SIGKILL", Part::worker,
      [](Arena& arena) { arena.instance().worker().kill(); }, start_worker));
  all.push_back(simple(
      "kill_broker", "Mosquitto gets SIGKILL", Part::broker,
      [](Arena& arena) { arena.instance().broker().kill(); }, start_broker));
  all.push_back(simple(
      "kill_postgres", "every process of PostgreSQL gets SIGKILL", Part::database,
      [](Arena& arena) { arena.postgres().kill(); }, start_postgres));
}

void add_restarts(std::vector<Kind>& all) {
  all.push_back(simple(
      "stop_worker", "parleyd gets SIGTERM and is started again", Part::worker,
      [](Arena& arena) { arena.instance().worker().process().signal(SIGTERM); },
      [](Arena& arena) {
        const auto code =
            arena.instance().worker().process().wait(test::Deadline{test::slowed(end_within)});
        if (code != 0) {
          arena.complain("stop", "parleyd ended on SIGTERM with " +
                                     (code ? std::to_string(*code) : std::string("no end")));
        }
        start_worker(arena);
      }));
  all.push_back(simple(
      "postgres_fast", "PostgreSQL is stopped in mode fast and started again", Part::database,
      [](Arena& arena) { arena.postgres().stop(Postgres::Stop::fast); }, start_postgres));
  all.push_back(simple(
      "postgres_immediate", "PostgreSQL is stopped in mode immediate and started again",
      Part::database, [](Arena& arena) { arena.postgres().stop(Postgres::Stop::immediate); },
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
      Part::database, [](Arena& arena) { arena.postgres().signal_all(SIGSTOP); },
      [](Arena& arena) { arena.postgres().signal_all(SIGCONT); }));
}

/// Exactly one of two workers has to remain, and the other one has to say why it ended.
class SecondWorker : public Fault {
 public:
  void strike(Arena& arena) override {
    second_.emplace(arena.instance().another_worker());
    second_->start();
  }
  void heal(Arena& arena) override {
    test::Worker& first = arena.instance().worker();
    const bool one_ended = wait_until(
        end_within, [&] { return !first.process().running() || !second_->process().running(); });
    if (!one_ended) arena.complain("two workers", "both went on");
    test::Worker& loser = first.process().running() ? *second_ : first;
    if (one_ended && loser.process().wait() != taken_over) {
      arena.complain("two workers",
                     "the one that ended did so with " + std::to_string(*loser.process().wait()));
    }
    second_->process().signal(SIGTERM);
    second_->process().wait(test::Deadline{test::slowed(end_within)});
    second_.reset();
    if (!first.process().running()) first.start();
  }

 private:
  static constexpr int taken_over = 3;
  std::optional<test::Worker> second_;
};

}  // namespace

void add_process_kinds(std::vector<Kind>& all) {
  add_kills(all);
  add_restarts(all);
  add_pauses(all);
  all.push_back({.name = "second_worker",
                 .what = "parleyd is started a second time",
                 .pairs = false,
                 .make = [] { return std::make_unique<SecondWorker>(); }});
}

}  // namespace parley::fault
