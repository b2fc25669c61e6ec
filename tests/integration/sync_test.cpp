// `sync`: what a device lacks by one position for each conversation, and how everything is.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/inbox_steps.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

// Events first: who subscribes them later gets the messages before them.
const std::initializer_list<std::string> everything{"re.json/+", "event.json/+", "inbox.json/+",
                                                    "sent.json/+", "ack/+"};

// For clients that do not confirm what comes, however slow the machine is.
constexpr const char* never_again = "[delivery]\nredeliver_after_ms = 600000\n";

Json next(Person& person, const std::string& rest) { return Json::parse(person.expect_text(rest)); }

std::string epoch(Person& person) {
  person.mqtt.subscribe("im/s/info", 1);
  return Json::parse(person.mqtt.expect("im/s/info").payload)["epoch"];
}

Json at(const std::string& conv, unsigned rev) { return {{"conv", conv}, {"rev", rev}}; }

Json sync(Person& person, const std::vector<Json>& positions) {
  return done(ask(person, "sync", {{"positions", positions}}));
}

/// What has come and comes for bob, in its order: "event.json/alice edited", "inbox.json/alice 2".
/// Two words of carol's, one after the other, come behind all that is under way.
std::string told(Instance& instance, Person& bob) {
  static int marks = 0;
  Person carol = instance.person("carol");
  carol.listen({"ack/+"});
  std::string all;
  for (int i = 0; i < 2; ++i) {
    const std::string mark = with_number("mark ", ++marks);
    REQUIRE(carol.send("bob", mark).starts_with("stored"));
    for (;;) {
      const auto one = bob.mqtt.expect("#");
      const auto json = Json::parse(one.payload);
      if (one.topic == bob.topic("inbox.json/carol")) {
        if (json["text"] == mark) break;
        continue;
      }
      std::string what = one.topic.substr(bob.topic("").size());
      for (const char* const kind : {"receipt", "joined", "left", "room", "edited", "deleted",
                                     "reaction", "pinned", "invited", "truncated"}) {
        if (what.starts_with("event") && json.contains(kind)) what += std::string{" "} + kind;
      }
      if (json.contains("seq")) what += with_number(" ", json["seq"].get<int>());
      all += what + "; ";
    }
  }
  return all;
}

}  // namespace

TEST_CASE("sync: the result says how every conversation is") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  Person bob = instance.device("bob", "phone");
  alice.listen({"re.json/+", "ack/+"});
  bob.listen({"re.json/+", "re.pb/+"});
  done(ask(alice, "room.create", {{"room", "ops"}, {"title", "Operations"}, {"members", {"bob"}}}));
  CHECK(alice.send("bob", "one") == "stored 1");
  CHECK(alice.send("bob", "two") == "stored 2");
  CHECK(alice.send("ops", "all well", "r1") == "stored 1");
  bob.publish("read/alice", "1");
  done(ask(bob, "conv.archive", {{"conv", "ops"}, {"archived", true}}));
  done(ask(bob, "conv.mute", {{"conv", "ops"}, {"muted_until", "2040-01-02T03:04:05.000Z"}}));
  const Json result = sync(bob, {at("alice", 2)});
  CHECK(result["epoch"] == epoch(bob));
  CHECK(result["total_unread"] == 2);
  REQUIRE(result["conversations"].size() == 2);
  Json ops = result["conversations"][0];
  CHECK(ops["last"]["text"] == "all well");
  CHECK(ops["last"]["conv"] == "ops");
  CHECK(ops["last"]["id"] == "r1");
  ops.erase("last");
  CHECK(
      ops ==
      Json::parse(
          R"({"conv":"ops","kind":"room","title":"Operations","last_seq":1,"last_rev":2,"read_seq":0,
    "got_seq":0,"unread":1,"muted_until":"2040-01-02T03:04:05.000Z","archived":true})"));
  const Json& direct = result["conversations"][1];
  CHECK(direct["conv"] == "alice");
  CHECK(direct["kind"] == "direct");
  CHECK(direct["last_seq"] == 2);
  CHECK(direct["read_seq"] == 1);
  CHECK(direct["got_seq"] == 1);
  CHECK(direct["unread"] == 1);
  CHECK(direct["last"]["from"] == "alice");
  // What it says it holds is got.
  instance.settle();
  CHECK(sync(bob, {at("alice", 2)})["conversations"][1]["got_seq"] == 2);
  bob.publish("do.pb/sync/p1", "");
  const std::string reply = bob.expect_text("re.pb/p1");
  CHECK(reply.find("Operations") != std::string::npos);
  CHECK(reply.find("all well") != std::string::npos);
  CHECK(done(ask(bob, "device.list", Json::object()))["devices"][0]["confirms"] == true);
}

TEST_CASE("sync: everything after the position comes, in order, and nothing before it") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+", "ack/+"});
  for (int i = 1; i <= 4; ++i)
    CHECK(alice.send("bob", with_number("m", i)) == with_number("stored ", i));
  done(ask(alice, "msg.edit", {{"conv", "bob"}, {"seq", 1}, {"text", "other words"}}));  // rev 5
  done(ask(alice, "msg.react", {{"conv", "bob"}, {"seq", 2}, {"emoji", "+1"}}));         // rev 6
  CHECK(alice.send("bob", "m5") == "stored 5");                                          // rev 7
  done(ask(alice, "msg.delete", {{"conv", "bob"}, {"seq", 3}}));                         // rev 8
  done(ask(alice, "msg.pin", {{"conv", "bob"}, {"seq", 4}}));                            // rev 9
  Person bob = instance.device("bob", "phone");
  bob.listen({"re.json/+"});
  sync(bob, {at("alice", 5)});
  instance.settle();
  CHECK(bob.mqtt.drain().empty());  // it waits until it is subscribed
  bob.listen({"event.json/+", "inbox.json/+"});
  CHECK(told(instance, bob) ==
        "event.json/alice reaction; inbox.json/alice 5; event.json/alice deleted; event.json/alice "
        "pinned; ");
  SUBCASE("exactly: also back") {
    sync(bob, {at("alice", 3)});
    CHECK(told(instance, bob) ==
          "inbox.json/alice 4; event.json/alice edited; event.json/alice reaction; "
          "inbox.json/alice 5; "
          "event.json/alice deleted; event.json/alice pinned; ");
  }
  SUBCASE("and on") {
    sync(bob, {at("alice", 9)});
    CHECK(told(instance, bob) == "");
    done(
        ask(alice, "msg.react", {{"conv", "bob"}, {"seq", 2}, {"emoji", "+1"}, {"removed", true}}));
    CHECK(told(instance, bob) == "event.json/alice reaction; ");
  }
  SUBCASE("a conversation that is not listed is held up to 0; what is deleted does not come") {
    sync(bob, {});
    CHECK(told(instance, bob) ==
          "inbox.json/alice 1; inbox.json/alice 2; inbox.json/alice 4; event.json/alice edited; "
          "event.json/alice reaction; inbox.json/alice 5; event.json/alice deleted; "
          "event.json/alice pinned; ");
  }
  SUBCASE("positions of another epoch are void, those beyond the end mean the end") {
    done(ask(bob, "sync", {{"epoch", "another"}, {"positions", {at("alice", 9)}}}));
    CHECK(told(instance, bob).starts_with("inbox.json/alice 1; "));
    sync(bob, {at("alice", 4'000'000'000U), at("nobody", 3), at("bob", 3)});
    CHECK(told(instance, bob) == "");
    CHECK(alice.send("bob", "m6") == "stored 6");
    CHECK(next(bob, "inbox.json/alice")["seq"] == 6);
  }
}

TEST_CASE("sync: pages of messages and events keep the order of revs, however many there are") {
  Instance instance{{"alice", "bob", "carol"}, {.config = never_again}};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+", "ack/+"});
  int rev = 0;
  std::vector<std::string> expected;
  const auto say = [&](int i) {
    REQUIRE(alice.send("bob", with_number("m", i)) == with_number("stored ", i));
    expected.push_back(with_number("m", ++rev));
  };
  const auto react = [&](int seq, int i) {
    done(ask(alice, "msg.react",
             {{"conv", "bob"},
              {"seq", seq},
              {"emoji", with_number("e", i % 16)},
              {"removed", i >= 16}}));
    expected.push_back(with_number("e", ++rev));
  };
  for (int i = 1; i <= 230; ++i) say(i);
  for (int seq = 1; seq <= 15; ++seq) {
    for (int i = 0; i < 16; ++i) react(seq, i);
    say(230 + seq);
  }
  Person bob = instance.device("bob", "phone");
  bob.listen({"re.json/+"});
  sync(bob, {at("alice", 100)});
  bob.listen({"event.json/+", "inbox.json/+"});
  for (int i = 101; i <= rev; ++i) {
    const auto one = bob.mqtt.expect("#");
    const auto json = Json::parse(one.payload);
    REQUIRE(json["rev"] == i);
    const bool message = expected[static_cast<std::size_t>(i - 1)].starts_with("m");
    REQUIRE(one.topic == bob.topic(message ? "inbox.json/alice" : "event.json/alice"));
  }
  CHECK(told(instance, bob) == "");
}

TEST_CASE("sync: live messages neither overtake what it brings nor are lost") {
  Instance instance{{"alice", "bob", "carol"}, {.config = never_again}};
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  Person bob = instance.device("bob", "phone");
  bob.listen({"re.json/+", "inbox.json/+"});
  for (int i = 1; i <= 100; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob"), .payload = with_number("m", i)});
  }
  REQUIRE(alice.mqtt.await_answers());
  expect_range(bob, 1, 100);
  for (int i = 101; i <= 300; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob"), .payload = with_number("m", i)});
    if (i == 150) bob.publish("do.json/sync/s", R"({"positions":[{"conv":"alice","rev":90}]})");
  }
  REQUIRE(alice.mqtt.await_answers());
  // Up to some message before the answer, then from the position on, each once.
  int last = 100;
  bool synced = false;
  while (last < 300 || !synced) {
    const auto one = bob.mqtt.expect("#");
    if (one.topic == bob.topic("re.json/s")) continue;
    const int seq = Json::parse(one.payload)["seq"];
    if (!synced && seq == 91) {
      synced = true;
    } else {
      REQUIRE(seq == last + 1);
    }
    last = seq;
  }
}

TEST_CASE(
    "sync: a session without a device gets what follows its positions, beside a device nothing") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  for (int i = 1; i <= 3; ++i)
    CHECK(alice.send("bob", with_number("m", i)) == with_number("stored ", i));
  Person bob = instance.person("bob");
  bob.listen({"re.json/+", "inbox.json/+"});
  expect_range(bob, 1, 3);
  sync(bob, {at("alice", 1)});
  expect_range(bob, 2, 3);
  {
    Person phone = instance.device("bob", "phone");
    phone.listen({"inbox.json/+"});
    phone.mqtt.disconnect();
  }
  Person observer = instance.person("bob");
  observer.listen({"re.json/+", "inbox.json/+"});
  CHECK(sync(observer, {})["conversations"][0]["last_seq"] == 3);
  CHECK(told(instance, observer).empty());
  CHECK(alice.send("bob", "m4") == "stored 4");
  expect_range(observer, 4, 4);
}

TEST_CASE("sync: at most the newest messages, and where they begin") {
  Instance instance{{"alice", "bob", "carol"}, {.config = "[limits]\nsync_messages_max = 10\n"}};
  send_range(instance, 1, 25);
  Person bob = instance.device("bob", "phone");
  bob.listen({"re.json/+", "event.json/+", "inbox.json/+"});
  while (next(bob, "inbox.json/alice")["seq"] != 25) {
  }
  CHECK(told(instance, bob) == "event.json/alice truncated; ");
  sync(bob, {});
  CHECK(next(bob, "event.json/alice")["truncated"] == Json::parse(R"({"from_seq":16})"));
  expect_range(bob, 16, 25);
  CHECK(told(instance, bob) == "");
}

TEST_CASE("backlog: a device that was away is told what happened to old messages, once") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+", "ack/+"});
  {
    Person phone = fresh_device(instance, "bob", "phone");
    phone.listen(everything);
    done(ask(alice, "room.create", {{"room", "ops"}, {"members", {"bob"}}}));
    CHECK(next(phone, "event.json/ops")["room"]["room"] == "ops");
    CHECK(alice.send("ops", "hello") == "stored 1");
    CHECK(next(phone, "inbox.json/ops")["seq"] == 1);
    phone.publish("got/ops", "1");
    instance.settle();
  }
  done(ask(alice, "msg.edit", {{"conv", "ops"}, {"seq", 1}, {"text", "good day"}}));
  done(ask(alice, "room.set", {{"room", "ops"}, {"title", "Operations"}}));
  done(ask(alice, "room.add", {{"room", "ops"}, {"users", {"carol"}}}));
  Person phone = fresh_device(instance, "bob", "phone");
  phone.listen(everything);
  CHECK(told(instance, phone) ==
        "event.json/ops edited; event.json/ops room; inbox.json/ops 2; event.json/ops joined; "
        "inbox.json/ops 3; ");
  // While it is held to be sent something else it is not told the same again.
  done(ask(phone, "sync", {{"positions", {at("ops", 5)}}}));
  CHECK(told(instance, phone).empty());
}

TEST_CASE("backlog: who subscribes events behind his inbox gets them all the same") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+", "ack/+"});
  CHECK(alice.send("bob", "hello") == "stored 1");
  done(ask(alice, "msg.react", {{"conv", "bob"}, {"seq", 1}, {"emoji", "+1"}}));
  for (int i = 1; i <= 20; ++i) {
    Person phone = fresh_device(instance, "bob", with_number("phone", i));
    phone.listen({"inbox.json/alice"});
    phone.listen({"event.json/+"});
    CHECK(next(phone, "inbox.json/alice")["seq"] == 1);
    CHECK(next(phone, "event.json/alice")["reaction"]["emoji"] == "+1");
  }
}

TEST_CASE("backlog: who has no inbox gets what comes from his first subscription on") {
  Instance instance{"alice", "bob", "carol"};
  for (int i = 1; i <= 30; ++i) {
    Person alice = instance.person("alice");
    alice.listen({"sent.json/+", "event.json/+"});
    const auto id = with_number("m", i);
    alice.publish("send/bob/" + id, "hello");
    alice.publish("do.json/msg.react", R"({"conv":"bob","seq":1,"emoji":")" + id + R"("})");
    CHECK(next(alice, "sent.json/bob")["id"] == id);
    if (i <= 16) CHECK(next(alice, "event.json/bob")["reaction"]["emoji"] == id);
  }
}

TEST_CASE("backlog: invitations and removals reach who was away") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+", "ack/+"});
  done(ask(alice, "room.create", {{"room", "ops"}, {"members", {"bob"}}}));
  done(ask(alice, "room.create", {{"room", "club"}}));
  {
    Person phone = fresh_device(instance, "bob", "phone");
    phone.listen(everything);
    instance.settle();
  }
  done(ask(alice, "room.kick", {{"room", "ops"}, {"users", {"bob"}}}));
  done(ask(alice, "room.invite", {{"room", "club"}, {"users", {"bob"}}}));
  CHECK(alice.send("ops", "he is gone") == "stored 2");
  Person phone = fresh_device(instance, "bob", "phone");
  phone.listen(everything);
  const Json removed = next(phone, "event.json/ops");
  CHECK(removed["left"] == Json::parse(R"({"user":"bob","by":"alice"})"));
  const Json invited = next(phone, "event.json/-");
  CHECK(invited["invited"] == Json::parse(R"({"room":"club","by":"alice"})"));
  CHECK(told(instance, phone).empty());
  // A sync tells all that are open.
  const Json result = sync(phone, {at("ops", 2)});
  REQUIRE(result["conversations"].size() == 1);
  CHECK(result["conversations"][0]["conv"] == "carol");
  const auto again = told(instance, phone);
  CHECK(again.find("event.json/- invited; ") != std::string::npos);
  CHECK(again.find("inbox.json/ops") == std::string::npos);
  // Also if what it brings is subscribed only when it has been answered.
  instance.database().query("UPDATE invitations SET invited_at = invited_at - interval '1 day'");
  Person tablet = fresh_device(instance, "bob", "tablet");
  tablet.listen({"re.json/+"});
  sync(tablet, {});
  instance.settle();
  tablet.listen({"inbox.json/+"});
  instance.settle();
  tablet.listen({"event.json/+"});
  CHECK(next(tablet, "event.json/-")["invited"] == Json::parse(R"({"room":"club","by":"alice"})"));
}

TEST_CASE("sync: counts for what is subscribed right behind it, without waiting for the answer") {
  Instance instance{"alice", "bob", "carol"};
  send_range(instance, 1, 5);
  {
    Person phone = fresh_device(instance, "bob", "phone");
    phone.listen({"inbox.json/+"});
    expect_range(phone, 1, 5);
    confirm(instance, phone, 5);
  }
  for (int i = 1; i <= 10; ++i) {
    Person phone = fresh_device(instance, "bob", "phone");
    phone.listen({"re.json/+"});
    phone.publish("do.json/sync/s", R"({"positions":[{"conv":"alice","rev":2}]})");
    phone.listen({"inbox.json/+"});
    expect_range(phone, 3, 5);
    phone.publish("got/alice", "5");
    phone.expect("re.json/s");
  }
  // Without a device it is remembered for the session.
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  for (int i = 1; i <= 5; ++i) CHECK(alice.send("carol", "m").starts_with("stored"));
  Person carol = instance.person("carol");
  carol.listen({"re.json/+"});
  sync(carol, {at("alice", 3)});
  carol.listen({"inbox.json/+"});
  expect_range(carol, 4, 5);
}

TEST_CASE(
    "sync: what a room was before one came stays unknown where its history begins with that") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+"});
  done(ask(alice, "room.create", {{"room", "ops"}, {"history", "joined"}, {"members", {"carol"}}}));
  done(ask(alice, "room.set", {{"room", "ops"}, {"topic", "secret"}}));
  done(ask(alice, "room.set", {{"room", "ops"}, {"topic", "open"}}));
  done(ask(alice, "room.add", {{"room", "ops"}, {"users", {"bob"}}}));
  done(ask(alice, "room.set", {{"room", "ops"}, {"topic", "wide open"}}));
  for (const char* const name : {"bob", "carol"}) {
    Person device = instance.device(name, "phone");
    device.listen(everything);
    sync(device, {});
    const bool was_there = std::string{name} == "carol";
    if (was_there) {
      CHECK(next(device, "event.json/ops")["room"]["topic"] == "");
      CHECK(next(device, "event.json/ops")["room"]["topic"] == "secret");
      CHECK(next(device, "event.json/ops")["room"]["topic"] == "open");
    }
    CHECK(next(device, "event.json/ops")["joined"]["user"] == "bob");
    CHECK(next(device, "event.json/ops")["room"]["topic"] == "wide open");
  }
}
