// Two workers: the later one takes over.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/process.hpp"

using namespace parley::test;
using Json = nlohmann::json;

TEST_CASE("failover: a second worker takes over, the first one ends with a code of its own") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+"});
  constexpr int count = 2000;
  Worker second = instance.another_worker();
  for (int i = 1; i <= count; ++i) {
    const std::string text = with_number("m", i);
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob/" + text), .payload = text});
    REQUIRE(alice.mqtt.await_answers(20));
    if (i == count / 4) second.start();
  }
  REQUIRE(alice.mqtt.await_answers());
  const auto code = instance.worker().process().wait();
  REQUIRE(code.has_value());
  CHECK(*code != 0);
  CHECK(*code != 1);   // a failed start
  CHECK(*code < 128);  // no signal
  for (int i = 1; i <= count; ++i) {
    REQUIRE(alice.expect_text(with_number("ack/m", i)) == with_number("stored ", i));
  }
  const auto rows = instance.stored_direct("alice", "bob");
  REQUIRE(rows.size() == count);
  for (int i = 1; i <= count; ++i) {
    REQUIRE(rows[static_cast<std::size_t>(i - 1)] == Row{std::to_string(i), with_number("m", i)});
  }
  int last = 0;
  while (last < count) {
    const int seq = Json::parse(bob.expect_text("inbox.json/alice"))["seq"];
    REQUIRE(seq <= last + 1);
    last = std::max(last, seq);
  }
  CHECK(second.process().running());
  CHECK(second.stop() == 0);
}

TEST_CASE("failover: a worker that could never work takes nothing over") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  const std::string bad = instance.config_path() + ".bad";
  {
    std::ifstream good{instance.config_path()};
    std::ofstream copy{bad};
    for (std::string line; std::getline(good, line);) {
      copy << (line.starts_with("key_file") ? "key_file = \"no-such-file\"" : line) << '\n';
    }
  }
  const Ran ran = run(Command{.argv = {worker_program(), "--config", bad}});
  CHECK(ran.code == 1);
  CHECK(ran.err.find("no_service_key") != std::string::npos);
  CHECK(alice.send("bob", "still there") == "stored 1");
  CHECK(instance.worker().process().running());
}

TEST_CASE("failover: after the takeover the status is online, and all goes on") {
  Instance instance{"alice", "bob"};
  Worker second = instance.another_worker();
  second.start();
  CHECK(instance.worker().process().wait().has_value());
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "hi") == "stored 1");
  alice.mqtt.subscribe("im/s/status");
  std::string status = alice.mqtt.expect("im/s/status").payload;
  // The first one's farewell may stand there for a moment, never for good.
  while (status != "online") status = alice.mqtt.expect("im/s/status").payload;
  CHECK(alice.send("bob", "again") == "stored 2");
  for (const Publication& publication : alice.mqtt.drain()) {
    CHECK(publication.payload != "offline");
  }
}

TEST_CASE("failover: a worker that stops on SIGTERM ends with 0 and says offline") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.mqtt.subscribe("im/s/status");
  CHECK(alice.mqtt.expect("im/s/status").payload == "online");
  CHECK(instance.worker().stop() == 0);
  CHECK(alice.mqtt.expect("im/s/status").payload == "offline");
  CHECK(alice.publish("send/bob", "meanwhile") == 0);
  instance.start_worker();
  CHECK(alice.mqtt.expect("im/s/status").payload == "online");
  eventually("it is stored", [&] { return instance.stored_direct("alice", "bob").size() == 1; });
}

TEST_CASE("failover: a worker stops soon, also while messages keep coming") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+"});
  // Not many, but at every moment the broker has something that it has not confirmed yet.
  const Deadline steady{slowed(Milliseconds{7'000})};
  constexpr int before = 100;
  int sent = 0;
  while (instance.worker().process().running() && !steady.passed()) {
    CHECK(alice.publish("send/bob", with_number("m", ++sent)) == 0);
    if (sent == before) instance.worker().process().signal(SIGTERM);
    ::poll(nullptr, 0, 5);
  }
  CHECK_FALSE(instance.worker().process().running());
  instance.start_worker();
  instance.settle();
  CHECK(instance.stored_direct("alice", "bob").size() == static_cast<std::size_t>(sent));
}
