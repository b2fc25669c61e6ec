// What is done to messages after they were stored, by `do`: edits, deletions, reactions, pins; and
// who holds them.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// alice and bob, who listen; alice has said "hello" and "again".
struct Talk {
  Talk()
      : instance{"alice", "bob", "carol"},
        alice{instance.person("alice")},
        bob{instance.person("bob")} {
    for (Person* person : {&alice, &bob}) {
      person->listen({"re.json/+", "ack/+", "inbox.json/+", "sent.json/+", "event.json/+"});
    }
    CHECK(alice.send("bob", "hello", "h1") == "stored 1");
    CHECK(alice.send("bob", "again") == "stored 2");
    CHECK(Json::parse(bob.expect_text("inbox.json/alice"))["text"] == "hello");
    CHECK(Json::parse(bob.expect_text("inbox.json/alice"))["text"] == "again");
  }
  static Json event(Person& person, const std::string& conv) {
    return Json::parse(person.expect_text("event.json/" + conv));
  }
  Json history(Person& person, const std::string& conv) {
    return done(ask(person, "history", {{"conv", conv}}))["messages"];
  }
  Instance instance;
  Person alice, bob;
};

Json message(const std::string& conv, int seq) { return {{"conv", conv}, {"seq", seq}}; }

Json with(Json base, const Json& more) {
  base.update(more);
  return base;
}

}  // namespace

TEST_CASE("msg.edit: the words change everywhere, the earlier ones are gone") {
  Talk talk;
  const Json edit = with(message("bob", 1), {{"text", "good day"}, {"mentions", {"bob"}}});
  done(ask(talk.alice, "msg.edit", edit));
  const Json told = talk.event(talk.bob, "alice");
  CHECK(told["edited"] == Json::parse(R"({"seq":1,"text":"good day"})"));
  CHECK(told["rev"] == 3);
  CHECK(told["conv"] == "alice");
  CHECK(talk.event(talk.alice, "bob")["edited"]["text"] == "good day");
  const Json first = talk.history(talk.bob, "alice")[0];
  CHECK(first["text"] == "good day");
  CHECK(first["mentions"] == Json::parse(R"(["bob"])"));
  CHECK(first["edited_time"].get<std::string>().size() == 24);
  CHECK(first["seq"] == 1);
  CHECK(first["rev"] == 1);
  // The same again is nothing new; the id of the message is still known by its first words.
  done(ask(talk.alice, "msg.edit", edit));
  CHECK(talk.alice.send("bob", "hello", "h1") == "stored 1");
  CHECK(talk.alice.send("bob", "third") == "stored 3");
  CHECK(Json::parse(talk.bob.expect_text("inbox.json/alice"))["rev"] == 4);
  CHECK(talk.instance.database().number("SELECT count(*) FROM messages WHERE body = 'hello'") == 0);
}

TEST_CASE("msg.edit: one's own messages only, and only what is there") {
  Talk talk;
  const Json text{{"text", "mine"}};
  CHECK(refused(ask(talk.bob, "msg.edit", with(message("alice", 1), text))) == "FORBIDDEN");
  CHECK(refused(ask(talk.alice, "msg.edit", with(message("bob", 9), text))) == "NOT_FOUND");
  CHECK(refused(ask(talk.alice, "msg.edit", with(message("carol", 1), text))) == "NOT_FOUND");
  CHECK(refused(ask(talk.alice, "msg.edit", with(message("nobody", 1), text))) == "USER_NOT_FOUND");
  CHECK(refused(ask(talk.alice, "msg.edit", with(message("bob", 1), {{"text", ""}}))) ==
        "BAD_PAYLOAD");
  CHECK(refused(ask(talk.alice, "msg.edit",
                    with(message("bob", 1), {{"text", std::string(65'537, 'x')}}))) == "TOO_LARGE");
  talk.instance.room("ops", {"bob"});
  CHECK(refused(ask(talk.alice, "msg.edit", with(message("ops", 1), text))) == "NOT_MEMBER");
}

TEST_CASE("msg.delete: leaves an empty place for everybody") {
  Talk talk;
  done(ask(talk.alice, "msg.edit", with(message("bob", 1), {{"text", "secret"}})));
  (void)talk.event(talk.bob, "alice");
  CHECK(refused(ask(talk.bob, "msg.delete", message("alice", 1))) == "FORBIDDEN");
  done(ask(talk.alice, "msg.delete", message("bob", 1)));
  done(ask(talk.alice, "msg.delete", message("bob", 1)));
  CHECK(talk.event(talk.bob, "alice")["deleted"] == Json::parse(R"({"seq":1})"));
  const Json seen = talk.history(talk.bob, "alice");
  REQUIRE(seen.size() == 2);
  CHECK(seen[0]["deleted"] == true);
  CHECK(seen[0]["text"] == "");
  CHECK(seen[1]["text"] == "again");
  CHECK(talk.instance.database().number(
            "SELECT count(*) FROM changes WHERE event::text LIKE '%secret%'") == 0);
  CHECK(refused(ask(talk.alice, "msg.edit", with(message("bob", 1), {{"text", "back"}}))) ==
        "NOT_FOUND");
  CHECK(talk.alice.send("bob", "hello", "h1") == "stored 1");
}

TEST_CASE("msg.delete: owners and admins of a room may delete what others said") {
  Talk talk;
  done(ask(talk.alice, "room.create", {{"room", "ops"}, {"members", {"bob", "carol"}}}));
  CHECK(talk.bob.send("ops", "rude") == "stored 1");
  Person carol = talk.instance.person("carol");
  carol.listen({"re.json/+"});
  CHECK(refused(ask(carol, "msg.delete", message("ops", 1))) == "FORBIDDEN");
  done(ask(talk.alice, "msg.delete", message("ops", 1)));
  CHECK(talk.history(talk.bob, "ops")[0]["deleted"] == true);
}

TEST_CASE("msg.react: any member, told once, and taken back") {
  Talk talk;
  const Json thumb{{"emoji", "👍"}};
  done(ask(talk.bob, "msg.react", with(message("alice", 1), thumb)));
  done(ask(talk.bob, "msg.react", with(message("alice", 1), thumb)));
  const Json told = talk.event(talk.alice, "bob");
  CHECK(told["reaction"] == Json::parse(R"({"seq":1,"user":"bob","emoji":"👍","removed":false})"));
  done(ask(talk.bob, "msg.react", with(with(message("alice", 1), thumb), {{"removed", true}})));
  const Json back = talk.event(talk.alice, "bob");
  CHECK(back["reaction"]["removed"] == true);
  CHECK(back["rev"] == told["rev"].get<int>() + 1);
  CHECK(refused(ask(talk.bob, "msg.react", with(message("alice", 7), thumb))) == "NOT_FOUND");
  CHECK(refused(ask(talk.bob, "msg.react", message("alice", 1))) == "BAD_PAYLOAD");
}

TEST_CASE("msg.pin: both of two; in a room owners and admins") {
  Talk talk;
  done(ask(talk.bob, "msg.pin", message("alice", 2)));
  CHECK(talk.event(talk.alice, "bob")["pinned"] == Json::parse(R"({"seq":2,"removed":false})"));
  done(ask(talk.alice, "msg.pin", with(message("bob", 2), {{"removed", true}})));
  CHECK(talk.event(talk.alice, "bob")["pinned"]["removed"] == true);
  done(ask(talk.alice, "room.create", {{"room", "ops"}, {"members", {"bob"}}}));
  CHECK(talk.bob.send("ops", "pin me") == "stored 1");
  CHECK(refused(ask(talk.bob, "msg.pin", message("ops", 1))) == "FORBIDDEN");
  done(ask(talk.alice, "msg.pin", message("ops", 1)));
}

TEST_CASE("receipts: who holds, who has read, who has not, through joins and leaves") {
  Talk talk;
  done(ask(talk.alice, "room.create", {{"room", "ops"}, {"members", {"bob", "carol"}}}));
  CHECK(talk.alice.send("ops", "first") == "stored 1");
  const auto receipts = [&](int seq) {
    return done(ask(talk.alice, "receipts", message("ops", seq)));
  };
  // bob's session holds an inbox: he is taken to have got it only later.
  CHECK(receipts(1)["pending"] == Json::parse(R"(["bob","carol"])"));
  talk.bob.publish("read/ops", "1");
  Person carol = talk.instance.person("carol");
  carol.publish("got/ops", "1");
  talk.instance.settle();
  CHECK(receipts(1) == Json::parse(R"({"got":["carol"],"read":["bob"],"pending":[]})"));
  // Who leaves stays counted for what was said while he was there, who comes later is not.
  done(ask(talk.alice, "room.kick", {{"room", "ops"}, {"users", {"bob"}}}));
  talk.instance.user("dave");
  done(ask(talk.alice, "room.add", {{"room", "ops"}, {"users", {"dave"}}}));
  CHECK(receipts(1) == Json::parse(R"({"got":["carol"],"read":["bob"],"pending":[]})"));
  CHECK(talk.alice.send("ops", "second") == "stored 4");
  CHECK(receipts(4) == Json::parse(R"({"got":[],"read":[],"pending":["carol","dave"]})"));
  CHECK(refused(ask(talk.alice, "receipts", message("ops", 9))) == "NOT_FOUND");
  CHECK(refused(ask(talk.bob, "receipts", message("ops", 1))) == "NOT_MEMBER");
}
