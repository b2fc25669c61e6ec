// What a connection may touch.
#include <doctest/doctest.h>

#include "tests/support/instance.hpp"

using namespace parley::test;
namespace scope = parley::scope;

namespace {

const std::vector<std::string> foreign_filters{"im/u/bob/inbox/+",
                                               "im/u/bob/#",
                                               "im/u/bob/ack/+",
                                               "im/u/+/inbox/+",
                                               "im/u/+/inbox/alice",
                                               "im/u/#",
                                               "im/+/bob/#",
                                               "im/#",
                                               "+/u/bob/#",
                                               "+/u/alice/#",
                                               "+/#",
                                               "#",
                                               "$share/x/im/u/bob/#",
                                               "$share/x/im/u/alice/#",
                                               "$share/x/#",
                                               "$im/#",
                                               "$im/in/0",
                                               "$im/+/0",
                                               "$CONTROL/im/v1",
                                               "$CONTROL/#",
                                               "$CONTROL/im/#"};

/// Publishes that the plugin itself refuses.
struct Refused {
  std::string topic;
  bool retain = false;
};
const std::vector<Refused> refused_publishes{{"im/u/bob/send/alice"},
                                             {"im/u/bob/inbox/alice"},
                                             {"im/u/bob/inbox.json/alice"},
                                             {"im/u/bob/ack/1"},
                                             {"im/u/bob/got/alice"},
                                             {"im/u/alice/inbox/bob"},
                                             {"im/u/alice/ack/1"},
                                             {"im/u/alice/rr/1"},
                                             {"im/u/alice/nothing/bob"},
                                             {"im/u/alice/send"},
                                             {"im/u/alice/send/bob/id/surplus"},
                                             {"im/u/alice/send/bob/no space"},
                                             {"im/u/alice/send/bob/-"},
                                             {"im/u/alice/will/bob"},
                                             {"im/s/status"},
                                             {"im/s/info"},
                                             {"im/other"},
                                             {"$CONTROL/im/v1"},
                                             {"$im/in/0"},
                                             {"im/u/alice/send/bob", true}};

Person with_scope(Instance& instance, const std::string& name, std::uint8_t scope, int version) {
  ConnectOptions options = instance.login(name);
  options.password = instance.token(name, {.scope = scope});
  options.version = version;
  return instance.connected(name, options);
}

}  // namespace

TEST_CASE("access: filters that reach beyond one's own topics are refused, one by one") {
  Instance instance{"alice", "bob"};
  for (const int version : {4, 5}) {
    Person alice = version == 4 ? instance.person("alice") : instance.person5("alice");
    for (const std::string& filter : foreign_filters) {
      CAPTURE(filter);
      CAPTURE(version);
      CHECK(alice.mqtt.subscribe(filter) == (version == 4 ? 0x80 : 0x87));
    }
    CHECK(alice.mqtt.subscribe("im/u/alice/inbox/+") == 1);
    CHECK(alice.mqtt.ping());
  }
}

TEST_CASE("access: nothing of another's traffic reaches one who tried every filter") {
  Instance instance{"alice", "bob", "eve"};
  Person eve = instance.person("eve");
  eve.mqtt.subscribe(foreign_filters);
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox/+"});
  CHECK(alice.send("bob", "secret") == "stored 1");
  CHECK(bob.expect_text("inbox/alice") == "secret");
  instance.settle();
  CHECK(eve.mqtt.drain().empty());
}

TEST_CASE("access: an MQTT 5 publisher hears 0x87 for what the plugin refuses, and stays") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  Person bob = instance.person("bob");
  bob.listen({"#"});
  for (const Refused& refused : refused_publishes) {
    CAPTURE(refused.topic);
    CHECK(alice.mqtt.publish({.topic = refused.topic, .payload = "x", .retain = refused.retain}) ==
          0x87);
  }
  CHECK(alice.mqtt.ping());
  instance.settle();
  CHECK(bob.mqtt.drain().empty());
  CHECK(instance.stored_direct("alice", "bob").empty());
}

TEST_CASE("access: an MQTT 3.1.1 publisher finds a line on err for what the plugin refuses") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"err"});
  bob.listen({"#"});
  for (const Refused& refused : refused_publishes) {
    CAPTURE(refused.topic);
    CHECK(alice.mqtt.publish({.topic = refused.topic, .payload = "x", .retain = refused.retain}) ==
          0);
    const std::string line = alice.expect_text("err");
    CAPTURE(line);
    const auto space = line.find(' ');
    REQUIRE(space != std::string::npos);
    const std::string code = line.substr(0, space);
    CHECK((code == "FORBIDDEN" || code == "BAD_PAYLOAD" || code == "BAD_NAME"));
    CHECK(line.substr(space + 1, refused.topic.size()) == refused.topic);
  }
  instance.settle();
  CHECK(alice.mqtt.drain().empty());  // one line per message
  CHECK(bob.mqtt.drain().empty());
  CHECK(instance.stored_direct("alice", "bob").empty());
}

TEST_CASE("access: a retained send leaves nothing behind") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  CHECK(alice.mqtt.publish({.topic = "im/u/alice/send/bob", .payload = "x", .retain = true}) ==
        0x87);
  CHECK(alice.mqtt.publish({.topic = "im/u/alice/send/bob", .payload = "", .retain = true}) ==
        0x87);
  Person bob = instance.person("bob");
  bob.listen({"#"});
  instance.settle();
  CHECK(bob.mqtt.drain().empty());
}

TEST_CASE("access: a send-only token hears its answers and reads nothing") {
  Instance instance{"pump7", "bob"};
  Person pump = with_scope(instance, "pump7", scope::send, 4);
  for (const char* filter :
       {"im/u/pump7/inbox/+", "im/u/pump7/inbox.json/#", "im/u/pump7/sent.json/+",
        "im/u/pump7/event.json/+", "im/u/pump7/state/unread", "im/u/pump7/#"}) {
    CAPTURE(filter);
    CHECK(pump.mqtt.subscribe(filter) == 0x80);
  }
  for (const char* filter : {"im/u/pump7/ack/+", "im/u/pump7/ack.json/+", "im/u/pump7/ack.pb/+",
                             "im/u/pump7/re.json/+", "im/u/pump7/err", "im/u/pump7/rr/#"}) {
    CAPTURE(filter);
    CHECK(pump.mqtt.subscribe(filter) < 0x80);
  }
  CHECK(pump.send("bob", "12.5 bar") == "stored 1");
}

TEST_CASE("access: a receive-only token cannot send") {
  Instance instance{"alice", "bob"};
  Person bob = with_scope(instance, "bob", scope::receive, 5);
  bob.listen({"inbox/+"});
  CHECK(bob.publish("send/alice", "no") == 0x87);
  Person bob3 = with_scope(instance, "bob", scope::receive, 4);
  bob3.listen({"err"});
  CHECK(bob3.publish("send/alice", "no") == 0);
  CHECK(bob3.expect_text("err").starts_with("FORBIDDEN im/u/bob/send/alice"));
  instance.settle();
  CHECK(instance.stored_direct("alice", "bob").empty());
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "hello") == "stored 1");
  CHECK(bob.expect_text("inbox/alice") == "hello");
}

TEST_CASE("access: token users get no topic outside the prefix") {
  Instance instance{"alice"};
  Person alice = instance.person5("alice");
  CHECK(alice.mqtt.subscribe("home/+") == 0x87);
  CHECK(alice.mqtt.publish("home/lamp", "on") == 0x87);
  CHECK(alice.mqtt.ping());
}

TEST_CASE("access: status and info are readable by every user") {
  Instance instance{"alice"};
  Person alice = instance.person("alice");
  CHECK(alice.mqtt.subscribe("im/s/+") == 1);
  const Publication status = alice.mqtt.expect("im/s/status");
  CHECK(status.payload == "online");
  CHECK(status.retain);
  const Publication info = alice.mqtt.expect("im/s/info");
  CHECK(info.retain);
  CHECK(info.payload.find("65536") != std::string::npos);
}
