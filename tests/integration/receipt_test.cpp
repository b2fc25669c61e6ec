// Event.receipt: senders are told how far the others have got and read.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/inbox_steps.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

Json next(Person& person, const std::string& conv) {
  return Json::parse(person.expect_text("event.json/" + conv));
}

Json receipt(const std::string& user, int got, int read) {
  return {{"user", user}, {"got_seq", got}, {"read_seq", read}};
}

}  // namespace

TEST_CASE("receipt: the sender hears how far the other one has got and read") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.device("bob", "phone");
  alice.listen({"ack/+", "event.json/+", "event.pb/+"});
  bob.listen({"inbox/+", "event.json/+", "ack/+"});
  CHECK(alice.send("bob", "one") == "stored 1");
  CHECK(alice.send("bob", "two") == "stored 2");
  bob.publish("got/alice", "1");
  const Json got = next(alice, "bob");
  CHECK(got["receipt"] == receipt("bob", 1, 0));
  CHECK(got["conv"] == "bob");
  CHECK(got["rev"] == 0);
  CHECK(alice.expect_text("event.pb/bob").find("bob") != std::string::npos);
  bob.publish("read/alice", "2");
  CHECK(next(alice, "bob")["receipt"] == receipt("bob", 2, 2));
  // Over nothing but one's own words nobody is told; over both at once he is.
  CHECK(bob.send("alice", "three") == "stored 3");
  CHECK(alice.send("bob", "four") == "stored 4");
  bob.publish("read/alice", "4");
  CHECK(next(alice, "bob")["receipt"] == receipt("bob", 4, 4));
  alice.publish("read/bob", "4");
  CHECK(next(bob, "alice")["receipt"] == receipt("alice", 4, 4));
}

TEST_CASE("receipt: one for each member of a room and move, and only to those who said it") {
  Instance instance{"alice", "bob", "carol", "dave"};
  instance.room("ops", {"alice", "bob", "carol", "dave"});
  Person alice = instance.person("alice");
  Person dave = instance.person("dave");
  Person bob = instance.person("bob");
  Person carol = instance.person("carol");
  alice.listen({"ack/+", "event.json/+"});
  dave.listen({"event.json/+"});
  for (int i = 1; i <= 20; ++i)
    CHECK(alice.send("ops", with_number("m", i)) == with_number("stored ", i));
  for (int i = 1; i <= 20; ++i) {
    bob.mqtt.publish_soon({.topic = bob.topic("read/ops"), .payload = std::to_string(i)});
  }
  REQUIRE(bob.mqtt.await_answers());
  carol.publish("got/ops", "20");
  int events = 0;
  for (Json of_bob, of_carol;
       of_bob != receipt("bob", 20, 20) || of_carol != receipt("carol", 20, 0);) {
    const Json told = next(alice, "ops")["receipt"];
    (told["user"] == "bob" ? of_bob : of_carol) = told;
    ++events;
  }
  CHECK(events <= 6);  // what is said within a moment is one
  CHECK(dave.mqtt.drain().empty());
}

TEST_CASE("receipt: everybody hears it whose messages a mark has passed, however many came later") {
  Instance instance{"alice", "bob", "carol", "dave"};
  instance.room("ops", {"alice", "bob", "carol", "dave"});
  Person alice = instance.person("alice");
  Person carol = instance.person("carol");
  Person dave = instance.person("dave");
  for (Person* person : {&alice, &carol, &dave}) person->listen({"ack/+", "event.json/+"});
  CHECK(alice.send("ops", "first of all") == "stored 1");
  for (int i = 2; i <= 300; ++i) {
    carol.mqtt.publish_soon({.topic = carol.topic("send/ops"), .payload = "more", .qos = 1});
  }
  CHECK(carol.send("ops", "last", "last") == "stored 301");
  instance.person("bob").publish("read/ops", "301");
  CHECK(next(alice, "ops")["receipt"] == receipt("bob", 301, 301));
  CHECK(next(carol, "ops")["receipt"] == receipt("bob", 301, 301));
  instance.settle();
  CHECK(dave.mqtt.drain().empty());  // has never said anything there
}

TEST_CASE("receipt: moves of which nobody is to be told keep nobody waiting") {
  constexpr int rooms = 4'000;
  Instance instance{"sensor", "bob", "carol", "dave", "erin"};
  auto& database = instance.database();
  database.query(
      "WITH fresh AS (SELECT nextval('conversation_ids') AS id, 'r' || n AS name"
      "               FROM generate_series(1, $1::int) AS n),"
      " named AS (INSERT INTO names (name, kind, id) SELECT name, 'room', id FROM fresh),"
      " head AS (INSERT INTO conversation_heads (conversation_id) SELECT id FROM fresh)"
      " INSERT INTO conversations (conversation_id, kind, name, title)"
      " SELECT id, 'room', name, name FROM fresh",
      {std::to_string(rooms)});
  database.query(
      "SELECT enter_room(c.conversation_id, u.user_id, 'member') FROM conversations c, users u"
      " WHERE u.name IN ('sensor', 'bob', 'erin')");
  Person sensor = instance.person("sensor");
  Person bob = instance.person("bob");
  Person carol = instance.person("carol");
  Person dave = instance.person("dave");
  Person erin = instance.person("erin");  // listens, but it is not hers that is read
  sensor.listen({"ack/+"});
  erin.listen({"event.json/+"});
  carol.listen({"ack/+", "event.json/+"});
  for (int i = 1; i <= rooms; ++i) {
    sensor.mqtt.publish_soon(
        {.topic = sensor.topic(with_number("send/r", i)), .payload = "21.5", .qos = 1});
  }
  REQUIRE(sensor.mqtt.await_answers());
  eventually("all of it is stored",
             [&] { return database.number("SELECT count(*) FROM messages") == rooms; });
  CHECK(carol.send("dave", "hello") == "stored 1");
  for (int i = 1; i <= rooms; ++i) {
    bob.mqtt.publish_soon({.topic = bob.topic(with_number("read/r", i)), .payload = "1", .qos = 1});
  }
  REQUIRE(bob.mqtt.await_answers());
  eventually("all of it is read", [&] {
    return database.number("SELECT count(*) FROM members WHERE read_seq = 1") >= rooms;
  });
  dave.publish("read/carol", "1");
  const Deadline soon{slowed(Milliseconds{5'000})};
  CHECK(Json::parse(carol.expect_text("event.json/dave", soon))["receipt"] ==
        receipt("dave", 1, 1));
  CHECK(erin.mqtt.drain().empty());
}

TEST_CASE("receipt: who was away hears it when he is back") {
  Instance instance{"alice", "bob"};
  {
    Person phone = fresh_device(instance, "alice", "phone");
    phone.listen({"ack/+", "inbox/+", "event.json/+"});
    CHECK(phone.send("bob", "hello") == "stored 1");
  }
  Person bob = instance.person("bob");
  bob.publish("read/alice", "1");
  instance.settle();
  Person phone = fresh_device(instance, "alice", "phone");
  phone.listen({"re.json/+", "inbox/+", "event.json/+"});
  CHECK(next(phone, "bob")["receipt"] == receipt("bob", 1, 1));
  done(ask(phone, "sync", Json::object()));
  CHECK(next(phone, "bob")["receipt"] == receipt("bob", 1, 1));
}

TEST_CASE("receipt: who was away hears it, also if nobody saw him go") {
  Instance instance{"alice", "bob"};
  auto& database = instance.database();
  {
    Person phone = fresh_device(instance, "alice", "phone");
    phone.listen({"ack/+", "inbox/+", "event.json/+"});
    CHECK(phone.send("bob", "hello") == "stored 1");
    eventually("the phone is known",
               [&] { return database.number("SELECT count(*) FROM devices") == 1; });
    instance.kill_worker();
  }
  database.query("UPDATE devices SET created_at = now() - interval '2 hours'");
  instance.start_worker();
  instance.person("bob").publish("read/alice", "1");
  instance.settle();
  database.query("UPDATE members SET cursor_at = now() - interval '1 hour' WHERE read_seq > 0");
  Person phone = fresh_device(instance, "alice", "phone");
  phone.listen({"inbox/+", "event.json/+"});
  CHECK(next(phone, "bob")["receipt"] == receipt("bob", 1, 1));
}

TEST_CASE("receipt: who was away hears what happened before it was noticed that he is gone") {
  Instance instance{"alice", "bob", "carol", "dave"};
  Person dave = instance.person("dave");
  dave.listen({"ack/+", "event.json/+"});
  CHECK(dave.send("carol", "hello") == "stored 1");
  auto& database = instance.database();
  std::string seen = "-infinity";
  const auto gone = [&] {
    const auto now = [&] {
      return database.value("SELECT COALESCE(max(last_seen_at), '-infinity') FROM devices");
    };
    eventually("it is written when the phone was seen", [&] { return now() != seen; });
    seen = now();
  };
  const auto read_before = [&](int seconds) {
    database.query(
        "UPDATE members SET cursor_at = $1::timestamptz - make_interval(secs => $2)"
        " WHERE read_seq > 0",
        {seen, std::to_string(seconds)});
  };
  {
    Person phone = fresh_device(instance, "alice", "phone");
    phone.listen({"ack/+", "inbox/+", "event.json/+"});
    CHECK(phone.send("bob", "hello") == "stored 1");
    // When it is told what happens now, it has been told everything from before.
    CHECK(phone.send("carol", "hello") == "stored 1");
    instance.person("carol").publish("read/alice", "1");
    CHECK(next(phone, "carol")["receipt"] == receipt("carol", 1, 1));
  }
  gone();
  instance.person("bob").publish("read/alice", "1");
  instance.settle();
  // What is told as it happens has been told: nobody of alice's is there.
  instance.person("carol").publish("read/dave", "1");
  CHECK(next(dave, "carol")["receipt"] == receipt("carol", 1, 1));
  // With a keep-alive of 60 s a dead connection is there for 90 s more; a minute is for the clocks.
  read_before(160);
  {
    Person phone = fresh_device(instance, "alice", "phone");
    phone.listen({"inbox/+", "event.json/+"});
    instance.settle();
    CHECK(phone.mqtt.drain().empty());
  }
  gone();
  read_before(140);
  Person phone = fresh_device(instance, "alice", "phone");
  phone.listen({"inbox/+", "event.json/+"});
  CHECK(next(phone, "bob")["receipt"] == receipt("bob", 1, 1));
}

TEST_CASE("receipt: nobody who is blocked hears that he is read") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+", "event.json/+"});
  bob.listen({"re.json/+", "ack/+"});
  CHECK(alice.send("bob", "hello") == "stored 1");
  CHECK(alice.send("carol", "hello") == "stored 1");
  done(ask(bob, "block.add", {{"user", "alice"}}));
  bob.publish("read/alice", "1");
  instance.person("carol").publish("read/alice", "1");
  CHECK(next(alice, "carol")["receipt"] == receipt("carol", 1, 1));
  CHECK(alice.mqtt.drain().empty());
}

TEST_CASE("receipt: who is blocked does not hear it later either") {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"re.json/+"});
  CHECK(alice.send("bob", "hello") == "stored 1");
  CHECK(alice.send("carol", "hello") == "stored 1");
  done(ask(bob, "block.add", {{"user", "alice"}}));
  bob.publish("read/alice", "1");
  instance.person("carol").publish("read/alice", "1");
  Person phone = instance.device("alice", "phone");
  phone.listen({"re.json/+", "event.json/+", "inbox.json/+"});
  CHECK(refused(ask(phone, "receipts", {{"conv", "bob"}, {"seq", 1}})) == "BLOCKED");
  done(ask(phone, "sync", Json::object()));
  CHECK(next(phone, "carol")["receipt"] == receipt("carol", 1, 1));
  CHECK(phone.mqtt.drain().empty());
}

TEST_CASE("receipts: who has blocked somebody is not told what that one has read either") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"re.json/+", "ack/+"});
  CHECK(alice.send("bob", "hello") == "stored 1");
  bob.publish("read/alice", "1");
  const Json asked{{"conv", "bob"}, {"seq", 1}};
  eventually("it is read", [&] {
    return done(ask(alice, "receipts", asked))["read"] == Json::parse(R"(["bob"])");
  });
  done(ask(alice, "block.add", {{"user", "bob"}}));
  CHECK(done(ask(alice, "receipts", asked)) == Json::parse(R"({"got":[],"read":[],"pending":[]})"));
}
