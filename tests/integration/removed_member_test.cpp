// Who has left a room, or was removed, gets nothing that is stored after that: over no session, by
// no request, whatever he has subscribed and whatever was on its way to him. What he had, he keeps.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

constexpr const char* ways[] = {"room.kick", "room.leave"};

/// alice owns the room ops with bob and carol in it. Two messages are there before bob goes.
struct Ops {
  explicit Ops(InstanceOptions options = {}, const std::string& history = "all")
      : instance{{"alice", "bob", "carol"}, std::move(options)},
        alice{instance.person("alice")},
        carol{instance.person("carol")} {
    for (Person* person : {&alice, &carol}) person->listen({"#"});
    done(ask(alice, "room.create",
             {{"room", "ops"}, {"members", {"bob", "carol"}}, {"history", history}}));
  }

  int say(Person& from, const std::string& text) {
    const std::string ack = from.send("ops", text, with_number("id", ++sent));
    REQUIRE(ack.starts_with("stored "));
    return std::stoi(ack.substr(7));
  }

  /// In this way, by a session of bob's that hears answers and nothing else.
  void remove_bob(const std::string& way) {
    Json request{{"room", "ops"}};
    if (way == "room.kick") {
      request["users"] = {"bob"};
      done(ask(alice, way, request));
    } else {
      Person bob = instance.person("bob");
      bob.listen({"re.json/+"});
      done(ask(bob, way, request));
    }
  }

  /// All that can happen in a room, each with "secret" in it. Carol shows that it was told.
  void go_on_without_bob() {
    const int secret = say(alice, "secret words");
    done(ask(alice, "msg.edit", {{"conv", "ops"}, {"seq", 1}, {"text", "secret edit"}}));
    done(ask(carol, "msg.react", {{"conv", "ops"}, {"seq", 1}, {"emoji", "secret sign"}}));
    done(ask(alice, "msg.pin", {{"conv", "ops"}, {"seq", secret}}));
    done(ask(alice, "room.set", {{"room", "ops"}, {"title", "secret title"}}));
    done(ask(alice, "room.set", {{"room", "ops"}, {"topic", "secret topic"}}));
    done(ask(alice, "room.role", {{"room", "ops"}, {"user", "carol"}, {"role", "admin"}}));
    carol.publish("read/ops", std::to_string(secret));
    alice.publish("typing/ops", "1", 0);
    (void)carol.expect("typing.json/ops");
    done(ask(alice, "msg.delete", {{"conv", "ops"}, {"seq", secret}}));
    instance.settle();
  }

  Instance instance;
  Person alice, carol;
  int sent = 0;
};

/// What came that is about the room.
std::vector<Publication> of_ops(std::vector<Publication> all) {
  std::erase_if(all, [](const Publication& one) { return !one.topic.ends_with("/ops"); });
  return all;
}

/// Nothing but that he is out.
void check_only_goodbye(const std::vector<Publication>& came) {
  for (const Publication& one : of_ops(came)) {
    CAPTURE(one.topic);
    CAPTURE(one.payload);
    CHECK(one.payload.find("secret") == std::string::npos);
    if (one.topic.ends_with("event.json/ops")) {
      CHECK(Json::parse(one.payload).contains("left"));
    } else {
      CHECK(one.topic.ends_with("event.pb/ops"));
    }
  }
}

/// All of it, until nothing more comes: a full window of the broker's is emptied by and by.
std::vector<Publication> all_of(Person& person) {
  std::vector<Publication> all;
  for (auto part = person.mqtt.drain(); !part.empty(); part = person.mqtt.drain()) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

/// The texts of messages on inbox.json/ops, each once, in the order of their coming; as JSON, so
/// that a failure shows them.
Json texts_of(const std::vector<Publication>& came) {
  Json texts = Json::array();
  for (const Publication& one : of_ops(came)) {
    if (!one.topic.ends_with("inbox.json/ops")) continue;
    Json text = Json::parse(one.payload)["text"];
    if (std::ranges::count(texts, text) == 0) texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

TEST_CASE("removed member: a live session hears that he is out, and nothing after it") {
  for (const std::string way : ways) {
    CAPTURE(way);
    Ops ops;
    Person bob = ops.instance.person("bob");
    bob.listen({"#"});
    ops.say(ops.alice, "before");
    ops.say(ops.alice, "before too");
    ops.instance.settle();
    CHECK(texts_of(all_of(bob)) == Json({"before", "before too"}));
    ops.remove_bob(way);
    CHECK(Json::parse(bob.expect_text("event.json/ops"))["left"]["user"] == "bob");
    ops.go_on_without_bob();
    check_only_goodbye(all_of(bob));
    // What he subscribes now brings nothing either.
    Person again = ops.instance.person("bob");
    again.listen({"#", "inbox/ops", "inbox.json/ops", "event.json/ops", "typing.json/ops"});
    ops.go_on_without_bob();
    check_only_goodbye(all_of(again));
    check_only_goodbye(all_of(bob));
  }
}

TEST_CASE("removed member: a device that was away gets nothing later when it comes back") {
  for (const std::string way : ways) {
    for (const bool confirms : {false, true}) {
      CAPTURE(way);
      CAPTURE(confirms);
      Ops ops;
      {
        Person phone = ops.instance.device("bob", "phone");
        phone.listen({"inbox.json/+", "event.json/+", "typing.json/+"});
        const int seq = ops.say(ops.alice, "seen");
        (void)phone.expect("inbox.json/ops");
        if (confirms) phone.publish("got/ops", std::to_string(seq));
        ops.instance.settle();
        phone.mqtt.disconnect();
      }
      Person desk = ops.instance.person("bob");
      desk.listen({"inbox.json/+"});
      ops.say(ops.alice, "before");
      CHECK(Json::parse(desk.expect_text("inbox.json/ops"))["text"] == "before");
      ops.remove_bob(way);
      ops.go_on_without_bob();
      Person phone = ops.instance.device("bob", "phone");
      CHECK(phone.mqtt.session_present());
      // Behind all that waited for him.
      CHECK(ops.alice.send("bob", "goodbye", "goodbye") == "stored 1");
      (void)phone.expect("inbox.json/alice");
      ops.instance.settle();
      auto came = all_of(phone);
      // What was stored while he was in there may come; nothing else.
      CHECK((texts_of(came).empty() || texts_of(came) == Json::array({"before"})));
      std::erase_if(came,
                    [](const Publication& one) { return one.topic.ends_with("inbox.json/ops"); });
      check_only_goodbye(came);
    }
  }
}

TEST_CASE("removed member: packets that were under way with QoS 2 bring nothing later") {
  for (const std::string way : ways) {
    for (const bool comes_back : {false, true}) {
      CAPTURE(way);
      CAPTURE(comes_back);
      InstanceOptions options;
      options.broker.lines = {"upgrade_outgoing_qos true", "max_inflight_messages 2"};
      Ops ops{std::move(options)};
      Person bob = ops.instance.device("bob", "phone");
      REQUIRE(bob.mqtt.subscribe(bob.topic("inbox.json/+"), 2) == 2);
      REQUIRE(bob.mqtt.subscribe(bob.topic("event.json/+"), 2) == 2);
      ops.instance.settle();
      (void)all_of(bob);
      bob.mqtt.withhold_acks();
      Json before = Json::array();
      for (int i = 1; i <= 5; ++i) {
        before.push_back(with_number("before ", i));
        ops.say(ops.alice, with_number("before ", i));
      }
      ops.instance.settle();
      // Two are on their way, without PUBREC; the others wait in the broker.
      auto came = all_of(bob);
      REQUIRE(came.size() == 2);
      CHECK(came[0].qos == 2);
      ops.remove_bob(way);
      ops.go_on_without_bob();
      if (comes_back) {
        bob.mqtt.drop();
        bob = ops.instance.device("bob", "phone");
        CHECK(bob.mqtt.session_present());
      } else {
        bob.mqtt.resume_acks();
      }
      CHECK(ops.alice.send("bob", "goodbye", "goodbye") == "stored 1");
      (void)bob.expect("inbox.json/alice");
      auto rest = all_of(bob);
      came.insert(came.end(), rest.begin(), rest.end());
      CHECK(texts_of(came) == before);
      std::erase_if(came,
                    [](const Publication& one) { return one.topic.ends_with("inbox.json/ops"); });
      check_only_goodbye(came);
    }
  }
}

TEST_CASE("removed member: none of a stream of messages beyond his removal reaches him") {
  Ops ops;
  Person bob = ops.instance.device("bob", "phone");
  bob.listen({"inbox.json/+"});
  constexpr int each = 100;
  for (int i = 0; i < each; ++i) {
    for (Person* from : {&ops.alice, &ops.carol}) {
      from->mqtt.publish_soon({.topic = from->topic(with_number("send/ops/s", i)), .payload = "x"});
    }
    if (i == each / 2) {
      ops.alice.publish("do.json/room.kick/out", R"({"room":"ops","users":["bob"]})", 0);
    }
  }
  REQUIRE(ops.alice.mqtt.await_answers());
  REQUIRE(ops.carol.mqtt.await_answers());
  CHECK(done(Json::parse(ops.alice.expect_text("re.json/out")))["done"] == Json{"bob"});
  ops.instance.settle();
  const auto out = static_cast<std::size_t>(ops.instance.database().number(
      "SELECT x.seq FROM messages x JOIN conversations c USING (conversation_id)"
      " WHERE c.name = 'ops' AND x.kind = 'system'"));
  std::set<std::size_t> held;
  for (const Publication& one : of_ops(all_of(bob))) {
    held.insert(Json::parse(one.payload)["seq"].get<std::size_t>());
  }
  CHECK(out > 1);
  CHECK(out < 2 * each);
  CHECK(held.size() == out - 1);
  CHECK((held.empty() || *held.rbegin() == out - 1));
}

TEST_CASE("removed member: no request tells him anything, and nothing that he says counts") {
  for (const std::string way : ways) {
    CAPTURE(way);
    Ops ops;
    ops.say(ops.alice, "before");
    ops.remove_bob(way);
    ops.go_on_without_bob();
    Person bob = ops.instance.person("bob");
    bob.listen({"#"});
    const Json conv{{"conv", "ops"}, {"seq", 1}};
    const auto with = [&](const Json& more) {
      Json all = conv;
      all.update(more);
      return all;
    };
    CHECK(refused(ask(bob, "history", {{"conv", "ops"}})) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "history", {{"conv", "ops"}, {"around_seq", 1}})) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "receipts", conv)) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "room.get", {{"room", "ops"}})) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "msg.react", with({{"emoji", "x"}}))) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "msg.pin", conv)) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "msg.edit", with({{"text", "x"}}))) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "msg.delete", conv)) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "room.add", {{"room", "ops"}, {"users", {"bob"}}})) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "room.join", {{"room", "ops"}})) == "NOT_MEMBER");
    CHECK(refused(ask(bob, "conv.mute", {{"conv", "ops"}})) == "NOT_MEMBER");
    CHECK(done(ask(bob, "room.list", Json::object()))["rooms"].empty());
    CHECK(done(ask(bob, "room.find", {{"members", {"alice", "carol"}}}))["rooms"].empty());
    CHECK(bob.send("ops", "let me in", "in") == "refused NOT_MEMBER");
    ops.instance.settle();
    (void)ops.carol.mqtt.drain();
    bob.publish("typing/ops", "1", 0);
    bob.publish("read/ops", "4");
    bob.publish("got/ops", "4");
    ops.say(ops.alice, "secret end");
    ops.instance.settle();
    for (const Publication& one : ops.carol.mqtt.drain()) {
      CHECK(one.topic.find("typing") == std::string::npos);
    }
    const Json receipts = done(ask(ops.alice, "receipts", {{"conv", "ops"}, {"seq", 3}}));
    CHECK(receipts.dump().find("bob") == std::string::npos);
    check_only_goodbye(all_of(bob));
  }
}

TEST_CASE("removed member: a shared subscription is refused, before and after") {
  Ops ops;
  for (int time = 0; time < 2; ++time) {
    CAPTURE(time);
    for (const bool v5 : {false, true}) {
      Person bob = v5 ? ops.instance.person5("bob") : ops.instance.person("bob");
      for (const std::string rest : {"inbox.json/ops", "inbox.json/+", "#"}) {
        CHECK(bob.mqtt.subscribe("$share/g/" + bob.topic(rest)) >= 0x80);
      }
      ops.say(ops.alice, "secret");
      ops.instance.settle();
      CHECK(bob.mqtt.drain().empty());
    }
    if (time == 0) ops.remove_bob("room.kick");
  }
}

TEST_CASE("removed member: who comes back sees his own times and not the one between") {
  Ops ops{{}, "joined"};
  ops.say(ops.alice, "first");
  ops.remove_bob("room.kick");
  ops.say(ops.alice, "secret");
  done(ask(ops.alice, "room.add", {{"room", "ops"}, {"users", {"bob"}}}));
  ops.say(ops.alice, "second");
  Person bob = ops.instance.person("bob");
  bob.listen({"re.json/+"});
  Json seen = Json::array();
  const Json page = done(ask(bob, "history", {{"conv", "ops"}}));
  for (const Json& message : page["messages"]) {
    seen.push_back(message["text"]);
  }
  CHECK(seen == Json({"first", "alice added bob", "second"}));
  CHECK(refused(ask(bob, "msg.react", {{"conv", "ops"}, {"seq", 3}, {"emoji", "x"}})) ==
        "NOT_FOUND");
}
