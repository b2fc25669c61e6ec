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
  Instance instance{"alice", "bob"};
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
    eventually("the phone is known",
               [&] { return database.number("SELECT count(*) FROM devices") == 1; });
  }
  gone();
  instance.person("bob").publish("read/alice", "1");
  instance.settle();
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
