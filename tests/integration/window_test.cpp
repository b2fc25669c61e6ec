// How much is on its way to a device that says `got`: never more than the broker keeps, and never
// nothing for ever.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/inbox_steps.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// Nothing is sent again while the test runs.
std::string window(int packets) {
  return with_number("[delivery]\nredeliver_after_ms = 600000\nunconfirmed_max = ", packets) + "\n";
}

/// Carol writes to bob, who has read none of it.
void send_from_carol(Instance& instance, int first, int last) {
  Person carol = instance.person("carol");
  carol.listen({"ack/+"});
  for (int i = first; i <= last; ++i) {
    REQUIRE(carol.send("bob", with_number("c", i)) == with_number("stored ", i));
  }
}

void expect_from_carol(Person& person, int first, int last) {
  for (int i = first; i <= last; ++i) {
    REQUIRE(Json::parse(person.expect_text("inbox.json/carol"))["seq"] == i);
  }
}

}  // namespace

TEST_CASE("window: a conversation that a device never confirms does not close it for the others") {
  Instance instance({"alice", "bob", "carol"}, {.config = redeliver(1) + "unconfirmed_max = 40\n"});
  Person phone = confirming_phone(instance);
  send_from_carol(instance, 1, 38);
  expect_from_carol(phone, 1, 38);
  expect_from_carol(phone, 1, 38);
  // Two are all the room that there is, and too little to go on for.
  send_range(instance, 2, 30);
  take_all(phone, 30, 1, 1);
  // And once more, with what else carol has said meanwhile.
  send_from_carol(instance, 39, 60);
  send_range(instance, 31, 60);
  take_all(phone, 60, 2, 30);
}

TEST_CASE("window: a device that confirms nothing is not given one after the other beyond it") {
  Instance instance({"alice", "bob"}, {.config = window(20)});
  Person phone = confirming_phone(instance);
  send_range(instance, 2, 21);
  expect_range(phone, 2, 21);
  for (int seq = 22; seq <= 30; ++seq) {
    CHECK(seqs(instance, phone).empty());
    send_range(instance, seq, seq);
  }
  CHECK(seqs(instance, phone).empty());
  confirm(instance, phone, 15);
  expect_range(phone, 22, 30);
  confirm(instance, phone, 30);
  send_range(instance, 31, 31);
  expect_range(phone, 31, 31);
}

TEST_CASE("window: what is sent again counts beside what the broker still holds") {
  InstanceOptions options;
  options.broker.lines = {"max_queued_messages 50"};
  options.config = redeliver(100) + "unconfirmed_max = 20\n";
  Instance instance({"alice", "bob"}, options);
  Person stalled = confirming_phone(instance);
  Person tablet = instance.device("bob", "tablet");
  tablet.listen({"inbox.json/+"});
  stalled.mqtt.withhold_acks();
  send_range(instance, 2, 60);
  take_all(tablet, 59, 5, 1);
  REQUIRE(tablet.publish("got/alice", "59") == 0);
  // What it does not confirm comes again and again: by that one sees that the time has passed.
  for (int time = 0; time < 9; ++time) {
    while (next_seq(tablet) != 60) {
    }
  }
  CHECK(instance.broker().log().find("being dropped") == std::string::npos);
  stalled.mqtt.drop();
  Person phone = instance.device("bob", "phone");
  take_all(phone, 60, 5, 1);
}

TEST_CASE("window: a got beyond the newest message, while it is full, means the newest") {
  Instance instance({"alice", "bob", "carol"}, {.config = window(20)});
  Person phone = confirming_phone(instance);
  send_from_carol(instance, 1, 1);
  expect_from_carol(phone, 1, 1);
  send_range(instance, 2, 40);
  expect_range(phone, 2, 20);
  CHECK(seqs(instance, phone).empty());
  REQUIRE(phone.publish("got/carol", "4294967295") == 0);
  eventually("it is written", [&] {
    return instance.database().number(
               "SELECT count(*) FROM device_marks d JOIN conversation_heads h USING"
               " (conversation_id) WHERE d.got_seq = 1 AND h.last_seq = 1") == 1;
  });
  send_from_carol(instance, 2, 5);
  confirm(instance, phone, 20);
  expect_range(phone, 21, 40);
  confirm(instance, phone, 40);
  expect_from_carol(phone, 2, 5);
}

TEST_CASE("window: nothing is left out for a device that is connected and confirms") {
  Instance instance({"alice", "bob"}, {.config = "[limits]\nsync_messages_max = 10\n"});
  Person phone = confirming_phone(instance);
  phone.listen({"event.json/+"});
  send_range(instance, 2, 40);
  expect_range(phone, 2, 40);
  // The new worker does not know what has been sent, and sends all that is not confirmed.
  instance.kill_worker();
  instance.start_worker();
  expect_range(phone, 2, 40);
  confirm(instance, phone, 40);
  for (const Publication& publication : phone.mqtt.drain()) {
    CHECK(publication.topic.find("event.json") == std::string::npos);
  }
}

TEST_CASE("window: what one says meanwhile does not end one's own backlog") {
  // A session without a device begins behind what its user has got, and who writes has read what he
  // answers.
  Instance instance({"alice", "bob"}, {.config = window(20) + "paced_per_s = 20\n"});
  send_range(instance, 1, 60);
  Person bob = instance.person("bob");
  bob.listen({"ack/+", "inbox.json/+"});
  expect_range(bob, 1, 10);  // the others wait for their turn
  CHECK(bob.send("alice", "one moment") == "stored 61");
  eventually("what he has said is read", [&] {
    return instance.database().number(
               "SELECT count(*) FROM members m JOIN users u USING (user_id) WHERE u.name = 'bob'"
               " AND m.read_seq = 61 AND m.got_seq < 60") == 1;
  });
  // Another session of his, which is up to date already, does not change that.
  Person other = instance.person("bob");
  other.listen({"ack/+", "inbox.json/carol"});
  CHECK(other.send("alice", "still reading") == "stored 62");
  expect_range(bob, 11, 60);
}

TEST_CASE("window: what is sent from elsewhere is copied to a device that is held back") {
  Instance instance({"alice", "bob", "carol"}, {.config = window(20)});
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/alice", "sent.json/+"});
  send_range(instance, 1, 1);
  expect_range(phone, 1, 1);
  confirm(instance, phone, 1);
  send_range(instance, 2, 60);  // more than it may have on its way: it is held back
  expect_range(phone, 2, 21);
  Person tablet = instance.person("bob");
  tablet.listen({"ack/+"});
  for (int i = 1; i <= 30; ++i) {
    CHECK(tablet.send("carol", with_number("hello ", i)) == with_number("stored ", i));
  }
  instance.settle();
  CHECK(phone.mqtt.drain().empty());
  int copies = 0;
  for (int seq = 22; seq <= 60 || copies < 30;) {
    if (seq == 22 || seq == 42) phone.publish("got/alice", std::to_string(seq - 1));
    const auto publication = phone.mqtt.expect("#");
    const Json message = Json::parse(publication.payload);
    if (publication.topic == phone.topic("sent.json/carol")) {
      CHECK(message["seq"] == ++copies);
    } else {
      CHECK(message["seq"] == seq++);
    }
  }
  CHECK(copies == 30);
}

TEST_CASE("window: who left before he was told all that he had missed is told it the next time") {
  Instance instance({"alice", "bob"}, {.config = window(20)});
  auto& database = instance.database();
  const auto told_until = [&] { return database.value("SELECT told_until FROM devices"); };
  const auto leave = [&](Person& phone) {
    const std::string before = database.value("SELECT last_seen_at FROM devices");
    phone.mqtt.disconnect();
    eventually("it is written that he has left",
               [&] { return database.value("SELECT last_seen_at FROM devices") != before; });
  };
  Person phone = fresh_device(instance, "bob", "phone");
  phone.listen({"inbox.json/+", "event.json/+"});
  send_range(instance, 1, 1);
  expect_range(phone, 1, 1);
  confirm(instance, phone, 1);
  leave(phone);
  const std::string first = told_until();
  CHECK(!first.empty());
  send_range(instance, 2, 60);
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"inbox.json/+", "event.json/+"});
  expect_range(again, 2, 21);
  leave(again);
  CHECK(told_until() == first);
  Person at_last = fresh_device(instance, "bob", "phone");
  at_last.listen({"inbox.json/+", "event.json/+"});
  for (int seq = 2; seq <= 60; ++seq) {
    expect_range(at_last, seq, seq);
    at_last.publish("got/alice", std::to_string(seq));
  }
  confirm(instance, at_last, 60);
  leave(at_last);
  CHECK(told_until() != first);
}

TEST_CASE("window: who holds whatever there is does not hold what comes after") {
  Instance instance({"alice", "bob"}, {.config = window(20)});
  send_range(instance, 1, 1);
  for (int seq = 1; seq <= 10; ++seq) {
    Person phone = fresh_device(instance, "bob", "phone");
    phone.listen({"inbox.json/alice"});
    expect_range(phone, seq, seq);
    REQUIRE(phone.publish("got/alice", "4294967295") == 0);
    phone.mqtt.disconnect();
    send_range(instance, seq + 1, seq + 1);
  }
}
