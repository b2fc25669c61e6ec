// A device that says `got` gets everything, however slow it is and however little the broker keeps;
// what it does not confirm in time, it gets again.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/inbox_steps.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

TEST_CASE("redelivery: what is not confirmed comes again, so often and no more") {
  Instance instance({"alice", "bob", "carol"}, {.config = redeliver(3)});
  Person phone = confirming_phone(instance);
  send_range(instance, 2, 3);
  // Once live, then as often as configured, from the position on and in order.
  for (int time = 0; time < 4; ++time) {
    CAPTURE(time);
    expect_range(phone, 2, 3);
  }
  // One more would be due after another second. Carol's show that more than that has passed.
  Person witness = instance.device("carol", "phone");
  witness.listen({"inbox.json/+"});
  REQUIRE(witness.publish("got/alice", "0") == 0);
  REQUIRE(instance.person("alice").publish("send/carol", "hello") == 0);
  for (int time = 0; time < 4; ++time) REQUIRE(next_seq(witness) == 1);
  CHECK(seqs(instance, phone).empty());
  // Enough of that; what is new comes nevertheless.
  send_range(instance, 4, 4);
  expect_range(phone, 4, 4);
  confirm(instance, phone, 4);
  send_range(instance, 5, 5);
  expect_range(phone, 5, 5);
  confirm(instance, phone, 5);
  CHECK(seqs(instance, phone).empty());
}

TEST_CASE("redelivery: only the conversation that is behind comes again, from its position on") {
  Instance instance({"alice", "bob", "carol"}, {.config = redeliver(1)});
  Person phone = confirming_phone(instance);
  Person carol = instance.person("carol");
  carol.listen({"ack/+"});
  REQUIRE(carol.send("bob", "hello", "c1") == "stored 1");
  CHECK(Json::parse(phone.expect_text("inbox.json/carol"))["text"] == "hello");
  REQUIRE(phone.publish("got/carol", "1") == 0);
  send_range(instance, 2, 4);
  expect_range(phone, 2, 4);
  REQUIRE(phone.publish("got/alice", "3") == 0);
  expect_range(phone, 4, 4);
  instance.settle();
  for (const Publication& publication : phone.mqtt.drain()) {
    CHECK(publication.topic != phone.topic("inbox.json/carol"));
  }
}

TEST_CASE("redelivery: read counts as progress, and one's own messages are not waited for") {
  Instance instance({"alice", "bob"}, {.config = redeliver(2)});
  Person phone = confirming_phone(instance);
  Person tablet = instance.device("bob", "tablet");
  tablet.listen({"inbox.json/+"});
  REQUIRE(tablet.publish("got/alice", "1") == 0);
  phone.listen({"sent.json/+", "ack/+"});
  REQUIRE(phone.send("alice", "mine", "b1") == "stored 2");
  phone.expect("sent.json/alice");
  send_range(instance, 3, 3);
  expect_range(phone, 3, 3);
  REQUIRE(phone.publish("read/alice", "3") == 0);
  REQUIRE(phone.send("alice", "mine too", "b2") == "stored 4");
  phone.expect("sent.json/alice");
  // The tablet says nothing: by what it gets again one sees that the time has passed.
  for (int time = 0; time < 3; ++time) expect_range(tablet, 3, 3);
  instance.settle();
  for (const Publication& publication : phone.mqtt.drain()) {
    CHECK(publication.topic.find("alice") == std::string::npos);
  }
}

TEST_CASE("redelivery: a device that begins to confirm is sent again what lies beyond") {
  Instance instance({"alice", "bob"}, {.config = redeliver(1)});
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 5);
  expect_range(phone, 1, 5);
  REQUIRE(phone.publish("got/alice", "3") == 0);
  expect_range(phone, 4, 5);
}

TEST_CASE("redelivery: a got where nothing has been said yet makes a device confirm as well") {
  Instance instance{"alice", "bob"};
  Person phone = instance.device("bob", "phone");
  REQUIRE(phone.publish("got/alice", "0") == 0);
  eventually("it is known to confirm", [&] {
    return instance.database().number("SELECT count(*) FROM devices WHERE confirms") == 1;
  });
}

TEST_CASE("redelivery: a first got right behind the subscription ends automatic marks") {
  Instance instance({"alice", "bob"}, {.config = redeliver(100)});
  send_range(instance, 1, 2);
  ConnectOptions login = instance.device_login("bob", "phone");
  login.keepalive_s = 2;
  Person phone = instance.connected("bob", login);
  // Both at once: the server learns that the device confirms while it still looks what it is.
  phone.mqtt.publish_soon({.topic = phone.topic("got/alice"), .payload = "2"});
  phone.listen({"inbox.json/+"});
  send_range(instance, 3, 4);
  // Longer than 1.5 keep-alives, after which a device that never confirms would have it.
  for (int seq = 0, time = 0; time < 6; seq = next_seq(phone)) {
    REQUIRE(phone.mqtt.ping());
    time += seq == 4 ? 1 : 0;
  }
  CHECK(instance.database().number("SELECT max(got_seq) FROM device_marks") == 2);
}

TEST_CASE("redelivery: a worker that starts knows nothing of what was under way, and repeats it") {
  Instance instance{"alice", "bob"};
  Person phone = confirming_phone(instance);
  send_range(instance, 2, 4);
  expect_range(phone, 2, 4);
  instance.kill_worker();
  instance.start_worker();
  expect_range(phone, 2, 4);
  confirm(instance, phone, 4);
  send_range(instance, 5, 5);
  expect_range(phone, 5, 5);
}

TEST_CASE("window: a backlog waits for what is confirmed") {
  Instance instance({"alice", "bob"}, {.config = redeliver(100) + "unconfirmed_max = 20\n"});
  confirming_phone(instance).mqtt.disconnect();
  send_range(instance, 2, 100);
  Person phone = fresh_device(instance, "bob", "phone");
  phone.listen({"inbox.json/+"});
  REQUIRE(phone.publish("got/alice", "1") == 0);  // else it would be given more after a second
  // Not one more than may be on its way: the next ones are the same again.
  expect_range(phone, 2, 21);
  expect_range(phone, 2, 21);
  confirm(instance, phone, 21);
  take_all(phone, 100, 7, 21);
  send_range(instance, 101, 101);
  int seq = 0;
  while (seq != 101) seq = next_seq(phone);
}

TEST_CASE("window: three formats at once, and a got of less than half of what is on its way") {
  Instance instance({"alice", "bob"},
                    {.config = "[delivery]\nredeliver_after_ms = 600000\nunconfirmed_max = 120\n"});
  Person before = confirming_phone(instance);
  send_range(instance, 2, 20);
  expect_range(before, 2, 20);
  confirm(instance, before, 20);
  before.mqtt.disconnect();
  send_range(instance, 21, 150);
  Person phone = fresh_device(instance, "bob", "phone");
  phone.listen({"inbox/+", "inbox.json/+", "inbox.pb/+"});
  take_all(phone, 150, 35, 20);  // 21 to 60 come, of which 35 confirms 15
}

TEST_CASE("window: who confirms nothing before he has everything gets everything, too") {
  Instance instance({"alice", "bob"},
                    {.config = "[delivery]\nunconfirmed_max = 40\npaced_per_s = 200\n"});
  confirming_phone(instance).mqtt.disconnect();
  send_range(instance, 2, 100);
  Person phone = fresh_device(instance, "bob", "phone");
  phone.listen({"inbox.json/+"});
  expect_range(phone, 2, 100);
  confirm(instance, phone, 100);
  send_range(instance, 101, 102);
  expect_range(phone, 101, 102);
  CHECK(seqs(instance, phone).empty());
}

TEST_CASE("window: a device that falls behind is held back, and caught up with as it confirms") {
  Instance instance({"alice", "bob"}, {.config = "[delivery]\nunconfirmed_max = 20\n"});
  Person phone = confirming_phone(instance);
  Person watcher = instance.person("bob");  // an observer: everything, live
  watcher.listen({"inbox.json/+"});
  send_range(instance, 2, 60);
  expect_range(watcher, 2, 60);
  expect_range(phone, 2, 21);
  CHECK(seqs(instance, phone).empty());
  confirm(instance, phone, 21);
  take_all(phone, 60, 10, 21);
  send_range(instance, 61, 70);
  take_all(phone, 70, 1, 60);
}

TEST_CASE("window: what a slow device confirms is complete, whatever the broker drops") {
  InstanceOptions options;
  options.broker.lines = {"max_queued_messages 50"};
  options.config = redeliver(100) + "unconfirmed_max = 20\n";
  Instance instance({"alice", "bob"}, options);
  Person stalled = confirming_phone(instance);
  stalled.mqtt.withhold_acks();
  send_range(instance, 2, 150);
  stalled.mqtt.drop();
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  take_all(phone, 150, 5, 1);
  CHECK(instance.broker().log().find("being dropped") == std::string::npos);
}

TEST_CASE("window: a backlog that nobody confirms is paced, and arrives whole") {
  InstanceOptions options;
  options.broker.lines = {"max_queued_messages 100"};
  options.config = "[delivery]\nunconfirmed_max = 40\npaced_per_s = 400\n";
  Instance instance({"alice", "bob"}, options);
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  phone.mqtt.disconnect();
  send_range(instance, 1, 300);
  Person again = fresh_device(instance, "bob", "phone");
  again.listen({"inbox.json/+"});
  expect_range(again, 1, 150);
  send_range(instance, 301, 310);
  expect_range(again, 151, 310);
}
