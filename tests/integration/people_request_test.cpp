// Profiles, contacts and blocks, by `do`; and what they allow.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

struct People {
  People()
      : instance{"alice", "bob", "carol"},
        alice{instance.person("alice")},
        bob{instance.person("bob")} {
    for (Person* person : {&alice, &bob}) person->listen({"re.json/+", "ack/+", "inbox/+"});
  }
  Json contacts(Person& person) {
    return done(ask(person, "contact.list", Json::object()))["contacts"];
  }
  Instance instance;
  Person alice, bob;
};

Json user(const std::string& name) { return {{"user", name}}; }

}  // namespace

TEST_CASE("me.get, me.set: what is not said stays; what cannot be is refused") {
  People people;
  const Json before = done(ask(people.alice, "me.get", Json::object()));
  CHECK(before == Json::parse(R"({"display_name":"","about":"","write_to_me":"everyone",
    "add_to_rooms":"everyone","last_seen_to":"everyone","searchable":true})"));
  const Json after = done(ask(people.alice, "me.set", {{"display_name", "Alice A."}}));
  CHECK(after["display_name"] == "Alice A.");
  CHECK(done(ask(people.alice, "me.set", {{"about", "x"}}))["display_name"] == "Alice A.");
  CHECK(refused(ask(people.alice, "me.set", {{"write_to_me", "nobody"}})) == "BAD_PAYLOAD");
  CHECK(refused(ask(people.alice, "me.set", {{"about", std::string(5'000, 'x')}})) == "TOO_LARGE");
  CHECK(done(ask(people.alice, "me.get", Json::object()))["about"] == "x");
}

TEST_CASE("user.search: by beginnings; who does not want it is found by the whole name only") {
  People people;
  done(ask(people.bob, "me.set", {{"display_name", "Robert"}}));
  const auto found = [&](const std::string& query) {
    return done(ask(people.alice, "user.search", {{"query", query}}))["users"];
  };
  const Json bob = Json::parse(R"([{"name":"bob","display_name":"Robert"}])");
  CHECK(found("bo") == bob);
  CHECK(found("rob") == bob);
  CHECK(found("%").empty());
  CHECK(refused(ask(people.alice, "user.search", {{"query", " "}})) == "BAD_PAYLOAD");
  done(ask(people.bob, "me.set", {{"searchable", false}}));
  CHECK(found("bo").empty());
  CHECK(found("bob") == bob);
}

TEST_CASE("contacts: asked, accepted, declined, removed") {
  People people;
  CHECK(refused(ask(people.alice, "contact.request", user("nobody"))) == "USER_NOT_FOUND");
  CHECK(refused(ask(people.alice, "contact.request", user("alice"))) == "FORBIDDEN");
  CHECK(refused(ask(people.alice, "contact.accept", user("bob"))) == "NOT_FOUND");
  done(ask(people.alice, "contact.request", user("bob")));
  done(ask(people.alice, "contact.request", user("bob")));
  CHECK(people.contacts(people.alice) == Json::parse(R"([{"user":"bob","state":"requested"}])"));
  CHECK(people.contacts(people.bob) == Json::parse(R"([{"user":"alice","state":"asked_me"}])"));
  done(ask(people.bob, "contact.decline", user("alice")));
  CHECK(people.contacts(people.alice).empty());
  done(ask(people.alice, "contact.request", user("bob")));
  done(ask(people.bob, "contact.accept", user("alice")));
  done(ask(people.bob, "contact.accept", user("alice")));
  CHECK(people.contacts(people.alice) == Json::parse(R"([{"user":"bob","state":"friend"}])"));
  done(ask(people.alice, "contact.remove", user("bob")));
  done(ask(people.alice, "contact.remove", user("bob")));
  CHECK(people.contacts(people.bob).empty());
}

TEST_CASE("block: refuses what the blocked one writes, also before they ever spoke") {
  People people;
  done(ask(people.bob, "block.add", user("alice")));
  done(ask(people.bob, "block.add", user("alice")));
  CHECK(done(ask(people.bob, "block.list", Json::object()))["users"] ==
        Json::parse(R"(["alice"])"));
  CHECK(people.alice.send("bob", "hello?") == "refused BLOCKED");
  CHECK(people.bob.send("alice", "I may") == "stored 1");
  done(ask(people.bob, "block.remove", user("alice")));
  CHECK(people.alice.send("bob", "thanks") == "stored 2");
  done(ask(people.bob, "block.add", user("alice")));
  CHECK(people.alice.send("bob", "again") == "refused BLOCKED");
  // He cannot bring him into a room either, nor find him.
  done(ask(people.alice, "room.create", {{"room", "ops"}}));
  CHECK(done(ask(people.alice, "room.add", {{"room", "ops"}, {"users", {"bob"}}}))["refused"] ==
        Json::parse(R"([{"user":"bob","code":"BLOCKED"}])"));
  CHECK(done(ask(people.alice, "user.search", {{"query", "bob"}}))["users"].empty());
}

TEST_CASE("block: one's own messages may be taken back, and nothing else be done to them") {
  People people;
  CHECK(people.alice.send("bob", "one") == "stored 1");
  CHECK(people.alice.send("bob", "two") == "stored 2");
  CHECK(people.bob.send("alice", "three") == "stored 3");
  const auto about = [](int seq) { return Json{{"conv", "bob"}, {"seq", seq}}; };
  done(ask(people.bob, "block.add", user("alice")));
  done(ask(people.alice, "msg.delete", about(1)));
  done(ask(people.alice, "msg.delete", about(1)));
  CHECK(refused(ask(people.alice, "msg.delete", about(3))) == "BLOCKED");
  CHECK(refused(ask(people.alice, "msg.pin", about(2))) == "BLOCKED");
  done(ask(people.bob, "block.remove", user("alice")));
  done(ask(people.bob, "me.set", {{"write_to_me", "contacts"}}));
  done(ask(people.alice, "msg.delete", about(2)));
  CHECK(refused(ask(people.alice, "msg.delete", about(3))) == "FORBIDDEN");
  const Json left = done(ask(people.bob, "history", {{"conv", "alice"}}))["messages"];
  REQUIRE(left.size() == 3);
  CHECK(left[0]["deleted"] == true);
  CHECK(left[1]["deleted"] == true);
  CHECK(left[2]["deleted"] == false);
}

TEST_CASE("write_to_me, add_to_rooms: contacts only") {
  People people;
  CHECK(people.alice.send("bob", "before") == "stored 1");
  done(ask(people.bob, "me.set", {{"write_to_me", "contacts"}, {"add_to_rooms", "contacts"}}));
  CHECK(people.alice.send("bob", "stranger") == "refused FORBIDDEN");
  done(ask(people.alice, "room.create", {{"room", "ops"}}));
  const Json add{{"room", "ops"}, {"users", {"bob"}}};
  CHECK(done(ask(people.alice, "room.add", add))["refused"][0]["code"] == "FORBIDDEN");
  done(ask(people.alice, "contact.request", user("bob")));
  done(ask(people.bob, "contact.accept", user("alice")));
  CHECK(people.alice.send("bob", "friend") == "stored 2");
  CHECK(done(ask(people.alice, "room.add", add))["done"] == Json::parse(R"(["bob"])"));
}

TEST_CASE("conv.mute, conv.archive: one's own view of a conversation") {
  People people;
  CHECK(refused(ask(people.alice, "conv.mute", {{"conv", "nobody"}})) == "USER_NOT_FOUND");
  CHECK(refused(ask(people.alice, "conv.mute", {{"conv", "bob"}})) == "NOT_FOUND");
  CHECK(people.alice.send("bob", "hi") == "stored 1");
  done(ask(people.alice, "conv.mute",
           {{"conv", "bob"}, {"muted_until", "2030-01-01T00:00:00.000Z"}}));
  done(ask(people.alice, "conv.archive", {{"conv", "bob"}, {"archived", true}}));
  CHECK(people.instance.database().number(
            "SELECT count(*) FROM members m JOIN users u USING (user_id) WHERE u.name = 'alice'"
            " AND m.archived AND m.muted_until = '2030-01-01 00:00:00+00'") == 1);
  done(ask(people.alice, "conv.mute", {{"conv", "bob"}, {"muted_until", ""}}));
  CHECK(people.instance.database().number(
            "SELECT count(*) FROM members WHERE muted_until IS NOT NULL") == 0);
  people.instance.room("ops", {"bob"});
  CHECK(refused(ask(people.alice, "conv.archive", {{"conv", "ops"}, {"archived", true}})) ==
        "NOT_MEMBER");
}

TEST_CASE("requests: a token without the scope, and a method that there is not") {
  People people;
  Person sensor{"alice", people.instance.connect([&] {
                  auto login = people.instance.login("alice");
                  login.password = people.instance.token("alice", {.scope = 1});
                  return login;
                }())};
  sensor.listen({"re.json/+"});
  CHECK(refused(ask(sensor, "me.set", {{"about", "x"}})) == "FORBIDDEN");
  CHECK(refused(ask(sensor, "me.get", Json::object())) == "FORBIDDEN");
  CHECK(refused(ask(people.alice, "fly", Json::object())) == "UNKNOWN_METHOD");
  people.alice.publish("do.json/me.get/broken", "{");
  CHECK(refused(Json::parse(people.alice.expect_text("re.json/broken"))) == "BAD_PAYLOAD");
}

TEST_CASE("presence.get: who is online, and when who is not was last; for those who may know") {
  Instance instance{{"alice", "bob", "carol"}, {.config = "[presence]\ngrace_ms = 500\n"}};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+", "ack/+"});
  std::optional<Person> bob{instance.person("bob")};
  bob->listen({"inbox/+", "re.json/+"});
  const auto presence = [&] {
    return done(
        ask(alice, "presence.get", {{"users", {"bob", "carol", "nobody", "alice"}}}))["users"];
  };
  // She has nothing to do with bob yet, and listens to no inbox herself.
  CHECK(presence() == Json::parse(R"([{"user":"alice","online":false}])"));
  CHECK(alice.send("bob", "hi") == "stored 1");
  CHECK(presence() ==
        Json::parse(R"([{"user":"alice","online":false},{"user":"bob","online":true}])"));
  done(ask(*bob, "me.set", {{"last_seen_to", "nobody"}}));
  CHECK(presence().size() == 1);
  done(ask(*bob, "me.set", {{"last_seen_to", "everyone"}}));
  bob.reset();
  eventually("bob is offline", [&] {
    const auto now_is = presence();
    return now_is[1]["online"] == false && now_is[1].contains("last_seen");
  });
}

TEST_CASE("device.list: my named devices") {
  Instance instance{"alice"};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+"});
  CHECK(done(ask(alice, "device.list", Json::object()))["devices"].empty());
  std::optional<Person> phone{instance.device("alice", "phone")};
  phone->listen({"inbox/+"});
  phone->publish("got/alice", "0");
  instance.settle();
  const auto devices = [&] { return done(ask(alice, "device.list", Json::object()))["devices"]; };
  eventually("it confirms", [&] { return devices()[0]["confirms"] == true; });
  CHECK(devices()[0]["device"] == "phone");
  CHECK(devices()[0]["online"] == true);
  phone.reset();
  eventually("it was seen", [&] { return devices()[0].contains("last_seen"); });
  CHECK(devices()[0]["online"] == false);
}
