// Wall clocks that are stepped, that pass the end of a month, and that are a day wrong.
#include "tests/support/clock.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "tests/support/instance.hpp"

using namespace parley::test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

/// A Parley with clocks of its own: the database's, and the broker's and worker's.
struct Clocked {
  SteppedClock clock;
  SteppedClock database_clock;
  Postgres postgres{{.environment = database_clock.environment()}};
  std::optional<Instance> instance;

  explicit Clocked(bool proxied = false) {
    instance.emplace(std::initializer_list<std::string>{"alice", "bob"},
                     InstanceOptions{.broker = {.environment = clock.environment()},
                                     .postgres = &postgres,
                                     .proxied = proxied,
                                     .worker_environment = clock.environment()});
  }
  void step_all(std::chrono::nanoseconds by) {
    clock.step(by);
    database_clock.step(by);
  }
};

/// alice writes to bob, with ids; both hear what comes of it.
class Traffic {
 public:
  explicit Traffic(Instance& instance)
      : instance_{instance}, alice_{instance.person("alice")}, bob_{instance.person("bob")} {
    alice_.listen({"ack.json/+", "re.json/+"});
    bob_.listen({"inbox.json/+"});
  }

  void send(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string text = with_number("m", ++sent_);
      alice_.mqtt.publish_soon({.topic = alice_.topic("send/bob/" + text), .payload = text});
      REQUIRE(alice_.mqtt.await_answers(20));
    }
    REQUIRE(alice_.mqtt.await_answers());
  }
  /// Acks and deliveries of all that was sent since the last time.
  /// @param near  what `time` says within a minute
  void check(std::chrono::system_clock::time_point near) {
    const Deadline deadline{slowed(Milliseconds{20'000})};
    for (int i = checked_ + 1; i <= sent_; ++i) {
      const Json ack = Json::parse(alice_.expect_text(with_number("ack.json/m", i), deadline));
      REQUIRE(ack["state"] == "stored");
      REQUIRE(ack["seq"] == i);
      const Json message = Json::parse(bob_.expect_text("inbox.json/alice", deadline));
      REQUIRE(message["seq"] == i);
      REQUIRE(message["text"] == with_number("m", i));
      REQUIRE(message["time"] == ack["time"]);
      const auto off = instance_.database().number(
          "SELECT abs(extract(epoch FROM $1::timestamptz) - $2::bigint)::bigint",
          {ack["time"], std::to_string(std::chrono::system_clock::to_time_t(near))});
      REQUIRE(off < 60);
    }
    checked_ = sent_;
  }
  /// Though the worker has what was sent since then, and time to store it, nothing of it is stored.
  void check_waiting() {
    // Requests come after it in the same stream; each is a way to the database and back.
    for (int i = 0; i < 5; ++i) {
      const std::string id = with_number("h", ++asked_);
      REQUIRE(alice_.publish("do.json/history/" + id, R"({"conv":"bob"})") == 0);
      const Json reply = Json::parse(alice_.expect_text("re.json/" + id));
      REQUIRE(reply["ok"] == true);
    }
    REQUIRE(sent_ > checked_);
    REQUIRE(instance_.stored_direct("alice", "bob").size() == static_cast<std::size_t>(checked_));
  }
  void check_stored() {
    const auto rows = instance_.stored_direct("alice", "bob");
    REQUIRE(rows.size() == static_cast<std::size_t>(sent_));
    for (int i = 1; i <= sent_; ++i) {
      REQUIRE(rows[static_cast<std::size_t>(i - 1)] == Row{std::to_string(i), with_number("m", i)});
    }
    CHECK(instance_.database().number(
              "SELECT count(*) FROM (SELECT created_at < lag(created_at) OVER"
              " (PARTITION BY conversation_id ORDER BY seq) AS back FROM messages) x WHERE back") ==
          0);
  }

 private:
  Instance& instance_;
  Person alice_;
  Person bob_;
  int sent_ = 0;
  int checked_ = 0;
  int asked_ = 0;
};

/// From now to a moment before the end of a month that lies some months ahead.
std::chrono::nanoseconds before_end_of_month(int months_ahead, std::chrono::nanoseconds before) {
  using namespace std::chrono;
  const auto now = system_clock::now();
  const year_month_day today{floor<days>(now)};
  const sys_days first = (today.year() / today.month() / day{1}) + months{months_ahead};
  return duration_cast<nanoseconds>(system_clock::time_point{first} - now) - before;
}

void wait_status(Person& person, const std::string& wanted) {
  while (person.mqtt.expect("im/s/status").payload != wanted) {
  }
}

}  // namespace

TEST_CASE("clock: an hour forward and back under traffic loses nothing and keeps the order") {
  Clocked clocked;
  Traffic traffic{*clocked.instance};
  for (const auto step : {0h, 1h, -1h, -1h, 1h}) {
    clocked.step_all(step);
    traffic.send(100);
    traffic.check(clocked.clock.now());
  }
  // In the middle of it, and the two machines apart.
  traffic.send(100);
  clocked.clock.step(1h);
  traffic.send(100);
  clocked.database_clock.step(-1h);
  traffic.send(100);
  clocked.clock.step(-1h);
  clocked.database_clock.step(1h);
  clocked.instance->settle();
  traffic.check_stored();
  CHECK(clocked.instance->worker().log().find("clock_off") == std::string::npos);
}

TEST_CASE("clock: the end of a month under load, into partitions that are there and that are not") {
  Clocked clocked;
  Instance& instance = *clocked.instance;
  Traffic traffic{instance};
  // Seven months ahead the worker finds no partition, and makes it.
  for (const int months_ahead : {1, 7}) {
    CAPTURE(months_ahead);
    clocked.step_all(before_end_of_month(months_ahead, 3s) - clocked.clock.offset());
    const auto end = std::chrono::system_clock::now() + before_end_of_month(months_ahead, {}) -
                     clocked.clock.offset() + 1s;
    while (std::chrono::system_clock::now() < end) {
      traffic.send(10);
      ::poll(nullptr, 0, 10);  // so that it is traffic, not a flood
    }
  }
  instance.settle();
  CHECK(instance.database().number("SELECT count(DISTINCT tableoid) FROM messages") == 4);
  CHECK(instance.database().number(
            "SELECT count(*) FROM messages m JOIN conversation_heads h USING (conversation_id)"
            " WHERE m.seq > h.last_seq") == 0);
  traffic.check_stored();
}

TEST_CASE("clock: a repeat on the other side of a month's end is a repeat") {
  Clocked clocked;
  Instance& instance = *clocked.instance;
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  clocked.step_all(before_end_of_month(1, 60s));
  CHECK(alice.send("bob", "once", "id1") == "stored 1");
  clocked.step_all(1h);
  CHECK(alice.send("bob", "other", "id2") == "stored 2");
  CHECK(alice.send("bob", "once", "id1") == "stored 1");
  CHECK(instance.database().number("SELECT count(DISTINCT tableoid) FROM messages") == 2);
}

TEST_CASE("clock: while the database's is days wrong nothing is stored, and the status says so") {
  Clocked clocked;
  Instance& instance = *clocked.instance;
  Traffic traffic{instance};
  Person watcher = instance.person("watcher");
  REQUIRE(watcher.mqtt.subscribe("im/s/status") == 1);
  wait_status(watcher, "online");
  traffic.send(10);
  traffic.check(clocked.clock.now());
  for (const auto wrong : {-48h, 48h}) {
    clocked.database_clock.step(wrong);
    wait_status(watcher, "degraded");
    traffic.send(10);  // PUBACKed
    traffic.check_waiting();
    CHECK(watcher.mqtt.drain().empty());
    clocked.database_clock.step(-wrong);
    wait_status(watcher, "online");
    traffic.check(clocked.clock.now());
  }
  traffic.check_stored();
  CHECK(instance.worker().log().find("event=clock_off") != std::string::npos);
}

TEST_CASE("clock: what is tried again waits, too, when the database comes back with a wrong one") {
  Clocked clocked{true};
  Instance& instance = *clocked.instance;
  Traffic traffic{instance};
  Person watcher = instance.person("watcher");
  REQUIRE(watcher.mqtt.subscribe("im/s/status") == 1);
  wait_status(watcher, "online");
  traffic.send(10);
  traffic.check(clocked.clock.now());
  const std::string partitions =
      "SELECT count(*) FROM pg_inherits WHERE inhparent = 'messages'::regclass";
  const auto partitions_before = instance.database().number(partitions);
  // The connection breaks while a batch is on its way, and the database goes down with its host.
  Database other{instance.database_uri()};
  other.query("BEGIN");
  other.query("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE");
  traffic.send(10);
  eventually("a batch waits for the table", [&] {
    return instance.database().number("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0;
  });
  instance.database_proxy().refuse(true);
  instance.database_proxy().cut();
  const std::string lanes = "FROM pg_stat_activity WHERE application_name LIKE 'parley lane%'";
  other.query("SELECT pg_terminate_backend(pid) " + lanes);
  eventually("its sessions are gone",
             [&] { return instance.database().number("SELECT count(*) " + lanes) == 0; });
  other.query("ROLLBACK");
  clocked.database_clock.step(24h * 366);
  instance.database_proxy().refuse(false);
  wait_status(watcher, "degraded");
  // A second lies between two looks at the clock: enough for what must not happen.
  std::string seen;
  for (int look = 0; look < 5; ++look) {
    eventually("the worker looks at the clock", [&] {
      const auto last = instance.database().value(
          "SELECT COALESCE(max(query_start)::text, '') FROM pg_stat_activity"
          " WHERE application_name = 'parley worker'");
      return std::exchange(seen, last) != last;
    });
  }
  CHECK(instance.database().number("SELECT count(*) FROM messages") == 10);
  CHECK(instance.database().number(partitions) == partitions_before);
  clocked.database_clock.step(-24h * 366);
  wait_status(watcher, "online");
  traffic.check(clocked.clock.now());
  traffic.check_stored();
}

TEST_CASE("clock: without a partition for now messages wait, and the status says so") {
  Instance instance{"alice", "bob"};
  Traffic traffic{instance};
  Person watcher = instance.person("watcher");
  REQUIRE(watcher.mqtt.subscribe("im/s/status") == 1);
  wait_status(watcher, "online");
  instance.database().query("ALTER FUNCTION make_message_partitions RENAME TO lost");
  for (const auto& row : instance.database().query(
           "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'messages'::regclass")) {
    instance.database().query("DROP TABLE " + row[0]);
  }
  traffic.send(10);
  wait_status(watcher, "degraded");
  traffic.check_waiting();
  CHECK(instance.worker().log().find("event=no_partition") != std::string::npos);
  instance.database().query("ALTER FUNCTION lost RENAME TO make_message_partitions");
  wait_status(watcher, "online");
  traffic.check(std::chrono::system_clock::now());
  traffic.check_stored();
}
