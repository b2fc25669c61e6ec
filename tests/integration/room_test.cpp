// Messages in rooms.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

constexpr std::size_t many = 10'000;

std::string numbered(std::size_t i) { return with_number("line ", i); }

/// mosquitto_sub of a named device, which keeps its session.
Process device_of(Instance& instance, const std::string& name, const std::string& filter) {
  return Process{instance.mosquitto(
      "mosquitto_sub", {"-u", name, "-P", instance.token(name), "-i", name + ".phone", "-c", "-q",
                        "1", "-t", "im/u/" + name + "/" + filter, "-F", "%p"})};
}

void wait_subscribed(Instance& instance, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    eventually(name + " subscribed",
               [&] { return instance.broker().log().find(name + ".phone") != std::string::npos; });
  }
}

}  // namespace

TEST_CASE("room: every member gets a message with its sender in front, the sender gets none") {
  Instance instance{"alice", "bob", "carol"};
  instance.room("ops", {"alice", "bob", "carol"});
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  Person carol = instance.person("carol");
  alice.listen({"ack/+", "inbox/+", "inbox.json/+"});
  bob.listen({"inbox/+"});
  carol.listen({"inbox.json/+"});
  CHECK(alice.send("ops", "hello all") == "stored 1");
  CHECK(bob.expect_text("inbox/ops") == "alice: hello all");
  const Json message = Json::parse(carol.expect_text("inbox.json/ops"));
  CHECK(message["conv"] == "ops");
  CHECK(message["from"] == "alice");
  CHECK(message["text"] == "hello all");
  CHECK(message["seq"] == 1);
  instance.settle();
  CHECK(alice.mqtt.drain().empty());
}

TEST_CASE("room: who is not a member is told so, and nobody hears it") {
  Instance instance{"alice", "bob", "eve"};
  instance.room("ops", {"alice", "bob"});
  Person eve = instance.person("eve");
  Person bob = instance.person("bob");
  eve.listen({"ack/+", "inbox/+", "ack.json/+"});
  bob.listen({"inbox/+"});
  CHECK(eve.send("ops", "let me in", "e1") == "refused NOT_MEMBER");
  const Json ack = Json::parse(eve.expect_text("ack.json/e1"));
  CHECK(ack["ok"] == false);
  CHECK(ack["code"] == "NOT_MEMBER");
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("ops", "among us") == "stored 1");
  CHECK(bob.expect_text("inbox/ops") == "alice: among us");
  instance.settle();
  CHECK(eve.mqtt.drain().empty());
}

TEST_CASE("room: its history is for its members") {
  Instance instance{"alice", "eve"};
  instance.room("ops", {"alice"});
  Person alice = instance.person("alice");
  alice.listen({"ack/+", "re.json/+"});
  CHECK(alice.send("ops", "among us") == "stored 1");
  alice.publish("do.json/history/h1", R"({"conv":"ops","limit":10})");
  const Json mine = Json::parse(alice.expect_text("re.json/h1"));
  REQUIRE(mine["result"]["messages"].size() == 1);
  CHECK(mine["result"]["messages"][0]["text"] == "among us");
  Person eve = instance.person5("eve");
  eve.listen({"ack/+", "re.json/+"});
  CHECK(eve.publish("do.json/history/h1", R"({"conv":"ops","limit":10})") == 0);
  const Json reply = Json::parse(eve.expect_text("re.json/h1"));
  CHECK(reply["ok"] == false);
  CHECK(reply["code"] == "NOT_MEMBER");
}

TEST_CASE("room: everybody sees the messages of several senders in one order") {
  Instance instance{"alice", "bob", "carol"};
  instance.room("ops", {"alice", "bob", "carol"});
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  Person carol = instance.person("carol");
  constexpr int each = 300;
  alice.listen({"inbox.json/+", "sent.json/+"});
  bob.listen({"inbox.json/+", "sent.json/+"});
  carol.listen({"inbox.json/+"});
  for (int i = 0; i < each; ++i) {
    const std::string text = std::to_string(i);
    alice.mqtt.publish_soon({.topic = alice.topic("send/ops"), .payload = "a" + text});
    bob.mqtt.publish_soon({.topic = bob.topic("send/ops"), .payload = "b" + text});
  }
  const auto texts = [](Person& person) {
    std::vector<std::string> all;
    for (int i = 1; i <= 2 * each; ++i) {
      const Publication next = person.mqtt.expect_that(
          "sent or inbox", [](const Publication& p) { return p.topic.ends_with("/ops"); });
      const Json message = Json::parse(next.payload);
      REQUIRE(message["seq"] == i);
      all.push_back(message["text"]);
    }
    return all;
  };
  const auto seen = texts(carol);
  CHECK(texts(alice) == seen);
  CHECK(texts(bob) == seen);
  const auto rows = instance.stored_room("ops");
  REQUIRE(rows.size() == seen.size());
  for (std::size_t i = 0; i < rows.size(); ++i) REQUIRE(rows[i][1] == seen[i]);
}

TEST_CASE("room: a message reaches every one of 300 members once") {
  Instance instance{"alice"};
  constexpr int size = 300;
  std::vector<std::string> members{"alice"};
  std::vector<Person> listeners;
  for (int i = 1; i < size; ++i) {
    members.push_back(with_number("m", i));
    instance.user(members.back());
    listeners.push_back(instance.person(members.back()));
    listeners.back().listen({"inbox/+"});
  }
  instance.room("crowd", members);
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  for (int i = 1; i <= 5; ++i) {
    CHECK(alice.send("crowd", std::to_string(i)) == with_number("stored ", i));
  }
  for (Person& listener : listeners) {
    for (int i = 1; i <= 5; ++i) {
      REQUIRE(listener.expect_text("inbox/crowd") == with_number("alice: ", i));
    }
  }
  instance.settle();
  for (Person& listener : listeners) REQUIRE(listener.mqtt.drain().empty());
}

TEST_CASE("room: 10,000 lines of mosquitto_pub -l are stored and printed once each, in order") {
  Instance instance{"alice", "bob", "carol"};
  instance.room("ops", {"alice", "bob", "carol"});
  Process bob = device_of(instance, "bob", "inbox/#");
  Process carol = device_of(instance, "carol", "inbox/#");
  Process alice = device_of(instance, "alice", "sent.json/#");
  wait_subscribed(instance, {"alice", "bob", "carol"});
  std::string input;
  for (std::size_t i = 1; i <= many; ++i) input += numbered(i) + "\n";
  const Deadline deadline{slowed(Milliseconds{40'000})};
  const Ran ran =
      run(instance.mosquitto("mosquitto_pub", {"-u", "alice", "-P", instance.token("alice"), "-q",
                                               "1", "-l", "-t", "im/u/alice/send/ops"}),
          input, deadline);
  CHECK(ran.code == 0);
  eventually(
      "all are stored", [&] { return instance.stored_room("ops").size() >= many; }, deadline);
  const auto rows = instance.stored_room("ops");
  REQUIRE(rows.size() == many);
  for (std::size_t i = 0; i < many; ++i) {
    REQUIRE(rows[i] == Row{std::to_string(i + 1), numbered(i + 1)});
  }
  const auto bobs = bob.wait_lines(many, deadline);
  const auto carols = carol.wait_lines(many, deadline);
  const auto alices = alice.wait_lines(many, deadline);
  for (std::size_t i = 0; i < many; ++i) {
    REQUIRE(bobs[i] == "alice: " + numbered(i + 1));
    REQUIRE(carols[i] == "alice: " + numbered(i + 1));
    const Json sent = Json::parse(alices[i]);
    REQUIRE(sent["seq"] == i + 1);
    REQUIRE(sent["text"] == numbered(i + 1));
  }
  // A last message: whatever was doubled would stand before it.
  Person speaker = instance.person("alice");
  speaker.listen({"ack/+"});
  CHECK(speaker.send("ops", "the end") == with_number("stored ", many + 1));
  CHECK(bob.wait_lines(many + 1)[many] == "alice: the end");
  CHECK(carol.wait_lines(many + 1)[many] == "alice: the end");
}
