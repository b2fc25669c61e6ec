// What a device missed, it gets: all of it, in order, then what is new.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/inbox_steps.hpp"

using namespace parley::test;
using Json = nlohmann::json;

TEST_CASE("backlog: a device that was away gets what it missed once, in order, then live") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 3);
  expect_range(phone, 1, 3);
  confirm(instance, phone, 3);
  phone.mqtt.disconnect();
  send_range(instance, 4, 60);
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"inbox.json/+"});
  expect_range(again, 4, 60);
  send_range(instance, 61, 62);
  expect_range(again, 61, 62);
  CHECK(seqs(instance, again).empty());
}

TEST_CASE("backlog: a persistent session that comes back without SUBSCRIBE gets it once") {
  Instance instance{"alice", "bob"};
  {
    Person phone = instance.device("bob", "phone");
    phone.listen({"inbox.json/+"});
    send_range(instance, 1, 2);
    expect_range(phone, 1, 2);
    confirm(instance, phone, 2);
    phone.mqtt.disconnect();
  }
  send_range(instance, 3, 40);
  Person again = instance.device("bob", "phone");
  REQUIRE(again.mqtt.session_present());
  expect_range(again, 3, 40);
  send_range(instance, 41, 41);
  expect_range(again, 41, 41);
  CHECK(seqs(instance, again).empty());
}

TEST_CASE("backlog: what a device missed does not go to the others") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  Person tablet = instance.device("bob", "tablet");
  phone.listen({"inbox.json/+"});
  tablet.listen({"inbox.json/+"});
  send_range(instance, 1, 1);
  expect_range(phone, 1, 1);
  expect_range(tablet, 1, 1);
  confirm(instance, phone, 1);
  phone.mqtt.disconnect();
  send_range(instance, 2, 5);
  expect_range(tablet, 2, 5);
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"inbox.json/+"});
  expect_range(again, 2, 5);
  CHECK(seqs(instance, tablet).empty());
}

TEST_CASE("backlog: nothing overtakes it while others go on writing") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  phone.mqtt.disconnect();
  send_range(instance, 1, 300);
  Person alice = instance.person("alice");
  Person again = fresh_device(instance, "bob", "phone");
  for (int i = 301; i <= 500; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob"), .payload = with_number("m", i)});
    if (i == 320) again.listen({"inbox.json/+"});
  }
  REQUIRE(alice.mqtt.await_answers());
  expect_range(again, 1, 500);
}

TEST_CASE("backlog: a new named device begins at what the user has got") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 5);
  expect_range(phone, 1, 5);
  confirm(instance, phone, 3);
  Person tablet = instance.device("bob", "tablet");
  tablet.listen({"inbox.json/+"});
  expect_range(tablet, 4, 5);
  send_range(instance, 6, 6);
  expect_range(tablet, 6, 6);
}

TEST_CASE("backlog: without named devices an unnamed session gets what lies after got") {
  Instance instance{"alice", "bob"};
  send_range(instance, 1, 3);
  {
    Person bob = instance.person("bob");
    bob.listen({"inbox.json/+"});
    expect_range(bob, 1, 3);
    confirm(instance, bob, 2);
  }
  Person bob = instance.person("bob");
  bob.listen({"inbox.json/+"});
  expect_range(bob, 3, 3);
  send_range(instance, 4, 4);
  expect_range(bob, 4, 4);
}

TEST_CASE("backlog: beside a named device an unnamed session sees live messages only") {
  Instance instance{"alice", "bob"};
  {
    Person phone = instance.device("bob", "phone");
    phone.listen({"inbox.json/+"});
    phone.mqtt.disconnect();
  }
  send_range(instance, 1, 3);
  Person observer = instance.person("bob");
  observer.listen({"inbox.json/+"});
  send_range(instance, 4, 4);
  expect_range(observer, 4, 4);
  CHECK(seqs(instance, observer).empty());
  Person phone = fresh_device(instance, "bob", "phone");
  phone.listen({"inbox.json/+"});
  expect_range(phone, 1, 4);
}

TEST_CASE("backlog: more than the limit is cut to the newest, after an event that says where") {
  Instance instance({"alice", "bob"}, {.config = "[limits]\nsync_messages_max = 10\n"});
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+", "event.json/+"});
  phone.mqtt.disconnect();
  send_range(instance, 1, 25);
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"event.json/+", "inbox.json/+"});
  const Publication first = again.mqtt.expect_that("truncated", [](const Publication& p) {
    return p.payload.find("truncated") != p.payload.npos;
  });
  const Json event = Json::parse(first.payload);
  CHECK(first.topic == again.topic("event.json/alice"));
  CHECK(event["conv"] == "alice");
  CHECK(event["truncated"] == Json{{"from_seq", 16}});
  expect_range(again, 16, 25);
  send_range(instance, 26, 26);
  expect_range(again, 26, 26);
  CHECK(seqs(instance, again).empty());
}

TEST_CASE("backlog: rooms and people alike, each in its own order") {
  Instance instance{"alice", "bob", "carol"};
  instance.room("ops", {"alice", "bob", "carol"});
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox/+"});
  phone.mqtt.disconnect();
  Person alice = instance.person("alice");
  Person carol = instance.person("carol");
  alice.listen({"ack/+"});
  carol.listen({"ack/+"});
  for (int i = 1; i <= 20; ++i) {
    alice.send("ops", with_number("r", i));
    carol.send("bob", with_number("c", i));
  }
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"inbox/+"});
  for (int i = 1; i <= 20; ++i) {
    REQUIRE(again.expect_text("inbox/ops") == with_number("alice: r", i));
    REQUIRE(again.expect_text("inbox/carol") == with_number("c", i));
  }
}

TEST_CASE("backlog: it survives a restart of broker and worker") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  phone.mqtt.disconnect();
  send_range(instance, 1, 5);
  instance.stop_worker();
  instance.broker().kill();
  instance.broker().start();
  instance.start_worker();
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"inbox.json/+"});
  expect_range(again, 1, 5);
}

TEST_CASE("backlog: got says who has what, also for the user as a whole") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  Person tablet = instance.device("bob", "tablet");
  phone.listen({"inbox.json/+"});
  tablet.listen({"inbox.json/+"});
  send_range(instance, 1, 4);
  expect_range(phone, 1, 4);
  expect_range(tablet, 1, 4);
  confirm(instance, phone, 4);
  REQUIRE(tablet.publish("got/alice", "2") == 0);
  tablet.mqtt.disconnect();
  eventually("the tablet's mark is stored", [&] {
    return instance.database().number(
               "SELECT count(*) FROM device_marks WHERE device = 'tablet' AND got_seq = 2") == 1;
  });
  CHECK(instance.database().number("SELECT got_seq FROM members m JOIN users u USING (user_id)"
                                   " WHERE u.name = 'bob'") == 4);
  Person again = fresh_device(instance, "bob", "tablet");
  again.listen({"inbox.json/+"});
  expect_range(again, 3, 4);
}

TEST_CASE("backlog: a got beyond the last message does not swallow later ones") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 2);
  expect_range(phone, 1, 2);
  REQUIRE(phone.publish("got/alice", "4000000000") == 0);
  REQUIRE(phone.publish("read/alice", "4000000000") == 0);
  phone.mqtt.disconnect();
  // It means the end of the conversation when it is written: 3 and 4 must not be there yet.
  eventually("both are written", [&] {
    return instance.database().number("SELECT count(*) FROM members WHERE read_seq = 2") == 1 &&
           instance.database().number("SELECT count(*) FROM device_marks WHERE got_seq = 2") == 1;
  });
  send_range(instance, 3, 4);
  CHECK(instance.database().number("SELECT max(got_seq) FROM members") <= 4);
  CHECK(instance.database().number("SELECT max(read_seq) FROM members") <= 4);
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"inbox.json/+"});
  expect_range(again, 3, 4);
}

TEST_CASE("backlog: cursors never go back") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 5);
  expect_range(phone, 1, 5);
  REQUIRE(phone.publish("read/alice", "4") == 0);
  confirm(instance, phone, 4);  // read implies got
  REQUIRE(phone.publish("got/alice", "1") == 0);
  REQUIRE(phone.publish("read/alice", "2") == 0);
  confirm(instance, phone, 5);
  CHECK(instance.database().number("SELECT m.read_seq FROM members m JOIN users u USING (user_id)"
                                   " WHERE u.name = 'bob'") == 4);
}

TEST_CASE("backlog: a device that stops taking loses nothing") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  phone.mqtt.withhold_acks();
  send_range(instance, 1, 100);
  expect_range(phone, 1, 10);
  phone.mqtt.drop();
  send_range(instance, 101, 110);
  Person again = instance.device("bob", "phone");
  // At least once, in order: what the broker repeats may come twice.
  int last = 0;
  while (last < 110) {
    const int seq = next_seq(again);
    REQUIRE(seq <= last + 1);
    last = std::max(last, seq);
  }
}

TEST_CASE("backlog: a device that subscribes again as it comes back gets it without gaps") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 2);
  expect_range(phone, 1, 2);
  confirm(instance, phone, 2);
  phone.mqtt.disconnect();
  send_range(instance, 3, 30);
  Person again = instance.device("bob", "phone");
  again.listen({"inbox.json/+"});
  int last = 2;
  while (last < 30) {
    const int seq = next_seq(again);
    REQUIRE(seq <= last + 1);
    REQUIRE(seq > 2);
    last = std::max(last, seq);
  }
}

TEST_CASE("backlog: an observer gets what is stored from the moment when he subscribed") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 1);
  expect_range(phone, 1, 1);
  // While a mark cannot be written, the worker cannot find out that he only observes.
  Database other{instance.database_uri()};
  other.query("BEGIN");
  other.query("LOCK TABLE device_marks IN EXCLUSIVE MODE");
  REQUIRE(phone.publish("got/alice", "1") == 0);
  instance.settle();
  Person observer = instance.person("bob");
  observer.listen({"inbox.json/+"});
  send_range(instance, 2, 3);
  other.query("COMMIT");
  expect_range(observer, 2, 3);
  send_range(instance, 4, 4);
  expect_range(observer, 4, 4);
}

TEST_CASE(
    "backlog: a message that the database refuses again and again keeps nobody from catching up") {
  Instance instance{"alice", "bob"};
  std::vector<Person> friends;
  for (int i = 0; i < 6; ++i) {
    instance.user(with_number("friend", i));
    friends.push_back(instance.person(with_number("friend", i)));
    friends.back().listen({"ack/+"});
    REQUIRE(friends.back().send("bob", "hello", "first") == "stored 1");
  }
  instance.database().query(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      " IF NEW.body = 'poison' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'XX000'; END IF;"
      " RETURN NEW; END $$");
  instance.database().query(
      "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse()");
  Person alice = instance.person("alice");
  REQUIRE(alice.publish("send/bob", "poison") == 0);
  eventually("its lane has begun to try it again",
             [&] { return instance.worker().log().find("XX000") != std::string::npos; });
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  for (int i = 0; i < 6; ++i)
    CHECK(Json::parse(phone.expect_text("inbox.json/+"))["text"] == "hello");
  // Some conversations are in the other lane: what is new there comes live.
  for (auto& person : friends) REQUIRE(person.publish("send/bob/second", "again") == 0);
  CHECK(Json::parse(phone.expect_text("inbox.json/+"))["text"] == "again");
}

TEST_CASE("backlog: a conversation that has lost its head keeps nobody from catching up") {
  Instance instance{"alice", "bob"};
  std::vector<Person> friends;
  for (int i = 0; i < 6; ++i) {
    instance.user(with_number("friend", i));
    friends.push_back(instance.person(with_number("friend", i)));
    friends.back().listen({"ack/+"});
    REQUIRE(friends.back().send("bob", "hello", "first") == "stored 1");
  }
  instance.database().query(
      "DELETE FROM conversation_heads WHERE conversation_id ="
      " (SELECT m.conversation_id FROM messages m JOIN users u ON u.user_id = m.sender_id"
      "  WHERE u.name = 'friend0')");
  // While the lanes wait for the table, one message of each friend comes: they are one batch then.
  Database other{instance.database_uri()};
  other.query("BEGIN");
  other.query("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE");
  for (int i = 4; i < 6; ++i) {
    REQUIRE(friends[static_cast<std::size_t>(i)].publish("send/bob/second", "again") == 0);
  }
  eventually("both lanes wait", [&] {
    return instance.database().number("SELECT count(*) FROM pg_locks WHERE NOT granted") == 2;
  });
  for (int i = 0; i < 4; ++i) {
    REQUIRE(friends[static_cast<std::size_t>(i)].publish("send/bob/second", "again") == 0);
  }
  other.query("COMMIT");
  eventually("its lane has found out", [&] {
    return instance.worker().log().find("outcomes are missing") != std::string::npos;
  });
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  for (int i = 1; i < 6; ++i) {
    const std::string conv = with_number("inbox.json/friend", i);
    CHECK(Json::parse(phone.expect_text(conv))["seq"] == 1);
    CHECK(Json::parse(phone.expect_text(conv))["seq"] == 2);
  }
  // In the other lane.
  REQUIRE(friends[1].publish("send/bob/third", "once more") == 0);
  CHECK(Json::parse(phone.expect_text("inbox.json/friend1"))["seq"] == 3);
}

TEST_CASE("backlog: what a new device sends does not move where it begins") {
  Instance instance{"alice", "bob"};
  // It becomes known only after its own message is stored.
  instance.database().query(
      "CREATE FUNCTION not_yet() RETURNS trigger LANGUAGE plpgsql AS"
      " $$BEGIN RAISE 'not yet'; END$$");
  instance.database().query(
      "CREATE TRIGGER not_yet BEFORE INSERT ON devices FOR EACH ROW EXECUTE FUNCTION not_yet()");
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+", "ack/+"});
  send_range(instance, 1, 3);
  REQUIRE(phone.send("alice", "mine", "b1") == "stored 4");
  eventually("it is marked as read, or cannot be yet", [&] {
    return instance.worker().log().find("event=cursors_failed") != std::string::npos ||
           instance.database().number("SELECT max(read_seq) FROM members") == 4;
  });
  instance.database().query("DROP TRIGGER not_yet ON devices");
  expect_range(phone, 1, 3);
  eventually("it is marked as read",
             [&] { return instance.database().number("SELECT max(read_seq) FROM members") == 4; });
}

TEST_CASE("backlog: what another device has got does not move where a new one begins") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 3);
  expect_range(phone, 1, 3);
  // The watch becomes known only after the phone has said what it holds.
  instance.database().query(
      "CREATE FUNCTION not_yet() RETURNS trigger LANGUAGE plpgsql AS"
      " $$BEGIN IF NEW.device = 'watch' THEN RAISE 'not yet'; END IF; RETURN NEW; END$$");
  instance.database().query(
      "CREATE TRIGGER not_yet BEFORE INSERT ON devices FOR EACH ROW EXECUTE FUNCTION not_yet()");
  Person watch = instance.device("bob", "watch");
  watch.listen({"inbox.json/+"});
  REQUIRE(phone.publish("got/alice", "3") == 0);
  eventually("it is marked as got, or cannot be yet", [&] {
    return instance.worker().log().find("event=cursors_failed") != std::string::npos ||
           instance.database().number("SELECT max(got_seq) FROM members") == 3;
  });
  instance.database().query("DROP TRIGGER not_yet ON devices");
  expect_range(watch, 1, 3);
}
