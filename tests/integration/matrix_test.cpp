// Every topic of the protocol in every format that it has, by MQTT 3.1.1 and 5. That the requests
// do the same in JSON and protobuf, each of them, is in examples_test.cpp.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/client_wire.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

constexpr int mqtt_311 = 4;
constexpr int mqtt_5 = 5;
constexpr std::initializer_list<int> versions{mqtt_311, mqtt_5};
const std::vector<std::string> suffixes{"", ".json", ".pb"};

Person person(Instance& instance, const std::string& name, int version) {
  ConnectOptions options = instance.login(name);
  options.version = version;
  return instance.connected(name, options);
}

/// The payload of a topic with JSON as the suffix wants it.
std::string as(const std::string& suffix, const std::string& json_rest, const Json& json) {
  return suffix == ".pb" ? pb_of(json_rest, json.dump()) : json.dump();
}

/// With the QoS that the protocol publishes it with, which a lower one of the subscription's hides.
void listen(Person& person, std::initializer_list<std::string> rests) {
  for (const auto& rest : rests) REQUIRE(person.mqtt.subscribe(person.topic(rest), 2) == 2);
}

/// The next payload on that topic, which comes as the protocol says: never retained, and `ack` and
/// `typing` with QoS 0, the others with 1.
std::string next(Person& to, const std::string& rest) {
  const auto one = to.expect(rest);
  CAPTURE(one.topic);
  CHECK(one.qos == (rest.starts_with("ack") || rest.starts_with("typing") ? 0 : 1));
  CHECK(!one.retain);
  return one.payload;
}

/// The next payload on that topic in both formats, which must say the same.
/// @param verb  "inbox"
Json both(Person& to, const std::string& verb, const std::string& behind) {
  const std::string json = next(to, verb + ".json/" + behind);
  const std::string rest = verb + ".pb/" + behind;
  const std::string pb = next(to, rest);
  CHECK(differs(rest, json, pb) == "");
  // Nor is anything left out of the JSON that stands there by itself, or printed otherwise.
  CHECK(Json::parse(json_of(rest, pb)) == Json::parse(json));
  return Json::parse(json);
}

Json without(Json json, const std::string& key) {
  json.erase(key);
  return json;
}

struct Cast {
  explicit Cast(int version)
      : instance{"alice", "bob"},
        alice{person(instance, "alice", version)},
        bob{person(instance, "bob", version)} {
    instance.room("ops", {"alice", "bob"});
    listen(alice, {"ack/+", "ack.json/+", "ack.pb/+", "sent.json/+", "sent.pb/+", "event.json/+",
                   "event.pb/+", "re.json/+", "re.pb/+", "rr/+", "err"});
    listen(bob, {"inbox/+", "inbox.json/+", "inbox.pb/+", "event.json/+", "event.pb/+",
                 "typing.json/+"});
  }
  Instance instance;
  Person alice, bob;
};

}  // namespace

TEST_CASE("matrix: send, inbox, sent and ack, in each format") {
  for (const int version : versions) {
    CAPTURE(version);
    Cast cast{version};
    int seq = 0;
    for (const auto& suffix : suffixes) {
      CAPTURE(suffix);
      ++seq;
      for (const std::string to : {"bob", "ops"}) {
        CAPTURE(to);
        const bool in_room = to == "ops";
        const auto id = with_number(to + "-", seq);
        const Json send{{"text", "good morning"}};
        cast.alice.publish("send" + suffix + "/" + to + "/" + id,
                           suffix.empty() ? "good morning" : as(suffix, "send.json/" + to, send));
        CHECK(next(cast.alice, "ack/" + id) == with_number("stored ", seq));
        const Json ack = both(cast.alice, "ack", id);
        CHECK(ack["state"] == "stored");
        CHECK(ack["conv"] == to);
        const std::string conv = in_room ? "ops" : "alice";
        CHECK(next(cast.bob, "inbox/" + conv) ==
              (in_room ? "alice: good morning" : "good morning"));
        const Json message = both(cast.bob, "inbox", conv);
        CHECK(message["text"] == "good morning");
        CHECK(message["id"] == id);
        CHECK(message["seq"] == ack["seq"]);
        CHECK(message["time"] == ack["time"]);
        CHECK(without(both(cast.alice, "sent", to), "conv") == without(message, "conv"));
      }
    }
  }
}

TEST_CASE("matrix: everything that a rich message has is the same in JSON and protobuf") {
  const Json rich = Json::parse(R"({"id":"r","text":"look","content_type":"application/x-thing",
    "body":"AAEC/w==","mentions":["bob"],"kind":"x-unheard-of","ttl_s":600,
    "attachments":[{"name":"a.png","content_type":"image/png","size":77,"width":3,"height":4,
      "url":"https://files.example/a","preview":"AQI=","duration_ms":5,
      "sha256":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]})");
  Json first;
  for (const std::string suffix : {".json", ".pb"}) {
    Cast cast{mqtt_311};
    cast.alice.publish("send" + suffix + "/bob", as(suffix, "send.json/bob", rich));
    CHECK(both(cast.alice, "ack", "r")["ok"] == true);
    const Json message = both(cast.bob, "inbox", "alice");
    for (const char* const key : {"id", "text", "content_type", "body", "mentions", "kind"}) {
      CHECK(message[key] == rich[key]);
    }
    CHECK(message["attachments"] == rich["attachments"]);
    CHECK(message.contains("expires_time"));
    const Json lasting = without(without(message, "time"), "expires_time");
    if (first.is_null()) first = lasting;
    CHECK(lasting == first);
  }
}

TEST_CASE("matrix: what cannot be read is refused in each format") {
  Cast cast{mqtt_311};
  struct Row {
    const char* rest;
    const char* payload;
  };
  for (const Row row :
       {Row{"send/bob/x", ""}, Row{"send.json/bob/x", "{"}, Row{"send.pb/bob/x", "\xff\xff\xff"}}) {
    CAPTURE(row.rest);
    cast.alice.publish(row.rest, row.payload);
    CHECK(cast.alice.expect_text("ack/x") == "refused BAD_PAYLOAD");
    CHECK(both(cast.alice, "ack", "x")["code"] == "BAD_PAYLOAD");
  }
  cast.alice.publish("do.json/room.get/y", "{");
  CHECK(Json::parse(cast.alice.expect_text("re.json/y"))["code"] == "BAD_PAYLOAD");
  cast.alice.publish("do.pb/room.get/y", "\xff\xff\xff");
  CHECK(Json::parse(json_of("re.pb/y", cast.alice.expect_text("re.pb/y")))["code"] ==
        "BAD_PAYLOAD");
  cast.alice.publish("do.pb/fly/z", "");
  CHECK(Json::parse(json_of("re.pb/z", cast.alice.expect_text("re.pb/z")))["code"] ==
        "UNKNOWN_METHOD");
}

TEST_CASE("matrix: got, read and typing") {
  for (const int version : versions) {
    CAPTURE(version);
    Cast cast{version};
    for (const std::string to : {"bob", "ops"}) {
      CAPTURE(to);
      const std::string conv = to == "ops" ? "ops" : "alice";
      CHECK(cast.alice.send(to, "hi") == "stored 1");
      for (const std::string verb : {"got", "read"}) {
        CAPTURE(verb);
        cast.bob.publish(verb + "/" + conv, "1");
        const Json receipt = both(cast.alice, "event", to)["receipt"];
        CHECK(receipt ==
              Json{{"user", "bob"}, {"got_seq", 1}, {"read_seq", verb == "read" ? 1 : 0}});
      }
      for (const std::string payload : {"1", "0", "1", ""}) {
        CAPTURE(payload);
        cast.alice.publish("typing/" + to, payload, 0);
        CHECK(Json::parse(next(cast.bob, "typing.json/" + conv)) ==
              Json{{"from", "alice"}, {"typing", payload == "1"}});
      }
    }
  }
}

TEST_CASE("matrix: do and re, with an id, without and by response topic") {
  for (const int version : versions) {
    for (const std::string suffix : {".json", ".pb"}) {
      CAPTURE(version);
      CAPTURE(suffix);
      Cast cast{version};
      const std::string rest = "do" + suffix + "/room.get";
      const auto payload = as(suffix, "do.json/room.get", {{"room", "ops"}});
      const auto reply_on = [&](const std::string& where) {
        const auto reply = next(cast.alice, where);
        return Json::parse(suffix == ".pb" ? json_of("re.pb/-", reply) : reply);
      };
      cast.alice.publish(rest + "/i.d", payload);
      const Json named = reply_on("re" + suffix + "/i.d");
      CHECK(named["id"] == "i.d");
      CHECK(named["result"]["members"].size() == 2);
      cast.alice.publish(rest, payload);
      CHECK(reply_on("re" + suffix + "/-")["result"] == named["result"]);
      cast.alice.publish("do.json/room.get/same", R"({"room":"ops"})");
      cast.alice.publish("do.pb/room.get/same", pb_of("do.json/room.get", R"({"room":"ops"})"));
      CHECK(both(cast.alice, "re", "same")["ok"] == true);
      if (version == mqtt_311) continue;
      Publication asks{.topic = cast.alice.topic(rest), .payload = payload};
      asks.user_properties = {{"id", "u1"}};
      cast.alice.mqtt.publish(asks);
      CHECK(reply_on("re" + suffix + "/u1")["id"] == "u1");
      asks.response_topic = cast.alice.topic("rr/here");
      asks.correlation_data = std::string{"\0\xff", 2};
      cast.alice.mqtt.publish(asks);
      const auto answer = cast.alice.expect("rr/here");
      CHECK(answer.qos == 1);
      CHECK(answer.correlation_data == asks.correlation_data);
      CHECK(answer.payload.find("ops") != std::string::npos);
      CHECK(answer.payload.starts_with('{') == (suffix == ".json"));
    }
  }
}

TEST_CASE("matrix: rr brings the ack in the format of the send") {
  Cast cast{mqtt_5};
  int seq = 0;
  for (const auto& suffix : suffixes) {
    CAPTURE(suffix);
    ++seq;
    Publication send{.topic = cast.alice.topic("send" + suffix + "/bob"), .payload = "hi"};
    if (!suffix.empty()) send.payload = as(suffix, "send.json/bob", {{"text", "hi"}});
    send.response_topic = cast.alice.topic("rr/1");
    send.correlation_data = with_number("c", seq);
    cast.alice.mqtt.publish(send);
    const auto answer = cast.alice.expect("rr/1");
    CHECK(answer.correlation_data == send.correlation_data);
    if (suffix.empty()) {
      CHECK(answer.payload == with_number("stored ", seq));
    } else {
      const auto json = suffix == ".pb" ? json_of("ack.pb/-", answer.payload) : answer.payload;
      CHECK(Json::parse(json)["seq"] == seq);
    }
  }
}

TEST_CASE("matrix: a will becomes a message, to a user and to a room") {
  for (const int version : versions) {
    CAPTURE(version);
    Cast cast{version};
    for (const std::string to : {"bob", "ops"}) {
      CAPTURE(to);
      ConnectOptions options = cast.instance.login("alice");
      options.version = version;
      options.will = Will{.topic = "im/u/alice/will/" + to, .payload = "gone"};
      Person dying = cast.instance.connected("alice", options);
      dying.mqtt.drop();
      const std::string conv = to == "ops" ? "ops" : "alice";
      CHECK(next(cast.bob, "inbox/" + conv) == (to == "ops" ? "alice: gone" : "gone"));
      CHECK(both(cast.bob, "inbox", conv)["text"] == "gone");
    }
  }
}

TEST_CASE("matrix: truncated says where what follows begins") {
  Instance instance{{"alice", "bob", "carol"}, {.config = "[limits]\nsync_messages_max = 2\n"}};
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  for (int i = 1; i <= 5; ++i) CHECK(alice.send("bob", "hi") == with_number("stored ", i));
  Person phone = instance.device("bob", "phone");
  phone.listen({"event.json/+", "event.pb/+", "inbox.json/+", "inbox.pb/+"});
  CHECK(both(phone, "event", "alice")["truncated"] == Json{{"from_seq", 4}});
  CHECK(both(phone, "inbox", "alice")["seq"] == 4);
}

TEST_CASE("matrix: err says what the protocol cannot; MQTT 5 says it itself") {
  Cast old{mqtt_311};
  CHECK(old.alice.mqtt.publish("im/u/bob/send/alice", "hi", 1) == 0);
  CHECK(next(old.alice, "err").starts_with("FORBIDDEN im/u/bob/send/alice"));
  Cast fresh{mqtt_5};
  CHECK(fresh.alice.mqtt.publish("im/u/bob/send/alice", "hi", 1) == 0x87);
  // What the worker refuses comes to both.
  for (Cast* const cast : {&old, &fresh}) {
    cast->alice.publish("read/bob", "many");
    CHECK(next(cast->alice, "err").starts_with("BAD_PAYLOAD im/u/alice/read/bob"));
  }
}

TEST_CASE("matrix: state topics come with QoS 1 and are not retained") {
  for (const int version : versions) {
    CAPTURE(version);
    Cast cast{version};
    CHECK(cast.alice.send("bob", "hi") == "stored 1");
    listen(cast.bob, {"state/unread", "state/presence/alice", "state/conv/+"});
    CHECK(next(cast.bob, "state/unread") == "1");
    CHECK(next(cast.bob, "state/presence/alice").starts_with("offline"));
    CHECK(Json::parse(next(cast.bob, "state/conv/alice"))["unread"] == 1);
  }
}

TEST_CASE("matrix: status and info are retained, for everybody") {
  Instance instance{"alice"};
  for (const int version : versions) {
    CAPTURE(version);
    Person alice = person(instance, "alice", version);
    alice.mqtt.subscribe("im/s/+");
    const auto status = alice.mqtt.expect("im/s/status");
    CHECK(status.payload == "online");
    CHECK(status.retain);
    const auto info = alice.mqtt.expect("im/s/info");
    CHECK(info.retain);
    const Json json = Json::parse(info.payload);
    CHECK(json["formats"] == Json{"text", "json", "pb"});
    for (const char* const key : {"version", "epoch", "limits", "endpoints"}) {
      CHECK(json.contains(key));
    }
  }
}

TEST_CASE("matrix: one subscription of everything brings all formats, and no state") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"#"});
  CHECK(alice.send("bob", "hi") == "stored 1");
  bob.publish("send/alice/b", "hi yourself");
  bob.publish("do.json/me.get/j", "");
  bob.publish("do.pb/me.get/p", "");
  alice.publish("typing/bob", "1", 0);
  for (const std::string rest :
       {"inbox/alice", "inbox.json/alice", "inbox.pb/alice", "ack/b", "ack.json/b", "ack.pb/b",
        "sent.json/alice", "sent.pb/alice", "re.json/j", "re.pb/p", "typing.json/alice"}) {
    CAPTURE(rest);
    CHECK(!bob.expect_text(rest).empty());
  }
  instance.settle();
  for (const auto& one : bob.mqtt.drain()) {
    CAPTURE(one.topic);
    CHECK(one.topic.find("/state/") == one.topic.npos);
    CHECK(one.topic.find("/send") == one.topic.npos);
  }
}
