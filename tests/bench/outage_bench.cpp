// PostgreSQL away under a steady load: memory of each process, and whether all is there afterwards.
// Run by tools/bench/outage; the tests leave it out.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <sstream>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int publishers = 4;
constexpr auto before_and_after = std::chrono::seconds{5};
/// Of the broker beside the spool, and of the worker: some times what docs/operations.md has
/// measured, and less than what a minute's messages would need in a queue without a bound.
constexpr long growth_kib_max = 32 * 1024;

int parameter(const char* name, int usual) {
  const char* const text = std::getenv(name);
  return text == nullptr ? usual : std::atoi(text);
}

/// A line of /proc/<pid>/<file> that begins with `key`, in KiB; 0 if the process is gone.
long kib_of(pid_t pid, const std::string& file, const std::string& key) {
  std::istringstream lines{read_file(with_number("/proc/", pid) + "/" + file)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) return std::atol(line.c_str() + key.size());
  }
  return 0;
}

struct Sample {
  long broker = 0;       // resident, with the mapped spool
  long broker_anon = 0;  // without
  long worker = 0;
  long postgres = 0;  // proportional, of all its processes together
};

Sample sample(Instance& instance) {
  Sample now;
  const pid_t broker = instance.broker().process().pid();
  now.broker = kib_of(broker, "status", "VmRSS:");
  now.broker_anon = kib_of(broker, "status", "RssAnon:");
  now.worker = kib_of(instance.worker().process().pid(), "status", "VmRSS:");
  if (!instance.postgres().running()) return now;
  const pid_t server = instance.postgres().process().pid();
  now.postgres = kib_of(server, "smaps_rollup", "Pss:");
  for (const pid_t child : children_of(server)) {
    now.postgres += kib_of(child, "smaps_rollup", "Pss:");
  }
  return now;
}

Sample larger(const Sample& a, const Sample& b) {
  return {std::max(a.broker, b.broker), std::max(a.broker_anon, b.broker_anon),
          std::max(a.worker, b.worker), std::max(a.postgres, b.postgres)};
}

/// One user who writes to the sink: MQTT 5, with ids; what is refused with 0x87 is sent again.
class Publisher {
 public:
  Publisher(Instance& instance, int number)
      : person_{instance.person5(with_number("u", number))}, name_{with_number("u", number)} {}

  void publish_new() { publish(++last_); }
  void collect() {
    REQUIRE(person_.mqtt.await_answers(200));
    take_answers();
  }
  void finish() {
    do {
      REQUIRE(person_.mqtt.await_answers());
      take_answers();
      for (const int number : std::exchange(refused_, {})) publish(number);
    } while (!open_.empty());
  }
  [[nodiscard]] int last() const { return last_; }
  [[nodiscard]] int refusals() const { return refusals_; }

 private:
  void publish(int number) {
    const std::string text = with_number(name_ + "-", number);
    open_.emplace_back(
        person_.mqtt.publish_soon({.topic = person_.topic("send/sink/" + text), .payload = text}),
        number);
  }
  void take_answers() {
    const auto& answers = person_.mqtt.answers();
    while (!open_.empty()) {
      const auto answer = answers.find(open_.front().first);
      if (answer == answers.end()) break;
      if (answer->second == 0x87) {
        ++refusals_;
        refused_.push_back(open_.front().second);
      } else {
        REQUIRE(answer->second == 0);
      }
      open_.pop_front();
    }
  }

  Person person_;
  std::string name_;
  int last_ = 0;
  int refusals_ = 0;
  std::deque<std::pair<std::uint16_t, int>> open_;
  std::vector<int> refused_;
};

/// Everybody publishes at `rate` messages a second together.
void publish_for(std::vector<Publisher>& all, int rate, std::chrono::seconds time,
                 const std::function<void()>& every_tenth) {
  const auto start = Clock::now();
  std::int64_t sent = 0;
  for (int turn = 0; Clock::now() - start < time; ++turn) {
    const std::chrono::duration<double> passed = Clock::now() - start;
    for (; sent < static_cast<std::int64_t>(passed.count() * rate); ++sent) {
      all[static_cast<std::size_t>(sent) % all.size()].publish_new();
    }
    for (auto& one : all) one.collect();
    if (turn % 10 == 0) every_tenth();
    ::poll(nullptr, 0, 10);
  }
}

void row(const char* name, long before, long peak, long after) {
  std::printf("| %-28s | %8.1f | %8.1f | %8.1f |\n", name, static_cast<double>(before) / 1024,
              static_cast<double>(peak) / 1024, static_cast<double>(after) / 1024);
}

struct Figures {
  int sent = 0;
  int refusals = 0;
  double caught_up_s = 0;
  std::int64_t stored = 0;
  std::int64_t distinct = 0;
  std::size_t delivered = 0;
  std::size_t delivered_distinct = 0;
};

/// Waits until everything is stored and delivered, and compares.
void judge(Instance& instance, const std::string& sink_log, const std::function<void()>& look,
           Clock::time_point back, Figures& figures) {
  const auto stored = [&] {
    look();
    return instance.database().number(
        "SELECT count(*) FROM messages m JOIN users u ON u.user_id = m.sender_id"
        " WHERE u.name LIKE 'u_'");
  };
  const Milliseconds long_time{120'000};
  eventually(
      "everything is stored", [&] { return stored() >= figures.sent; }, Deadline{long_time});
  figures.caught_up_s = std::chrono::duration<double>(Clock::now() - back).count();
  instance.settle();
  const auto delivered = [&] { return lines_of(read_file(sink_log)); };
  eventually(
      "everything is delivered",
      [&] { return delivered().size() >= static_cast<std::size_t>(figures.sent); },
      Deadline{long_time});
  look();
  auto lines = delivered();
  figures.delivered = lines.size();
  std::sort(lines.begin(), lines.end());
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  figures.delivered_distinct = lines.size();
  for (const auto& conversation : instance.database().query(
           "SELECT count(*), count(DISTINCT request_id), max(seq) - count(*) FROM messages m"
           " JOIN users u ON u.user_id = m.sender_id WHERE u.name LIKE 'u_'"
           " GROUP BY conversation_id")) {
    figures.stored += std::stoll(conversation[0]);
    figures.distinct += std::stoll(conversation[1]);
    CHECK(conversation[2] == "0");  // seq without gaps
  }
}

void print(const Figures& figures, const Sample& before, const Sample& peak, const Sample& after) {
  std::printf("%d messages, all stored %.1f s after PostgreSQL was back\n", figures.sent,
              figures.caught_up_s);
  std::printf(
      "stored %lld, doubled %lld, lost %lld; refused with 0x87 and sent again %d; "
      "delivered %zu (%zu distinct)\n\n",
      static_cast<long long>(figures.stored),
      static_cast<long long>(figures.stored - figures.distinct),
      static_cast<long long>(figures.sent - figures.distinct), figures.refusals, figures.delivered,
      figures.delivered_distinct);
  std::printf("| MiB                          |   before |     peak |    after |\n");
  std::printf("|------------------------------|----------|----------|----------|\n");
  row("broker, with the mapped spool", before.broker, peak.broker, after.broker);
  row("broker, anonymous", before.broker_anon, peak.broker_anon, after.broker_anon);
  row("worker", before.worker, peak.worker, after.worker);
  row("PostgreSQL (proportional)", before.postgres, peak.postgres, after.postgres);
}

}  // namespace

TEST_CASE("bench: PostgreSQL away under a steady load" * doctest::skip()) {
  const int seconds = parameter("PARLEY_BENCH_SECONDS", 60);
  const int rate = parameter("PARLEY_BENCH_RATE", 2'000);
  Postgres postgres;
  Instance instance({"u1", "u2", "u3", "u4", "sink"}, {.postgres = &postgres});
  Command command = instance.mosquitto(
      "mosquitto_sub", {"-i", "sink.desk", "-c", "-u", "sink", "-P", instance.token("sink"), "-q",
                        "1", "-t", "im/u/sink/inbox/+", "-F", "%p"});
  command.log_path = instance.folder() + "/sink.log";
  const Process sink{command};
  std::vector<Publisher> all;
  for (int i = 1; i <= publishers; ++i) all.emplace_back(instance, i);

  Sample peak;
  const auto look = [&] { peak = larger(peak, sample(instance)); };
  publish_for(all, rate, before_and_after, look);
  const Sample before = sample(instance);
  postgres.stop(Postgres::Stop::fast);
  publish_for(all, rate, std::chrono::seconds{seconds}, look);
  const auto back = Clock::now();
  postgres.start();
  publish_for(all, rate, before_and_after, look);
  Figures figures;
  for (auto& one : all) {
    one.finish();
    figures.sent += one.last();
    figures.refusals += one.refusals();
  }
  judge(instance, command.log_path, look, back, figures);
  ::poll(nullptr, 0, 5'000);  // what is idle again
  std::printf("%d/s, PostgreSQL away for %d s: ", rate, seconds);
  print(figures, before, peak, sample(instance));
  CHECK(peak.broker_anon - before.broker_anon <= growth_kib_max);
  CHECK(peak.worker - before.worker <= growth_kib_max);
  CHECK(figures.stored == figures.sent);
  CHECK(figures.distinct == figures.sent);
  CHECK(figures.delivered_distinct == static_cast<std::size_t>(figures.sent));
}
