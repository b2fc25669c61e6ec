// Rooms by `do`: who may do what, what is told of it, and what a member has afterwards.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

Json names(std::initializer_list<std::string> all) { return Json(std::vector<std::string>{all}); }

/// alice owns the room ops with bob and carol in it; all of them listen.
struct Ops {
  explicit Ops(const std::string& more = "{}")
      : instance{"alice", "bob", "carol", "dave"},
        alice{instance.person("alice")},
        bob{instance.person("bob")},
        carol{instance.person("carol")},
        dave{instance.person("dave")} {
    for (Person* person : {&alice, &bob, &carol, &dave}) {
      person->listen({"re.json/+", "ack/+", "inbox/+", "event.json/+"});
    }
    Json request = Json::parse(more);
    request["room"] = "ops";
    request["members"] = names({"bob", "carol"});
    made = done(ask(alice, "room.create", request))["room"];
  }
  Instance instance;
  Person alice, bob, carol, dave;
  Json made;
};

}  // namespace

TEST_CASE("room.create: makes a room that can be used at once, by everybody in it") {
  Ops ops{R"({"title":"Operations","topic":"what runs","history":"joined"})"};
  CHECK(ops.made["room"] == "ops");
  CHECK(ops.made["title"] == "Operations");
  CHECK(ops.made["topic"] == "what runs");
  CHECK(ops.made["history"] == "joined");
  CHECK(ops.made["join"] == "invite");
  CHECK(ops.made["role"] == "owner");
  CHECK(ops.made["member_count"] == 3);
  CHECK(ops.made["created_time"].get<std::string>().size() == 24);
  CHECK(Json::parse(ops.bob.expect_text("event.json/ops"))["room"]["title"] == "Operations");
  // Creation writes no message: the first one is number 1.
  CHECK(ops.alice.send("ops", "welcome") == "stored 1");
  CHECK(ops.bob.expect_text("inbox/ops") == "alice: welcome");
  CHECK(ops.bob.send("ops", "thanks") == "stored 2");
}

TEST_CASE("room.create: again by the same user alike is the same answer, else the name is taken") {
  Ops ops;
  const Json request{{"room", "ops"}, {"members", names({"bob", "carol"})}};
  CHECK(done(ask(ops.alice, "room.create", request))["room"] == ops.made);
  CHECK(refused(ask(ops.alice, "room.create", {{"room", "ops"}})) == "NAME_TAKEN");
  CHECK(refused(ask(ops.bob, "room.create", request)) == "NAME_TAKEN");
  CHECK(refused(ask(ops.bob, "room.create", {{"room", "alice"}})) == "NAME_TAKEN");
  CHECK(refused(ask(ops.bob, "room.create", {{"room", "No"}})) == "BAD_NAME");
  CHECK(refused(ask(ops.bob, "room.create", {{"room", ""}})) == "BAD_NAME");
  CHECK(refused(ask(ops.bob, "room.create", {{"room", "x"}, {"history", "some"}})) ==
        "BAD_PAYLOAD");
  CHECK(refused(ask(ops.bob, "room.create", {{"room", "x"}, {"members", names({"nobody"})}})) ==
        "USER_NOT_FOUND");
  CHECK(done(ask(ops.bob, "room.create", {{"room", "x"}}))["room"]["member_count"] == 1);
}

TEST_CASE("room.create: the same said otherwise is the same") {
  Ops ops{R"({"title":"Operations"})"};
  const Json said{{"room", "ops"}, {"title", "Operations"}, {"members", names({"bob", "carol"})}};
  const auto with = [&](const Json& more) {
    Json request = said;
    request.update(more);
    return ask(ops.alice, "room.create", request);
  };
  CHECK(done(with(Json::object()))["room"] == ops.made);
  CHECK(done(with({{"history", "all"}}))["room"] == ops.made);
  CHECK(done(with({{"join", "invite"}, {"topic", ""}}))["room"] == ops.made);
  CHECK(done(with({{"members", names({"carol", "bob"})}}))["room"] == ops.made);
  CHECK(done(with({{"members", names({"bob", "alice", "carol", "bob"})}}))["room"] == ops.made);
  CHECK(refused(with({{"history", "joined"}})) == "NAME_TAKEN");
  CHECK(refused(with({{"join", "open"}})) == "NAME_TAKEN");
  CHECK(refused(with({{"topic", "what runs"}})) == "NAME_TAKEN");
  CHECK(refused(with({{"members", names({"bob"})}})) == "NAME_TAKEN");
  ops.alice.listen({"re.pb/+"});
  ops.alice.publish("do.pb/room.create/p",
                    "\x0a\x03ops\x12\x0aOperations\x22\x05"
                    "carol\x22\x03"
                    "bob");
  CHECK(ops.alice.expect_text("re.pb/p").find("Operations") != std::string::npos);
}

TEST_CASE("room.add: adds at once, with a message and an event; each name has its answer") {
  Ops ops;
  CHECK(ops.alice.send("ops", "before") == "stored 1");
  const Json request{{"room", "ops"}, {"users", names({"dave", "bob", "nobody"})}};
  CHECK(refused(ask(ops.bob, "room.add", request)) == "FORBIDDEN");
  CHECK(refused(ask(ops.dave, "room.add", request)) == "NOT_MEMBER");
  const Json result = done(ask(ops.alice, "room.add", request));
  CHECK(result["done"] == names({"dave", "bob"}));
  CHECK(result["refused"] == Json::parse(R"([{"user":"nobody","code":"USER_NOT_FOUND"}])"));
  for (Person* person : {&ops.bob, &ops.carol}) {
    CHECK(person->expect_text("inbox/ops") == "alice: before");
    CHECK(person->expect_text("inbox/ops") == "* alice added dave");
  }
  CHECK(ops.dave.expect_text("inbox/ops") == "* alice added dave");
  const Json event = Json::parse(ops.dave.expect_text("event.json/ops"));
  CHECK(event["joined"] == Json::parse(R"({"user":"dave","by":"alice"})"));
  CHECK(event["conv"] == "ops");
  CHECK(event["rev"] == 3);  // creation, a message, this
  CHECK(ops.dave.send("ops", "hello") == "stored 3");
  // What was said before is there for him: history is "all".
  const Json seen = done(ask(ops.dave, "history", {{"conv", "ops"}}))["messages"];
  REQUIRE(seen.size() == 3);
  CHECK(seen[0]["text"] == "before");
  CHECK(seen[1]["kind"] == "system");
  CHECK(seen[1]["rev"] == 3);
}

TEST_CASE("room.join: needs an invitation, or an open room; an invitation is an event") {
  Ops ops;
  CHECK(refused(ask(ops.dave, "room.join", {{"room", "ops"}})) == "NOT_MEMBER");
  CHECK(refused(ask(ops.dave, "room.join", {{"room", "nowhere"}})) == "ROOM_NOT_FOUND");
  CHECK(refused(ask(ops.dave, "room.join", {{"room", "bob"}})) == "ROOM_NOT_FOUND");
  CHECK(done(ask(ops.alice, "room.invite",
                 {{"room", "ops"}, {"users", names({"dave"})}}))["done"] == names({"dave"}));
  CHECK(Json::parse(ops.dave.expect_text("event.json/-"))["invited"] ==
        Json::parse(R"({"room":"ops","by":"alice"})"));
  done(ask(ops.dave, "room.join", {{"room", "ops"}}));
  done(ask(ops.dave, "room.join", {{"room", "ops"}}));
  CHECK(ops.bob.expect_text("inbox/ops") == "* dave joined");
  CHECK(ops.dave.send("ops", "hello") == "stored 2");
  done(ask(ops.alice, "room.set", {{"room", "ops"}, {"join", "open"}}));
  done(ask(ops.dave, "room.leave", {{"room", "ops"}}));
  done(ask(ops.dave, "room.join", {{"room", "ops"}}));
  CHECK(ops.dave.send("ops", "back") == "stored 5");
}

TEST_CASE("room.kick, room.leave: who is out gets nothing more, and is told so") {
  Ops ops;
  CHECK(refused(ask(ops.bob, "room.kick", {{"room", "ops"}, {"users", names({"carol"})}})) ==
        "FORBIDDEN");
  CHECK(done(ask(ops.alice, "room.kick", {{"room", "ops"}, {"users", names({"carol", "dave"})}})) ==
        Json::parse(R"({"done":["carol","dave"],"refused":[]})"));
  CHECK(ops.bob.expect_text("inbox/ops") == "* alice removed carol");
  (void)ops.carol.expect("event.json/ops");  // the room
  CHECK(Json::parse(ops.carol.expect_text("event.json/ops"))["left"] ==
        Json::parse(R"({"user":"carol","by":"alice"})"));
  CHECK(ops.carol.send("ops", "let me in") == "refused NOT_MEMBER");
  CHECK(ops.alice.send("ops", "among us") == "stored 2");
  CHECK(ops.bob.expect_text("inbox/ops") == "alice: among us");
  done(ask(ops.bob, "room.leave", {{"room", "ops"}}));
  done(ask(ops.bob, "room.leave", {{"room", "ops"}}));
  CHECK(ops.alice.expect_text("inbox/ops") == "* bob left");
  CHECK(ops.alice.send("ops", "alone") == "stored 4");
  ops.instance.settle();
  for (Person* person : {&ops.bob, &ops.carol}) {
    for (const auto& late : person->mqtt.drain())
      CHECK(late.topic.find("inbox") == std::string::npos);
  }
  CHECK(refused(ask(ops.carol, "history", {{"conv", "ops"}})) == "NOT_MEMBER");
}

TEST_CASE("room.role: roles have rights, and a room keeps an owner") {
  Ops ops;
  const auto role = [&](Person& by, const std::string& user, const std::string& wanted) {
    return ask(by, "room.role", {{"room", "ops"}, {"user", user}, {"role", wanted}});
  };
  CHECK(refused(role(ops.bob, "carol", "admin")) == "FORBIDDEN");
  CHECK(refused(role(ops.alice, "dave", "admin")) == "NOT_MEMBER");
  CHECK(refused(role(ops.alice, "bob", "king")) == "BAD_PAYLOAD");
  CHECK(refused(role(ops.alice, "alice", "member")) == "FORBIDDEN");
  CHECK(refused(ask(ops.alice, "room.leave", {{"room", "ops"}})) == "FORBIDDEN");
  done(role(ops.alice, "bob", "admin"));
  CHECK(ops.carol.expect_text("inbox/ops") == "* alice made bob admin");
  CHECK(refused(role(ops.bob, "alice", "member")) == "FORBIDDEN");
  CHECK(refused(role(ops.bob, "carol", "owner")) == "FORBIDDEN");
  done(role(ops.bob, "carol", "readonly"));
  CHECK(ops.carol.send("ops", "may I?") == "refused FORBIDDEN");
  done(role(ops.alice, "bob", "owner"));
  done(ask(ops.alice, "room.leave", {{"room", "ops"}}));
  const Json members = done(ask(ops.bob, "room.get", {{"room", "ops"}}))["members"];
  CHECK(members ==
        Json::parse(R"([{"user":"bob","role":"owner"},{"user":"carol","role":"readonly"}])"));
}

TEST_CASE("room.set: a title is a message, the rest an event; nothing new is nothing") {
  Ops ops;
  CHECK(refused(ask(ops.bob, "room.set", {{"room", "ops"}, {"title", "Mine"}})) == "FORBIDDEN");
  done(ask(ops.alice, "room.set", {{"room", "ops"}, {"title", "Ops"}}));
  CHECK(ops.bob.expect_text("inbox/ops") == "* alice set the title to Ops");
  done(ask(ops.alice, "room.set", {{"room", "ops"}, {"title", "Ops"}}));
  done(ask(ops.alice, "room.set", {{"room", "ops"}, {"topic", "what runs"}}));
  CHECK(ops.alice.send("ops", "so") == "stored 2");
  const Json room = done(ask(ops.bob, "room.get", {{"room", "ops"}}))["room"];
  CHECK(room["title"] == "Ops");
  CHECK(room["topic"] == "what runs");
  CHECK(room["role"] == "member");
}

TEST_CASE("room.set: a term of its own can be read, and taken back") {
  Ops ops;
  const auto days = [&]() -> Json {
    const Json room = done(ask(ops.bob, "room.get", {{"room", "ops"}}))["room"];
    return room.value("retention_days", Json{});
  };
  CHECK(days().is_null());
  done(ask(ops.alice, "room.set", {{"room", "ops"}, {"retention_days", 30}}));
  CHECK(days() == 30);
  done(ask(ops.alice, "room.set", {{"room", "ops"}, {"retention_days", 0}}));
  CHECK(days().is_null());
}

TEST_CASE("room.list, room.find: my rooms, and those with exactly these members") {
  Ops ops;
  done(ask(ops.alice, "room.create", {{"room", "pair"}, {"members", names({"bob"})}}));
  const auto rooms = [](const Json& result) {
    std::vector<std::string> found;
    for (const auto& room : result["rooms"]) found.push_back(room["room"]);
    return found;
  };
  using Found = std::vector<std::string>;
  CHECK(rooms(done(ask(ops.alice, "room.list", Json::object()))) == Found{"ops", "pair"});
  CHECK(rooms(done(ask(ops.carol, "room.list", Json::object()))) == Found{"ops"});
  const auto find = [&](Person& who, std::initializer_list<std::string> members) {
    return rooms(done(ask(who, "room.find", {{"members", names(members)}})));
  };
  CHECK(find(ops.alice, {"alice", "bob"}) == Found{"pair"});
  CHECK(find(ops.alice, {"bob"}) == Found{"pair"});
  CHECK(find(ops.alice, {"bob", "carol"}) == Found{"ops"});
  CHECK(find(ops.alice, {"carol"}).empty());
  CHECK(find(ops.carol, {"alice", "bob"}) == Found{"ops"});
}

TEST_CASE("room requests: protobuf says the same as JSON") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"re.pb/+", "re.json/+"});
  // room.create {room: "ops", members: ["bob"]}
  alice.publish("do.pb/room.create/p1",
                "\x0a\x03ops\x22\x03"
                "bob");
  const std::string reply = alice.expect_text("re.pb/p1");
  CHECK(reply.find("ops") != std::string::npos);
  CHECK(done(ask(alice, "room.get", {{"room", "ops"}}))["members"].size() == 2);
  alice.publish("do.pb/room.create/p2", "\x0a\x7f");
  CHECK(alice.expect_text("re.pb/p2").find("BAD_PAYLOAD") != std::string::npos);
}

TEST_CASE(
    "room requests: a worker that dies behind the commit tells what it changed when it is back") {
  Ops ops;
  auto& worker = ops.instance.worker();
  ops.instance.stop_worker();
  worker.set_environment({{"PARLEY_FAULT", "worker_after_commit"}});
  ops.instance.start_worker();
  ops.alice.publish("do.json/room.add/late", R"({"room":"ops","users":["dave"]})");
  CHECK(worker.process().wait() == 128 + 9);
  worker.set_environment({});
  ops.instance.start_worker();
  const Json reply = Json::parse(ops.alice.expect_text("re.json/late"));
  CHECK((reply["ok"] == true ? reply["result"]["done"] == names({"dave"})
                             : reply["code"] == "TIMEOUT"));
  CHECK(ops.bob.expect_text("inbox/ops") == "* alice added dave");
  CHECK(ops.alice.send("ops", "once") == "stored 2");
}

TEST_CASE("room requests: none overtakes what its asker said before") {
  Ops ops;
  ops.instance.stop_worker();
  // Nothing is remembered of the room when both come at once.
  ops.bob.publish("send/ops/b1", "bye");
  ops.bob.publish("do.json/room.leave/l1", R"({"room":"ops"})");
  ops.instance.start_worker();
  CHECK(ops.alice.expect_text("inbox/ops") == "bob: bye");
  CHECK(ops.bob.expect_text("ack/b1") == "stored 1");
}

TEST_CASE("room requests: a room that everybody has left has an owner again when somebody comes") {
  Ops ops;
  done(ask(ops.alice, "room.create", {{"room", "empty"}, {"join", "open"}}));
  done(ask(ops.alice, "room.leave", {{"room", "empty"}}));
  done(ask(ops.bob, "room.join", {{"room", "empty"}}));
  const Json room = done(ask(ops.bob, "room.get", {{"room", "empty"}}));
  CHECK(room["members"] == Json::parse(R"([{"user":"bob","role":"owner"}])"));
  CHECK(room["room"]["member_count"] == 1);
  // Who made it and is gone learns nothing of it.
  CHECK(refused(ask(ops.alice, "room.create", {{"room", "empty"}, {"join", "open"}})) ==
        "NAME_TAKEN");
}

TEST_CASE("room requests: what is done to a message is told to those who see it") {
  Ops ops{R"({"history":"joined"})"};
  CHECK(ops.alice.send("ops", "between us") == "stored 1");
  done(ask(ops.alice, "room.add", {{"room", "ops"}, {"users", names({"dave"})}}));
  CHECK(Json::parse(ops.dave.expect_text("event.json/ops"))["joined"]["user"] == "dave");
  const Json edit{{"conv", "ops"}, {"seq", 1}, {"text", "still between us"}};
  done(ask(ops.alice, "msg.edit", edit));
  done(ask(ops.bob, "msg.react", {{"conv", "ops"}, {"seq", 1}, {"emoji", "+1"}}));
  CHECK(ops.alice.send("ops", "hello dave") == "stored 3");
  done(ask(ops.bob, "msg.react", {{"conv", "ops"}, {"seq", 3}, {"emoji", "+1"}}));
  CHECK(Json::parse(ops.dave.expect_text("event.json/ops"))["reaction"]["seq"] == 3);
}

TEST_CASE("room requests: of several at once each sees what was said while he was in") {
  Ops ops{R"({"history":"joined"})"};
  ops.dave.mqtt.disconnect();
  done(ask(ops.alice, "room.kick", {{"room", "ops"}, {"users", names({"bob", "carol"})}}));
  done(ask(ops.alice, "room.add", {{"room", "ops"}, {"users", names({"bob", "carol"})}}));
  CHECK(ops.bob.expect_text("inbox/ops") == "* alice added bob");
  CHECK(ops.bob.expect_text("inbox/ops") == "* alice added carol");
  // Whether she was sent the one about bob depends on whether she was up to date before she went.
  ops.carol.mqtt.expect_that("the message that she was added", [](const Publication& came) {
    return came.payload == "* alice added carol";
  });
  CHECK(done(ask(ops.carol, "history", {{"conv", "ops"}}))["messages"].size() == 2);  // 1, 4
}
