// The broker's other users: they notice nothing, and see nothing.
#include <doctest/doctest.h>

#include "tests/support/instance.hpp"

using namespace parley::test;

namespace {

InstanceOptions with_operator() {
  return {.broker = {.acl_lines = {"user lamp", "topic readwrite home/#", "user operator",
                                   "topic readwrite #", "topic readwrite $SYS/#",
                                   "topic readwrite $CONTROL/#", "topic readwrite $im/#",
                                   "user bridge", "topic readwrite #"},
                     .passwords = {{"lamp", "pw"}, {"operator", "pw"}, {"bridge", "pw"}}}};
}

ConnectOptions device(const std::string& name, int version = 4) {
  return {.client_id = name + "-1", .username = name, .password = "pw", .version = version};
}

}  // namespace

TEST_CASE("coexistence: password_file and acl_file work as before") {
  Instance instance({"alice"}, with_operator());
  MqttClient lamp = instance.connect(device("lamp"));
  MqttClient admin = instance.connect(device("operator", 5));
  CHECK(lamp.subscribe("home/#") == 1);
  CHECK(admin.subscribe("#") == 1);
  CHECK(lamp.publish("home/lamp", "on", 0) == 0);
  CHECK(lamp.expect_text("home/lamp") == "on");
  CHECK(admin.expect_text("home/lamp") == "on");
  CHECK(lamp.publish("home/lamp", "off", 2) == 0);
  CHECK(lamp.expect_text("home/lamp") == "off");
  CHECK(lamp.publish({.topic = "home/kept", .payload = "yes", .retain = true}) == 0);
  MqttClient late = instance.connect({.client_id = "l2", .username = "lamp", .password = "pw"});
  late.subscribe("home/kept");
  CHECK(late.expect("home/kept").retain);
  // The ACL still says no.
  CHECK(lamp.publish("garden/lamp", "on") == 0);
  CHECK(lamp.subscribe("garden/#") == 1);  // as Mosquitto does: granted, never served
  CHECK(admin.publish("garden/lamp", "on") == 0);
  CHECK(admin.publish("home/end", "1") == 0);
  lamp.expect("home/end");
  for (const Publication& publication : lamp.drain()) CHECK(publication.topic != "garden/lamp");
  CHECK(instance.try_login({.client_id = "x", .username = "lamp", .password = "wrong"}) == 5);
}

TEST_CASE("coexistence: without an acl_file, foreign_acl allow keeps everything open but Parley") {
  Instance instance({"alice", "bob"}, {.broker = {.plugin_options = {"foreign_acl allow"},
                                                  .passwords = {{"lamp", "pw"}}}});
  MqttClient lamp = instance.connect(device("lamp", 5));
  CHECK(lamp.subscribe("#") == 1);
  CHECK(lamp.publish("any/where", "on") == 0);
  CHECK(lamp.expect_text("any/where") == "on");
  CHECK(lamp.publish("im/u/alice/send/bob", "forged") == 0x87);
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "secret") == "stored 1");
  instance.settle();
  for (const Publication& publication : lamp.drain()) {
    CAPTURE(publication.topic);
    CHECK_FALSE(publication.topic.starts_with("im/u/"));
    CHECK_FALSE(publication.topic.starts_with("$"));
  }
}

TEST_CASE("coexistence: sessions, wills and user properties of others pass through unchanged") {
  Instance instance({"alice"}, with_operator());
  ConnectOptions persistent = device("lamp", 5);
  persistent.clean = false;
  persistent.session_expiry_s = 600;
  MqttClient lamp = instance.connect(persistent);
  CHECK(lamp.subscribe("home/#") == 1);
  lamp.disconnect();
  ConnectOptions other = device("operator", 5);
  other.will = Will{.topic = "home/will", .payload = "gone"};
  MqttClient admin = instance.connect(other);
  CHECK(admin.publish({.topic = "home/x",
                       .payload = "kept",
                       .user_properties = {{"k", "v"}},
                       .response_topic = "home/answer",
                       .correlation_data = "c"}) == 0);
  admin.drop();
  MqttClient again = instance.connect(persistent);
  CHECK(again.session_present());
  const Publication kept = again.expect("home/x");
  CHECK(kept.user_property("k") == "v");
  CHECK(kept.response_topic == "home/answer");
  CHECK(kept.correlation_data == "c");
  CHECK(again.expect_text("home/will") == "gone");
}

TEST_CASE("coexistence: an operator who may read and write everything gets nothing of Parley") {
  Instance instance({"alice", "bob"}, with_operator());
  MqttClient admin = instance.connect(device("operator"));
  admin.subscribe(
      {"#", "im/#", "im/u/bob/#", "$im/#", "$CONTROL/#", "$share/x/im/u/bob/#", "+/+/#"});
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox/+", "err"});
  CHECK(alice.send("bob", "secret") == "stored 1");
  CHECK(bob.expect_text("inbox/alice") == "secret");
  instance.settle();
  for (const Publication& publication : admin.drain()) {
    CAPTURE(publication.topic);
    CHECK_FALSE(publication.topic.starts_with("im/u/"));
    CHECK_FALSE(publication.topic.starts_with("$"));
  }
}

TEST_CASE("coexistence: an operator who may write everything cannot speak for anybody") {
  Instance instance({"alice", "bob"}, with_operator());
  Person bob = instance.person("bob");
  bob.listen({"#"});
  for (const int version : {4, 5}) {
    MqttClient admin = instance.connect(device("operator", version));
    for (const char* topic : {"im/u/bob/inbox/alice", "im/u/alice/send/bob", "im/u/bob/ack/1",
                              "$CONTROL/im/v1", "$im/in/0", "im/u/alice/will/bob"}) {
      CAPTURE(topic);
      admin.publish(topic, "forged");
    }
    CHECK(admin.ping());
  }
  instance.settle();
  CHECK(bob.mqtt.drain().empty());
  CHECK(instance.stored_direct("alice", "bob").empty());
  CHECK(instance.worker().process().running());
}

TEST_CASE("coexistence: a bridge that logs in cannot inject, and sees nothing") {
  Instance instance({"alice", "bob"}, with_operator());
  const TemporaryFolder folder;
  Broker outside{folder.path(),
                 {.lines = {"allow_anonymous true", "connection inwards",
                            with_number("address 127.0.0.1:", instance.port()), "topic # both 1",
                            "remote_username bridge", "remote_password pw", "restart_timeout 1",
                            "try_private true"},
                  .with_plugin = false}};
  MqttClient lamp = instance.connect(device("operator"));
  lamp.subscribe("home/#");
  MqttClient far{outside.port()};
  REQUIRE(far.connect({.client_id = "far"}) == 0);
  far.subscribe("#");
  eventually("the bridge is up", [&] {
    far.publish("home/hello", "1");
    return !lamp.drain().empty();
  });
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"#"});
  for (const char* topic : {"im/u/bob/inbox/alice", "im/u/alice/send/bob", "im/u/bob/rr/1"}) {
    far.publish(topic, "forged");
  }
  far.publish("home/marker", "1");
  lamp.expect("home/marker");
  CHECK(alice.send("bob", "real") == "stored 1");
  CHECK(bob.expect_text("inbox/alice") == "real");
  instance.settle();
  for (const Publication& publication : bob.mqtt.drain()) CHECK(publication.payload != "forged");
  CHECK(lamp.publish("home/back", "1") == 0);
  far.expect("home/back");
  for (const Publication& publication : far.drain()) {
    CHECK(publication.payload != "real");
    CHECK_FALSE(publication.topic.ends_with("inbox.json/alice"));
  }
}

TEST_CASE("coexistence: a bridge that the broker itself opens cannot inject") {
  const TemporaryFolder folder;
  Broker outside{folder.path(), {.lines = {"allow_anonymous true"}, .with_plugin = false}};
  InstanceOptions options = with_operator();
  options.broker.lines = {"connection outwards", with_number("address 127.0.0.1:", outside.port()),
                          "topic # in 1", "restart_timeout 1"};
  Instance instance({"alice", "bob"}, options);
  MqttClient lamp = instance.connect(device("operator"));
  lamp.subscribe("home/#");
  MqttClient far{outside.port()};
  REQUIRE(far.connect({.client_id = "far"}) == 0);
  eventually("the bridge is up", [&] {
    far.publish("home/hello", "1");
    return !lamp.drain().empty();
  });
  Person bob = instance.person("bob");
  bob.listen({"#"});
  for (const char* topic : {"im/u/bob/inbox/alice", "im/u/alice/send/bob", "im/s/status"}) {
    far.publish(topic, "forged");
  }
  far.publish("home/marker", "1");
  lamp.expect("home/marker");
  instance.settle();
  CHECK(bob.mqtt.drain().empty());
  CHECK(instance.stored_direct("alice", "bob").empty());
  bob.mqtt.subscribe("im/s/status");
  CHECK(bob.mqtt.expect("im/s/status").payload == "online");
}
