// Last Wills that become messages.
#include <doctest/doctest.h>

#include "tests/support/instance.hpp"

using namespace parley::test;

namespace {

ConnectOptions with_will(Instance& instance, const std::string& to, int version) {
  ConnectOptions options = instance.login("pump7");
  options.version = version;
  options.will = Will{.topic = "im/u/pump7/will/" + to, .payload = "pump7 died"};
  return options;
}

struct Room {
  Instance instance{"pump7", "bob"};
  Person bob = instance.person("bob");
  Room() {
    instance.room("ops", {"pump7", "bob"});
    bob.listen({"inbox/+"});
  }
};

}  // namespace

TEST_CASE("will: a connection that breaks becomes a message to the room") {
  Room room;
  for (const int version : {4, 5}) {
    CAPTURE(version);
    MqttClient pump = room.instance.connect(with_will(room.instance, "ops", version));
    pump.drop();
    CHECK(room.bob.expect_text("inbox/ops") == "pump7: pump7 died");
  }
  room.instance.settle();
  CHECK(room.instance.stored_room("ops").size() == 2);
}

TEST_CASE("will: it may go to a person") {
  Room room;
  room.instance.connect(with_will(room.instance, "bob", 4)).drop();
  CHECK(room.bob.expect_text("inbox/pump7") == "pump7 died");
  CHECK(room.instance.stored_direct("pump7", "bob") == std::vector<Row>{{"1", "pump7 died"}});
}

TEST_CASE("will: a token that may only send is enough") {
  Room room;
  ConnectOptions options = with_will(room.instance, "ops", 4);
  options.password = room.instance.token("pump7", {.scope = parley::scope::send});
  room.instance.connect(options).drop();
  CHECK(room.bob.expect_text("inbox/ops") == "pump7: pump7 died");
}

TEST_CASE("will: a delayed one of MQTT 5 comes when its time has passed") {
  Room room;
  ConnectOptions options = with_will(room.instance, "ops", 5);
  options.client_id = "pump7.main";
  options.clean = false;
  options.session_expiry_s = 60;
  options.will->delay_s = 1;
  room.instance.connect(options).drop();
  CHECK(room.bob.expect_text("inbox/ops") == "pump7: pump7 died");
}

TEST_CASE("will: a delayed one is dropped when the device is back in time") {
  Room room;
  ConnectOptions options = with_will(room.instance, "ops", 5);
  options.client_id = "pump7.main";
  options.clean = false;
  options.session_expiry_s = 60;
  options.will->delay_s = 30;
  room.instance.connect(options).drop();
  Person pump = room.instance.connected("pump7", options);
  pump.listen({"ack/+"});
  CHECK(pump.send("ops", "back") == "stored 1");
  CHECK(room.bob.expect_text("inbox/ops") == "pump7: back");
  pump.mqtt.disconnect();
}

TEST_CASE("will: a graceful DISCONNECT sends none") {
  Room room;
  for (const int version : {4, 5}) {
    room.instance.connect(with_will(room.instance, "ops", version)).disconnect();
  }
  room.instance.settle();
  CHECK(room.bob.mqtt.drain().empty());
  CHECK(room.instance.stored_room("ops").empty());
}

TEST_CASE("will: without a worker it is stored later") {
  Room room;
  room.instance.kill_worker();
  room.instance.connect(with_will(room.instance, "ops", 4)).drop();
  eventually("the broker noticed", [&] {
    return room.instance.broker().log().find("closed its connection") != std::string::npos;
  });
  room.instance.start_worker();
  CHECK(room.bob.expect_text("inbox/ops") == "pump7: pump7 died");
}

TEST_CASE("will: a planned restart of the broker sends none") {
  Room room;
  MqttClient pump = room.instance.connect(with_will(room.instance, "ops", 4));
  MqttClient pump5 = room.instance.connect(with_will(room.instance, "ops", 5));
  CHECK(pump.ping());
  CHECK(pump5.ping());
  room.instance.broker().stop();
  CHECK(pump.wait_closed());
  room.instance.broker().start();
  room.instance.wait_online();
  room.instance.settle();
  CHECK(room.instance.stored_room("ops").empty());
}

TEST_CASE("will: an ordinary publish to a will's topic is refused") {
  Room room;
  Person pump = room.instance.person5("pump7");
  CHECK(pump.publish("will/ops", "pump7 died") == 0x87);
  Person pump3 = room.instance.person("pump7");
  pump3.listen({"err"});
  CHECK(pump3.publish("will/ops", "pump7 died") == 0);
  const std::string line = pump3.expect_text("err");
  CHECK(line.find(" im/u/pump7/will/ops ") != std::string::npos);
  room.instance.settle();
  CHECK(room.instance.stored_room("ops").empty());
}

TEST_CASE("will: one to another topic of Parley becomes nothing") {
  Room room;
  for (const char* topic : {"im/u/bob/inbox/pump7", "im/u/bob/inbox/ops", "im/u/bob/will/ops",
                            "im/u/pump7/send/bob", "$CONTROL/im/v1", "$im/in/0"}) {
    CAPTURE(topic);
    ConnectOptions options = with_will(room.instance, "ops", 4);
    options.will->topic = topic;
    MqttClient client{room.instance.port()};
    if (client.connect(options) == 0) client.drop();  // refusing it at CONNECT is as good
  }
  room.instance.settle();
  CHECK(room.bob.mqtt.drain().empty());
  CHECK(room.instance.stored_room("ops").empty());
  CHECK(room.instance.stored_direct("pump7", "bob").empty());
}

TEST_CASE("will: one to a room without the pump is refused quietly, and nothing breaks") {
  Instance instance{"pump7", "bob"};
  instance.room("ops", {"bob"});
  Person bob = instance.person("bob");
  bob.listen({"inbox/+"});
  instance.connect(with_will(instance, "ops", 4)).drop();
  instance.connect(with_will(instance, "nobody", 4)).drop();
  instance.settle();
  CHECK(bob.mqtt.drain().empty());
  CHECK(instance.stored_room("ops").empty());
}
