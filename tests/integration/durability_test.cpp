// What was promised survives: killed workers, killed brokers, a database that is away.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

const Milliseconds long_time{30'000};

std::string numbered(std::size_t i) { return with_number("m", i); }

/// Publishes m<first> … m<last> with ids and waits for every PUBACK.
void publish_range(Person& person, const std::string& to, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i <= last; ++i) {
    person.mqtt.publish_soon(
        {.topic = person.topic("send/" + to + "/" + numbered(i)), .payload = numbered(i)});
    REQUIRE(person.mqtt.await_answers(50));
  }
  REQUIRE(person.mqtt.await_answers());
  for (const auto& [id, reason] : person.mqtt.answers()) REQUIRE(reason == 0);
}

/// Every ack m<1> … m<count> comes, whatever was killed meanwhile; repeats are allowed.
void check_acked(Person& person, std::size_t count) {
  for (std::size_t i = 1; i <= count; ++i) {
    REQUIRE(person.expect_text("ack/" + numbered(i), Deadline{slowed(long_time)}) ==
            with_number("stored ", i));
  }
}

/// m<1> … m<count> are stored once each, in order.
void check_stored(Instance& instance, std::size_t count) {
  eventually(
      "all are stored", [&] { return instance.stored_direct("alice", "bob").size() >= count; },
      Deadline{slowed(long_time)});
  const auto rows = instance.stored_direct("alice", "bob");
  REQUIRE(rows.size() == count);
  for (std::size_t i = 1; i <= count; ++i) {
    REQUIRE(rows[i - 1] == Row{std::to_string(i), numbered(i)});
  }
}

/// 1 … count come on inbox.json in order; repeats are allowed, and gaps are not.
void check_delivered(Person& person, std::size_t count) {
  std::size_t last = 0;
  while (last < count) {
    const Json message =
        Json::parse(person.expect_text("inbox.json/alice", Deadline{slowed(long_time)}));
    const auto seq = message["seq"].get<std::size_t>();
    if (seq <= last) continue;
    REQUIRE(seq == last + 1);
    REQUIRE(message["text"] == numbered(seq));
    last = seq;
  }
}

/// Round trips of somebody who has nothing to do with Parley, measured for `time`, while
/// `meanwhile` runs between them.
std::vector<double> foreign_round_trips(Instance& instance, Milliseconds time,
                                        const std::function<void()>& meanwhile) {
  MqttClient lamp = instance.connect({.client_id = "lamp", .username = "lamp", .password = "pw"});
  REQUIRE(lamp.subscribe("home/+") == 1);
  std::vector<double> ms;
  const Deadline end{time};
  while (!end.passed()) {
    meanwhile();
    const auto start = Clock::now();
    REQUIRE(lamp.publish("home/lamp", "on") == 0);
    lamp.expect("home/lamp");
    REQUIRE(lamp.ping());
    ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    ::poll(nullptr, 0, 2);  // so that it is traffic, not a flood
  }
  return ms;
}

double percentile_99(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() * 99 / 100);
}

/// Takes PostgreSQL away under traffic, and gives it back.
void without_postgres(Postgres::Stop how, Milliseconds time) {
  Instance instance({"alice", "bob"},
                    {.broker = {.acl_lines = {"user lamp", "topic readwrite home/#"},
                                .passwords = {{"lamp", "pw"}}}});
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+"});
  publish_range(alice, "bob", 1, 100);
  Postgres::shared().stop(how);
  std::size_t sent = 100;
  const auto ms = foreign_round_trips(instance, time, [&] {
    ++sent;
    alice.mqtt.publish_soon(
        {.topic = alice.topic("send/bob/" + numbered(sent)), .payload = numbered(sent)});
  });
  CHECK(alice.mqtt.await_answers());
  Postgres::shared().start();
  CHECK(sent > 200);
  CHECK(percentile_99(ms) < static_cast<double>(slowed(Milliseconds{100}).count()));
  check_acked(alice, sent);
  check_stored(instance, sent);
  check_delivered(bob, sent);
  CHECK(instance.worker().process().running());
}

}  // namespace

TEST_CASE("durability: a worker killed -9 loses and doubles nothing") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+"});
  publish_range(alice, "bob", 1, 500);
  instance.kill_worker();  // in the middle of storing them
  publish_range(alice, "bob", 501, 1500);
  instance.start_worker();
  check_acked(alice, 1500);
  check_stored(instance, 1500);
  check_delivered(bob, 1500);
}

TEST_CASE("durability: a worker killed again and again under traffic loses and doubles nothing") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+"});
  constexpr std::size_t rounds = 5;
  constexpr std::size_t each = 300;
  for (std::size_t round = 0; round < rounds; ++round) {
    publish_range(alice, "bob", round * each + 1, (round + 1) * each);
    instance.worker().kill();
    instance.worker().start();
  }
  check_acked(alice, rounds * each);
  check_stored(instance, rounds * each);
  check_delivered(bob, rounds * each);
}

TEST_CASE("durability: what was PUBACKed survives kill -9 of the broker without a worker") {
  Instance instance{"alice", "bob"};
  instance.kill_worker();
  Person alice = instance.person("alice");
  publish_range(alice, "bob", 1, 300);
  instance.broker().kill();
  instance.broker().start();
  instance.start_worker();
  check_stored(instance, 300);
  instance.settle();
  check_stored(instance, 300);
}

TEST_CASE("durability: a broker killed -9 under traffic keeps what it PUBACKed, once") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  constexpr std::size_t sent = 2000;
  for (std::size_t i = 1; i <= sent; ++i) {
    alice.mqtt.publish_soon(
        {.topic = alice.topic("send/bob/" + numbered(i)), .payload = numbered(i)});
  }
  REQUIRE(alice.mqtt.await_answers(sent / 2));
  instance.broker().kill();
  alice.mqtt.wait_closed();
  const std::size_t acked = alice.mqtt.answers().size();
  REQUIRE(acked >= sent / 2);
  instance.broker().start();
  instance.wait_online();
  Person again = instance.person("alice");
  again.listen({"ack/+"});
  CHECK(again.send("bob", "the end").starts_with("stored "));
  const auto rows = instance.stored_direct("alice", "bob");
  REQUIRE(rows.size() >= acked + 1);
  for (std::size_t i = 1; i < rows.size(); ++i) {
    REQUIRE(rows[i - 1] == Row{std::to_string(i), numbered(i)});
  }
  CHECK(rows.back()[1] == "the end");
}

TEST_CASE("durability: a planned restart of the broker needs no restart of the worker") {
  Instance instance{"alice", "bob"};
  {
    Person alice = instance.person("alice");
    alice.listen({"ack/+"});
    CHECK(alice.send("bob", "before") == "stored 1");
  }
  instance.broker().stop();
  instance.broker().start();
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  // With an id: the first one's ack may come once more.
  CHECK(alice.send("bob", "after", "second") == "stored 2");
}

TEST_CASE(
    "durability: a broker killed and restarted over and over repeats nothing to the database") {
  Instance instance{"alice", "bob"};
  for (std::size_t round = 0; round < 3; ++round) {
    Person alice = instance.person("alice");
    publish_range(alice, "bob", round * 100 + 1, (round + 1) * 100);
    instance.broker().kill();
    instance.broker().start();
  }
  check_stored(instance, 300);
  instance.settle();
  check_stored(instance, 300);
}

TEST_CASE("durability: without PostgreSQL the broker answers at once, and all is stored later") {
  without_postgres(Postgres::Stop::fast, Milliseconds{5'000});
}

TEST_CASE("durability: a crash of PostgreSQL under traffic loses and doubles nothing") {
  without_postgres(Postgres::Stop::immediate, Milliseconds{1'000});
}

TEST_CASE("durability: everything falls at once, and nothing that was PUBACKed is lost") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  publish_range(alice, "bob", 1, 400);
  instance.worker().kill();
  instance.broker().kill();
  Postgres::shared().stop(Postgres::Stop::immediate);
  Postgres::shared().start();
  instance.broker().start();
  instance.start_worker();
  check_stored(instance, 400);
  instance.settle();
  check_stored(instance, 400);
}

TEST_CASE("durability: far more than the worker takes at a time waits for it") {
  Instance instance({"alice", "bob"}, {.config = "[link]\ncredit_records = 500\n"});
  instance.kill_worker();
  Person alice = instance.person("alice");
  publish_range(alice, "bob", 1, 12'000);
  instance.start_worker();
  check_stored(instance, 12'000);
}

TEST_CASE("durability: a worker that is there before the broker waits for it") {
  Instance instance({"alice", "bob"}, {.start_worker = false});
  instance.broker().kill();
  instance.worker().start();
  instance.broker().start();
  instance.wait_online();
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "m1") == "stored 1");
}

TEST_CASE("durability: a worker that is there before PostgreSQL waits for it") {
  Instance instance({"alice", "bob"}, {.start_worker = false});
  Person alice = instance.person("alice");
  CHECK(alice.publish("send/bob/m1", "m1") == 0);
  Postgres::shared().stop(Postgres::Stop::fast);
  instance.worker().start();
  eventually("the worker noticed", [&] { return !instance.worker().log().empty(); });
  CHECK(instance.worker().process().running());
  Postgres::shared().start();
  check_stored(instance, 1);
}

#ifdef PARLEY_FAULT_POINTS
TEST_CASE("durability: what a dead worker had stored is delivered in order, whoever sent it") {
  Instance instance{"alice", "bob", "carol"};
  instance.room("ops", {"alice", "bob", "carol"});
  Person alice = instance.person("alice");
  Person carol = instance.person("carol");
  alice.listen({"ack/+"});
  carol.listen({"ack/+"});
  Person bob = instance.device("bob", "phone");
  bob.listen({"inbox.json/+"});
  // Both senders are known to this worker, so it stores by turns; the next one has to look them up.
  instance.stop_worker();
  instance.worker().set_environment({{"PARLEY_FAULT", "worker_after_commit:3"}});
  instance.start_worker();
  CHECK(alice.send("ops", "first", "1") == "stored 1");
  CHECK(carol.send("ops", "second", "2") == "stored 2");
  instance.worker().process().signal(SIGSTOP);
  for (int i = 0; i < 20; ++i) {
    CHECK(alice.publish("send/ops", with_number("a", i)) == 0);
    CHECK(carol.publish("send/ops", with_number("c", i)) == 0);
  }
  instance.worker().process().signal(SIGCONT);
  CHECK(instance.worker().process().wait() == 128 + SIGKILL);
  CHECK(instance.stored_room("ops").size() > 2);
  instance.worker().set_environment({});
  instance.start_worker();
  for (int seq = 1; seq <= 42; ++seq) {
    CHECK(Json::parse(bob.expect_text("inbox.json/ops"))["seq"] == seq);
  }
}
#endif

TEST_CASE(
    "durability: of spools that cannot be read the newest three are kept, and the log tells") {
  Instance instance({"alice", "bob"}, {.start_worker = false});
  const std::filesystem::path folder{instance.folder() + "/spool"};
  for (const char* content : {"first", "second", "third", "fourth", "fifth"}) {
    instance.broker().kill();
    std::ofstream{folder / "spool"} << content;
    instance.broker().start();
  }
  // In the order of their names: each has a later one, though all may be of the same second.
  std::map<std::string, std::string> kept;
  for (const auto& entry : std::filesystem::directory_iterator{folder}) {
    if (entry.path().extension() == ".bad") kept[entry.path()] = read_file(entry.path());
  }
  REQUIRE(kept.size() == 3);
  CHECK(kept.begin()->second == "third");
  CHECK(kept.rbegin()->second == "fifth");
  const auto lines = lines_of(instance.broker().log());
  const auto count = [&](const char* event) {
    return std::count_if(lines.begin(), lines.end(), [event](const std::string& line) {
      return line.find(event) != std::string::npos;
    });
  };
  CHECK(count("event=spool_unreadable") == 5);
  CHECK(count("event=spool_deleted") == 2);
  CHECK(count("event=spool_not_deleted") == 0);
  CHECK(instance.person("alice").publish("send/bob", "into the new one") == 0);
}
