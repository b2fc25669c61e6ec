// Text, JSON and protobuf: what arrives where, and how it looks.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "core/wire.hpp"
#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;
using parley::Format;

namespace {

bool is_time(const Json& value) {
  static const std::regex form{R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"};
  return value.is_string() && std::regex_match(value.get<std::string>(), form);
}

/// Keys that are not scalar: printed or not when there is nothing in them.
const std::set<std::string> optional_keys{"mentions", "attachments", "edited_time", "expires_time"};

/// Checks that exactly the scalars of `expected` are there, and a time.
void check_message(const Json& message, const Json& expected) {
  for (const auto& item : expected.items()) {
    CAPTURE(item.key());
    REQUIRE(message.contains(item.key()));
    CHECK(message[item.key()] == item.value());
  }
  REQUIRE(message.contains("time"));
  CHECK(is_time(message["time"]));
  for (const auto& item : message.items()) {
    const std::string& key = item.key();
    CAPTURE(key);
    CHECK((expected.contains(key) || key == "time" || optional_keys.contains(key)));
  }
}

Json plain_message(const std::string& from, const std::string& conv, const std::string& text) {
  return Json{{"id", ""},   {"conv", conv},   {"from", from},    {"seq", 1},
              {"rev", 1},   {"kind", "text"}, {"text", text},    {"content_type", ""},
              {"body", ""}, {"reply_to", 0},  {"deleted", false}};
}

}  // namespace

TEST_CASE("formats: a text send arrives in every format that was subscribed") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  bob.listen({"inbox/+", "inbox.json/+", "inbox.pb/+"});
  CHECK(alice.publish("send/bob/id.1", "hi") == 0);
  CHECK(bob.expect_text("inbox/alice") == "hi");
  Json expected = plain_message("alice", "alice", "hi");
  expected["id"] = "id.1";
  check_message(Json::parse(bob.expect_text("inbox.json/alice")), expected);
  const auto message = parley::decode_message(Format::pb, bob.expect_text("inbox.pb/alice"));
  REQUIRE(message.has_value());
  CHECK(message->id == "id.1");
  CHECK(message->conv == "alice");
  CHECK(message->from == "alice");
  CHECK(message->seq == 1);
  CHECK(message->rev == 1);
  CHECK(message->content.text == "hi");
  CHECK(message->content.kind == "text");
  CHECK(message->time.value > 1'700'000'000'000);
}

TEST_CASE("formats: nobody gets a format that he did not subscribe") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person text = instance.person("bob");
  Person json = instance.person("bob");
  alice.listen({"ack/+"});
  text.listen({"inbox/+"});
  json.listen({"inbox.json/+"});
  CHECK(alice.send("bob", "hi") == "stored 1");
  text.expect("inbox/alice");
  json.expect("inbox.json/alice");
  instance.settle();
  CHECK(text.mqtt.drain().empty());
  CHECK(json.mqtt.drain().empty());
}

TEST_CASE("formats: a JSON send passes everything on") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack.json/+"});
  bob.listen({"inbox/+", "inbox.json/+", "inbox.pb/+"});
  CHECK(alice.publish("send/bob", "first") == 0);
  alice.expect("ack.json/-");
  const Json send{{"id", "j1"},
                  {"text", "look"},
                  {"content_type", "application/x-thing"},
                  {"body", "AAEC/w=="},
                  {"reply_to", 1},
                  {"mentions", {"bob"}},
                  {"kind", "x-unheard-of"},
                  {"unknown_field", {{"a", 1}}},
                  {"attachments",
                   {{{"name", "a.png"},
                     {"content_type", "image/png"},
                     {"size", 77},
                     {"url", "https://files.example/a"}}}}};
  CHECK(alice.publish("send.json/bob", send.dump()) == 0);
  const Json ack = Json::parse(alice.expect_text("ack.json/j1"));
  CHECK(ack["seq"] == 2);
  bob.expect("inbox/alice");
  CHECK(bob.expect_text("inbox/alice") == "look");
  bob.expect("inbox.json/alice");
  const Json message = Json::parse(bob.expect_text("inbox.json/alice"));
  Json expected = plain_message("alice", "alice", "look");
  expected.update({{"id", "j1"},
                   {"seq", 2},
                   {"rev", 2},
                   {"content_type", "application/x-thing"},
                   {"body", "AAEC/w=="},
                   {"reply_to", 1},
                   {"kind", "x-unheard-of"}});
  check_message(message, expected);
  CHECK(message["mentions"] == Json{"bob"});
  REQUIRE(message["attachments"].size() == 1);
  const Json& attachment = message["attachments"][0];
  CHECK(attachment["name"] == "a.png");
  CHECK(attachment["size"] == 77);
  CHECK(attachment["url"] == "https://files.example/a");
  CHECK(attachment["duration_ms"] == 0);  // scalars are always printed
  bob.expect("inbox.pb/alice");
  const auto pb = parley::decode_message(Format::pb, bob.expect_text("inbox.pb/alice"));
  REQUIRE(pb.has_value());
  CHECK(pb->content.body == std::string("\0\1\2\xff", 4));
  CHECK(pb->content.mentions == std::vector<std::string>{"bob"});
}

TEST_CASE("formats: a protobuf send arrives as text and JSON") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack.pb/+"});
  bob.listen({"inbox/+", "inbox.json/+"});
  // Send{id: "p1", text: "hello"} by hand, so that no code of ours judges itself.
  const std::string payload = std::string("\x0a\x02p1\x12\x05hello", 11);
  CHECK(alice.publish("send.pb/bob", payload) == 0);
  const auto ack = parley::decode_ack(Format::pb, alice.expect_text("ack.pb/p1"));
  REQUIRE(ack.has_value());
  CHECK(ack->ok);
  CHECK(ack->seq == 1);
  CHECK(bob.expect_text("inbox/alice") == "hello");
  CHECK(Json::parse(bob.expect_text("inbox.json/alice"))["id"] == "p1");
}

TEST_CASE("formats: media show their caption or their name as text") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  bob.listen({"inbox/+"});
  const Json file{{"name", "a.png"}, {"content_type", "image/png"}, {"url", "https://f.example/a"}};
  alice.publish("send.json/bob", Json{{"kind", "media"}, {"attachments", {file}}}.dump());
  CHECK(bob.expect_text("inbox/alice") == "[a.png]");
  alice.publish("send.json/bob",
                Json{{"kind", "media"}, {"text", "my cat"}, {"attachments", {file}}}.dump());
  CHECK(bob.expect_text("inbox/alice") == "my cat");
}

TEST_CASE("formats: a kind of the clients' own needs no content, and passes through") {
  Instance instance{"alice", "bob"};
  instance.room("ops", {"alice", "bob"});
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+", "inbox/+"});
  for (const std::string kind : {"call", "x-shop/order"}) {
    CAPTURE(kind);
    alice.publish("send.json/bob/" + kind.substr(0, 1), Json{{"kind", kind}}.dump());
    CHECK(alice.expect_text("ack/" + kind.substr(0, 1)).starts_with("stored "));
    const auto message = Json::parse(bob.expect_text("inbox.json/alice"));
    CHECK(message["kind"] == kind);
    CHECK(message["text"] == "");
    CHECK(bob.expect_text("inbox/alice") == "[" + kind + "]");
  }
  alice.publish("send.json/ops/r", R"({"kind":"call"})");
  CHECK(alice.expect_text("ack/r") == "stored 1");
  CHECK(bob.expect_text("inbox/ops") == "alice: [call]");
  for (const std::string kind : {"", "text", "media", "system"}) {
    CAPTURE(kind);
    alice.publish("send.json/bob/e", Json{{"kind", kind}}.dump());
    CHECK(alice.expect_text("ack/e") == "refused BAD_PAYLOAD");
  }
}

TEST_CASE("formats: malformed JSON and protobuf are refused") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+", "ack.json/+"});
  const std::vector<std::pair<std::string, std::string>> sends{
      {"send.json", "{"},
      {"send.json", ""},
      {"send.json", "hello"},
      {"send.json", "[]"},
      {"send.json", "{}"},
      {"send.json", R"({"text":""})"},
      {"send.json", R"({"text":17})"},
      {"send.json", R"({"text":"a\u0000b"})"},
      {"send.json", "{\"text\":\"\xff\"}"},
      {"send.json", R"({"text":"x","reply_to":-1})"},
      {"send.json", R"({"text":"x","id":"not an id"})"},
      {"send.pb", "\x0a"},
      {"send.pb", ""},
      {"send.pb", "\x12\x05hel"},
      {"send.pb", "\x12\x02\xff\xfe"},
  };
  for (const auto& send : sends) {
    const std::string& verb = send.first;
    const std::string& payload = send.second;
    CAPTURE(verb);
    CAPTURE(payload);
    CHECK(alice.publish(verb + "/bob/m1", payload) == 0);
    CHECK(alice.expect_text("ack/m1") == "refused BAD_PAYLOAD");
    const Json ack = Json::parse(alice.expect_text("ack.json/m1"));
    CHECK(ack["code"] == "BAD_PAYLOAD");
    CHECK(ack["ok"] == false);
    CHECK(ack["seq"] == 0);
  }
  CHECK(alice.mqtt.ping());
  CHECK(instance.stored_direct("alice", "bob").empty());
}

TEST_CASE("formats: the ack in JSON says everything") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack.json/+"});
  alice.publish("send/bob/a1", "hi");
  const Json ack = Json::parse(alice.expect_text("ack.json/a1"));
  const Json expected{{"id", "a1"},    {"ok", true}, {"code", ""}, {"detail", ""},
                      {"conv", "bob"}, {"seq", 1},   {"rev", 1},   {"state", "stored"}};
  for (const auto& item : expected.items()) {
    CAPTURE(item.key());
    CHECK(ack[item.key()] == item.value());
  }
  CHECK(is_time(ack["time"]));
  CHECK(ack.size() == expected.size() + 1);
  alice.publish("send/bob", "no id");
  CHECK(Json::parse(alice.expect_text("ack.json/-"))["seq"] == 2);
}

TEST_CASE("formats: what one sends comes to one's other sessions on sent, never on inbox") {
  Instance instance{"alice", "bob"};
  Person writer = instance.person("alice");
  Person other = instance.person("alice");
  writer.listen({"ack/+"});
  other.listen({"sent.json/+", "sent.pb/+", "inbox/+", "inbox.json/+"});
  CHECK(writer.send("bob", "hi", "s1") == "stored 1");
  Json expected = plain_message("alice", "bob", "hi");
  expected["id"] = "s1";
  check_message(Json::parse(other.expect_text("sent.json/bob")), expected);
  const auto pb = parley::decode_message(Format::pb, other.expect_text("sent.pb/bob"));
  REQUIRE(pb.has_value());
  CHECK(pb->conv == "bob");
  instance.settle();
  CHECK(other.mqtt.drain().empty());
  CHECK(writer.mqtt.drain().empty());
}

TEST_CASE("formats: one's whole tree gives all formats, no echo and no state") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"#"});
  bob.listen({"ack/+"});
  CHECK(bob.send("alice", "in", "y1") == "stored 1");
  CHECK(alice.publish("send/bob/x1", "out") == 0);
  instance.settle();
  std::multiset<std::string> topics;
  for (const Publication& publication : alice.mqtt.drain()) topics.insert(publication.topic);
  std::multiset<std::string> expected;
  for (const char* rest : {"inbox/bob", "inbox.json/bob", "inbox.pb/bob", "sent.json/bob",
                           "sent.pb/bob", "ack/x1", "ack.json/x1", "ack.pb/x1"}) {
    expected.insert(alice.topic(rest));
  }
  // Receipts may come as events besides.
  std::erase_if(topics, [&](const std::string& t) { return t.starts_with(alice.topic("event.")); });
  CHECK(topics == expected);
}

TEST_CASE("formats: text deliveries carry our user properties and none of the publisher's") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  Person bob = instance.person5("bob");
  alice.listen({"ack.json/+"});
  bob.listen({"inbox/+", "inbox.json/+"});
  CHECK(alice.mqtt.publish({.topic = alice.topic("send/bob/u1"),
                            .payload = "hi",
                            .user_properties = {{"from", "carol"}, {"x-mine", "1"}, {"seq", "99"}},
                            .response_topic = "im/u/alice/nowhere",
                            .correlation_data = "c",
                            .content_type = "text/evil",
                            .expiry_s = 1000}) == 0);
  const Json ack = Json::parse(alice.expect_text("ack.json/u1"));
  const Publication inbox = bob.expect("inbox/alice");
  const Publication json = bob.expect("inbox.json/alice");
  std::multiset<std::string> keys;
  for (const UserProperty& property : inbox.user_properties) keys.insert(property.key);
  CHECK(keys == std::multiset<std::string>{"from", "seq", "time", "id"});
  CHECK(inbox.user_property("from") == "alice");
  CHECK(inbox.user_property("seq") == "1");
  CHECK(inbox.user_property("id") == "u1");
  CHECK(inbox.user_property("time") == ack["time"].get<std::string>());
  for (const Publication* publication : {&inbox, &json}) {
    CHECK_FALSE(publication->response_topic.has_value());
    CHECK_FALSE(publication->correlation_data.has_value());
    CHECK_FALSE(publication->content_type.has_value());
    CHECK_FALSE(publication->expiry_s.has_value());
    CHECK(publication->user_property("x-mine").empty());
  }
}

TEST_CASE("formats: a text send reads id, reply-to and ttl from user properties") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+"});
  CHECK(alice.send("bob", "first") == "stored 1");
  bob.expect("inbox.json/alice");
  CHECK(alice.mqtt.publish(
            {.topic = alice.topic("send/bob"),
             .payload = "second",
             .user_properties = {{"id", "prop-1"}, {"reply-to", "1"}, {"ttl", "3600"}}}) == 0);
  CHECK(alice.expect_text("ack/prop-1") == "stored 2");
  const Json message = Json::parse(bob.expect_text("inbox.json/alice"));
  CHECK(message["id"] == "prop-1");
  CHECK(message["reply_to"] == 1);
  CHECK(is_time(message["expires_time"]));
  CHECK(message["expires_time"] > message["time"]);
}
