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

/// alice owns the room ops with bob and carol in it.
struct Ops {
  explicit Ops(InstanceOptions options = {}, const std::string& history = "all")
      : instance{{"alice", "bob", "carol"}, std::move(options)},
        alice{instance.person("alice")},
        carol{instance.person("carol")} {
    for (Person* person : {&alice, &carol}) person->listen({"#", "state/#"});
    done(ask(alice, "room.create",
             {{"room", "ops"}, {"members", {"bob", "carol"}}, {"history", history}}));
  }

  int say(Person& from, const std::string& text) {
    const std::string ack = from.send("ops", text, with_number("id", ++sent));
    REQUIRE(ack.starts_with("stored "));
    return std::stoi(ack.substr(7));
  }

  /// In this way, by a session of bob's that hears answers and nothing else. He has written there:
  /// who read that was to be told him.
  void remove_bob(const std::string& way) {
    Json request{{"room", "ops"}};
    Person bob = instance.person("bob");
    bob.listen({"re.json/+", "ack/+"});
    say(bob, "bob was here");
    if (way == "room.kick") {
      request["users"] = {"bob"};
      done(ask(alice, way, request));
    } else {
      done(ask(bob, way, request));
    }
  }

  /// The next event of this kind about the room, which says `words`.
  void expect_event(Person& person, const std::string& kind, const std::string& words) {
    (void)person.mqtt.expect_that(kind + " " + words, [&](const Publication& one) {
      return one.topic == person.topic("event.json/ops") &&
             Json::parse(one.payload).contains(kind) && one.payload.find(words) != one.payload.npos;
    });
  }

  /// All that can happen in a room, each with "secret" in it, and the others are told each of it.
  /// @return the seq of a message that they have read
  int go_on_without_bob() {
    const int secret = say(alice, "secret words");
    (void)carol.mqtt.expect_that("the words", [&](const Publication& one) {
      return one.topic == carol.topic("inbox.json/ops") &&
             Json::parse(one.payload)["text"] == "secret words";
    });
    done(ask(alice, "msg.edit",
             {{"conv", "ops"}, {"seq", 1}, {"text", with_number("secret edit ", sent)}}));
    expect_event(carol, "edited", with_number("secret edit ", sent));
    const Json sign{{"conv", "ops"}, {"seq", 1}, {"emoji", "secret sign"}};
    done(ask(carol, "msg.react", sign));
    expect_event(alice, "reaction", "secret sign");
    Json unsigned_again = sign;
    unsigned_again["removed"] = true;
    done(ask(carol, "msg.react", unsigned_again));
    expect_event(alice, "reaction", "\"removed\":true");
    done(ask(alice, "msg.pin", {{"conv", "ops"}, {"seq", secret}}));
    expect_event(carol, "pinned", with_number("", secret));
    done(ask(alice, "room.set", {{"room", "ops"}, {"title", with_number("secret ", sent)}}));
    expect_event(carol, "room", with_number("secret ", sent));
    done(ask(alice, "room.set", {{"room", "ops"}, {"topic", with_number("secret #", sent)}}));
    expect_event(carol, "room", with_number("secret #", sent));
    const std::string role = sent % 2 == 0 ? "admin" : "member";
    done(ask(alice, "room.role", {{"room", "ops"}, {"user", "carol"}, {"role", role}}));
    carol.publish("read/ops", std::to_string(secret));
    expect_event(alice, "receipt", with_number("\"read_seq\":", secret));
    alice.publish("typing/ops", "1", 0);
    (void)carol.expect("typing.json/ops");
    mention_bob();
    done(ask(alice, "msg.delete", {{"conv", "ops"}, {"seq", secret}}));
    expect_event(carol, "deleted", with_number("", secret));
    instance.settle();
    return secret;
  }

  /// By somebody who does not know yet that he is gone. Carol is shown how the room is then, when
  /// bob would be, too.
  void mention_bob() {
    const std::string id = with_number("mention", ++sent);
    const Json words{{"text", "secret @bob @carol"}, {"mentions", {"bob", "carol"}}};
    alice.publish("send.json/ops/" + id, words.dump());
    const std::string ack = alice.expect_text("ack/" + id);
    REQUIRE(ack.starts_with("stored "));
    const int seq = std::stoi(ack.substr(7));
    (void)carol.mqtt.expect_that("the state", [&](const Publication& one) {
      return one.topic == carol.topic("state/conv/ops") && Json::parse(one.payload)["seq"] >= seq;
    });
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
      CHECK(Json::parse(one.payload)["left"]["user"] == "bob");
    } else if (one.topic.ends_with("state/conv/ops")) {
      CHECK(Json::parse(one.payload)["last"]["text"] == "bob was here");
    } else {
      CHECK((one.topic.ends_with("event.pb/ops") || one.topic.ends_with("sent/ops") ||
             one.topic.ends_with("sent.json/ops") || one.topic.ends_with("sent.pb/ops")));
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
    bob.listen({"#", "state/#"});
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
    again.listen(
        {"#", "inbox/ops", "inbox.json/ops", "event.json/ops", "typing.json/ops", "state/#"});
    ops.go_on_without_bob();
    const auto came = all_of(again);
    check_only_goodbye(came);
    for (const Publication& one : came) CHECK(!one.topic.ends_with("state/conv/ops"));
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
      // Of the room he may have been told only now; he was in it.
      std::erase_if(came, [](const Publication& one) {
        return one.topic.ends_with("inbox.json/ops") ||
               (one.topic.ends_with("event.json/ops") && Json::parse(one.payload).contains("room"));
      });
      check_only_goodbye(came);
    }
  }
}

TEST_CASE("removed member: none of a stream of messages beyond his removal reaches him") {
  Ops ops;
  Person bob = ops.instance.device("bob", "phone");
  bob.listen({"inbox.json/+"});
  constexpr int before = 50;
  constexpr int behind = 20;
  std::size_t written = 0;
  const auto write = [&] {
    const std::string id = with_number("s", static_cast<int>(++written));
    for (Person* from : {&ops.alice, &ops.carol}) {
      from->mqtt.publish_soon({.topic = from->topic("send/ops/" + id), .payload = "x"});
    }
  };
  for (int i = 0; i < before; ++i) write();
  ops.alice.publish("do.json/room.kick/out", R"({"room":"ops","users":["bob"]})", 0);
  Json reply;
  for (const Deadline deadline; reply.is_null() && !deadline.passed();) {
    write();
    for (const Publication& one : ops.alice.mqtt.drain()) {
      if (one.topic == ops.alice.topic("re.json/out")) reply = Json::parse(one.payload);
    }
    (void)ops.carol.mqtt.drain();
  }
  REQUIRE(!reply.is_null());
  CHECK(done(reply)["done"] == Json{"bob"});
  for (int i = 0; i < behind; ++i) write();
  REQUIRE(ops.alice.mqtt.await_answers());
  REQUIRE(ops.carol.mqtt.await_answers());
  ops.instance.settle();
  const auto out = static_cast<std::size_t>(ops.instance.database().number(
      "SELECT x.seq FROM messages x JOIN conversations c USING (conversation_id)"
      " WHERE c.name = 'ops' AND x.kind = 'system'"));
  std::set<std::size_t> held;
  for (const Publication& one : of_ops(all_of(bob))) {
    held.insert(Json::parse(one.payload)["seq"].get<std::size_t>());
  }
  CHECK(out > 1);
  CHECK(out < 2 * written - 2 * behind + 2);
  CHECK(held.size() == out - 1);
  CHECK((held.empty() || *held.rbegin() == out - 1));
}

TEST_CASE("removed member: no request tells him anything, and nothing that he says counts") {
  for (const std::string way : ways) {
    CAPTURE(way);
    Ops ops;
    ops.say(ops.alice, "before");
    ops.remove_bob(way);
    const int secret = ops.go_on_without_bob();
    Person bob = ops.instance.person("bob");
    bob.listen({"#", "state/#"});
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
    const Json receipts = done(ask(ops.alice, "receipts", {{"conv", "ops"}, {"seq", secret}}));
    CHECK(receipts["read"] == Json{"carol"});
    CHECK(receipts.dump().find("bob") == std::string::npos);
    check_only_goodbye(all_of(bob));
  }
}

TEST_CASE("removed member: neither sync nor a search, an export or presence tells him anything") {
  for (const std::string way : ways) {
    CAPTURE(way);
    Ops ops;
    ops.say(ops.alice, "before");
    ops.remove_bob(way);
    ops.go_on_without_bob();
    // What the others find, he would, too.
    const Json query{{"query", "secret"}};
    eventually("it is found", [&] {
      return !done(ask(ops.carol, "search", query))["hits"].empty() &&
             !done(ask(ops.carol, "mentions", Json::object()))["messages"].empty();
    });
    const Json users{{"users", {"alice", "bob"}}};
    CHECK(done(ask(ops.carol, "presence.get", users)).dump().find("alice") != std::string::npos);
    for (const bool device : {false, true}) {
      CAPTURE(device);
      Person bob = device ? ops.instance.device("bob", "phone") : ops.instance.person("bob");
      bob.listen({"event.json/+", "inbox.json/+", "sent.json/+", "re.json/+", "state/#"});
      for (const int rev : {0, 1, 2, 1'000'000}) {
        const Json result =
            done(ask(bob, "sync", {{"positions", {{{"conv", "ops"}, {"rev", rev}}}}}));
        CHECK(result["conversations"].empty());
        CHECK(result["total_unread"] == 0);
      }
      CHECK(done(ask(bob, "search", query))["hits"].empty());
      CHECK(refused(ask(bob, "search", {{"query", "secret"}, {"conv", "ops"}})) == "NOT_MEMBER");
      CHECK(done(ask(bob, "mentions", Json::object()))["messages"].empty());
      const std::string presence =
          done(ask(bob, "presence.get", {{"users", {"alice", "carol"}}})).dump();
      CHECK(presence.find("alice") == std::string::npos);
      CHECK(presence.find("carol") == std::string::npos);
      const std::string lines = done(ask(bob, "me.export", Json::object())).dump();
      CHECK(lines.find("profile") != std::string::npos);
      CHECK(lines.find("secret") == std::string::npos);
      CHECK(lines.find("ops") == std::string::npos);
      ops.instance.settle();
      check_only_goodbye(all_of(bob));
    }
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
      // By an ordinary one it comes once, as long as he is in there.
      bob.listen({"inbox.json/ops"});
      // What he did not confirm before may come again meanwhile.
      const std::string text = "secret " + std::to_string(time) + (v5 ? " to 5" : " to 3.1.1");
      const auto is_it = [&](const Publication& came) {
        return came.payload.find(text) != std::string::npos;
      };
      ops.say(ops.alice, text);
      if (time == 0) bob.mqtt.expect_that(text, is_it);
      ops.instance.settle();
      CHECK(std::ranges::count_if(all_of(bob), is_it) == 0);
    }
    if (time == 0) ops.remove_bob("room.kick");
  }
}

TEST_CASE("removed member: who comes back sees his own times and not the one between") {
  Ops ops{{}, "joined"};
  ops.say(ops.alice, "first");
  ops.remove_bob("room.kick");
  const int secret = ops.say(ops.alice, "secret");
  done(ask(ops.alice, "room.add", {{"room", "ops"}, {"users", {"bob"}}}));
  ops.say(ops.alice, "second");
  Person bob = ops.instance.person("bob");
  bob.listen({"re.json/+"});
  Json seen = Json::array();
  const Json page = done(ask(bob, "history", {{"conv", "ops"}}));
  for (const Json& message : page["messages"]) {
    seen.push_back(message["text"]);
  }
  CHECK(seen == Json({"first", "bob was here", "alice added bob", "second"}));
  CHECK(refused(ask(bob, "msg.react", {{"conv", "ops"}, {"seq", secret}, {"emoji", "x"}})) ==
        "NOT_FOUND");
}
