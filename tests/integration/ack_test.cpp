// How a client hears what became of its request.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/wire.hpp"
#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

const std::string odd_bytes("\x00\x01\xff\xfe corr \n\x80", 12);

}  // namespace

TEST_CASE("ack: a response topic gets the ack, with the correlation data byte for byte") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  alice.listen({"rr/+", "ack/+"});
  CHECK(alice.mqtt.publish({.topic = alice.topic("send/bob"),
                            .payload = "hi",
                            .response_topic = alice.topic("rr/1"),
                            .correlation_data = odd_bytes}) == 0);
  const Publication answer = alice.expect("rr/1");
  CHECK(answer.payload == "stored 1");
  CHECK(answer.correlation_data == odd_bytes);
  CHECK(answer.qos == 1);
  CHECK(alice.mqtt.publish({.topic = alice.topic("send/bob"),
                            .payload = "hi",
                            .response_topic = alice.topic("rr/2")}) == 0);
  CHECK_FALSE(alice.expect("rr/2").correlation_data.has_value());
  instance.settle();
  CHECK(alice.mqtt.drain().empty());  // not on ack besides
}

TEST_CASE("ack: correlation data is never an id") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  alice.listen({"rr/+"});
  for (int seq = 1; seq <= 2; ++seq) {
    CHECK(alice.mqtt.publish({.topic = alice.topic("send/bob"),
                              .payload = "same",
                              .response_topic = alice.topic("rr/1"),
                              .correlation_data = "c1"}) == 0);
    CHECK(alice.expect_text("rr/1") == with_number("stored ", seq));
  }
}

TEST_CASE("ack: the answer on a response topic is in the request's format") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  alice.listen({"rr/+"});
  CHECK(alice.mqtt.publish({.topic = alice.topic("send.json/bob/j1"),
                            .payload = R"({"text":"hi"})",
                            .response_topic = alice.topic("rr/json")}) == 0);
  const Json json = Json::parse(alice.expect_text("rr/json"));
  CHECK(json["id"] == "j1");
  CHECK(json["seq"] == 1);
  CHECK(alice.mqtt.publish({.topic = alice.topic("send.pb/bob/p1"),
                            .payload = std::string("\x12\x02hi", 4),
                            .response_topic = alice.topic("rr/pb")}) == 0);
  const auto pb = parley::decode_ack(parley::Format::pb, alice.expect_text("rr/pb"));
  REQUIRE(pb.has_value());
  CHECK(pb->id == "p1");
  CHECK(pb->seq == 2);
}

TEST_CASE("ack: a refusal goes to the response topic too") {
  Instance instance{"alice"};
  Person alice = instance.person5("alice");
  alice.listen({"rr/+"});
  CHECK(alice.mqtt.publish({.topic = alice.topic("send/nobody"),
                            .payload = "hi",
                            .response_topic = alice.topic("rr/1"),
                            .correlation_data = odd_bytes}) == 0);
  const Publication answer = alice.expect("rr/1");
  CHECK(answer.payload == "refused USER_NOT_FOUND");
  CHECK(answer.correlation_data == odd_bytes);
}

TEST_CASE("ack: a response topic outside one's rr is ignored") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  Person bob = instance.person5("bob");
  bob.listen({"#"});
  alice.listen({"#"});
  int seq = 0;
  for (const std::string topic :
       {"im/u/bob/rr/1", "im/u/alice/inbox/bob", "im/u/alice/rr", "im/u/alice/rrr/1", "home/lamp",
        "im/u/alice/ack/9", "im/s/status", "$CONTROL/im/v1"}) {
    CAPTURE(topic);
    ++seq;
    CHECK(alice.mqtt.publish({.topic = alice.topic("send/bob"),
                              .payload = "hi",
                              .response_topic = topic,
                              .correlation_data = "c"}) == 0);
    CHECK(alice.expect_text("ack/-") == with_number("stored ", seq));
  }
  instance.settle();
  for (const Publication& publication : alice.mqtt.drain()) {
    CAPTURE(publication.topic);
    const bool foreseen = publication.topic.starts_with(alice.topic("ack.")) ||
                          publication.topic.starts_with(alice.topic("sent.")) ||
                          publication.topic.starts_with(alice.topic("event."));
    CHECK(foreseen);
  }
  for (const Publication& publication : bob.mqtt.drain()) {
    CAPTURE(publication.topic);
    CHECK(publication.topic.starts_with(bob.topic("inbox")));
  }
}

TEST_CASE("ack: the PUBACK of a send says success though nobody subscribes it") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person5("alice");
  for (const char* rest : {"send/bob", "send/bob/id1", "send/nobody"}) {
    CAPTURE(rest);
    CHECK(alice.publish(rest, "hi", 1) == 0x00);
  }
  CHECK(alice.publish("send.json/bob", R"({"text":"hi"})", 1) == 0x00);
  CHECK(alice.publish("send/bob", "hi", 2) == 0x00);
  CHECK(alice.publish("do.json/history", R"({"conv":"bob"})", 1) == 0x00);
  CHECK(alice.publish("got/bob", "1", 1) == 0x00);
}

TEST_CASE("ack: history is answered on re.json with its id, or -") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+", "re.json/+"});
  for (int i = 1; i <= 5; ++i) alice.send("bob", with_number("m", i));
  alice.publish("do.json/history/h1", R"({"conv":"bob","limit":2})");
  const Json newest = Json::parse(alice.expect_text("re.json/h1"));
  CHECK(newest["id"] == "h1");
  CHECK(newest["ok"] == true);
  REQUIRE(newest["result"]["messages"].size() == 2);
  CHECK(newest["result"]["messages"][0]["text"] == "m4");
  CHECK(newest["result"]["messages"][1]["seq"] == 5);
  CHECK(newest["result"]["has_more"] == true);
  alice.publish("do.json/history", R"({"conv":"bob","before_seq":3})");
  const Json before = Json::parse(alice.expect_text("re.json/-"));
  CHECK(before["id"] == "-");
  REQUIRE(before["result"]["messages"].size() == 2);
  CHECK(before["result"]["messages"][0]["text"] == "m1");
  CHECK(before["result"]["has_more"] == false);
  alice.publish("do.json/history/h2", R"({"conv":"bob","after_seq":3,"limit":1})");
  const Json after = Json::parse(alice.expect_text("re.json/h2"));
  REQUIRE(after["result"]["messages"].size() == 1);
  CHECK(after["result"]["messages"][0]["text"] == "m4");
  CHECK(after["result"]["has_more"] == true);
  alice.publish("do.json/history/h3", R"({"conv":"bob","around_seq":3,"limit":3})");
  const Json around = Json::parse(alice.expect_text("re.json/h3"));
  REQUIRE(around["result"]["messages"].size() == 3);
  CHECK(around["result"]["messages"][0]["text"] == "m2");
  CHECK(around["result"]["messages"][2]["text"] == "m4");
}

TEST_CASE("ack: a page of history is bounded in bytes, and goes on where it ended") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+", "re.json/+"});
  constexpr int count = 8;
  for (int i = 1; i <= count; ++i)
    alice.send("bob", with_number("m", i) + std::string(60'000, 'x'));
  int before = count + 1;
  int pages = 0;
  while (before > 1) {
    REQUIRE(++pages <= count);
    alice.publish("do.json/history/h1",
                  Json{{"conv", "bob"}, {"limit", 200}, {"before_seq", before}}.dump());
    const std::string reply = alice.expect_text("re.json/h1");
    CHECK(reply.size() < 400'000);
    const Json page = Json::parse(reply)["result"];
    REQUIRE(!page["messages"].empty());
    CHECK(page["messages"].back()["seq"] == before - 1);
    before = page["messages"][0]["seq"].get<int>();
    CHECK(page["has_more"] == (before > 1));
  }
  CHECK(pages > 1);
}

TEST_CASE("ack: history is one's own only") {
  Instance instance{"alice", "bob", "eve"};
  Person alice = instance.person("alice");
  Person eve = instance.person("eve");
  alice.listen({"ack/+"});
  eve.listen({"re.json/+"});
  CHECK(alice.send("bob", "between us") == "stored 1");
  eve.publish("do.json/history/h1", R"({"conv":"bob"})");
  const std::string reply = eve.expect_text("re.json/h1");
  CHECK(reply.find("between us") == std::string::npos);
  eve.publish("do.json/history/h2", R"({"conv":"nobody"})");
  const Json unknown = Json::parse(eve.expect_text("re.json/h2"));
  CHECK(unknown["ok"] == false);
  CHECK(unknown["code"] == "USER_NOT_FOUND");
}

TEST_CASE("ack: a request that cannot be understood is answered with its code") {
  Instance instance{"alice"};
  Person alice = instance.person("alice");
  alice.listen({"re.json/+"});
  const std::vector<Row> requests{{"do.json/fly/r1", "{}", "UNKNOWN_METHOD"},
                                  {"do.json/history/r1", "{", "BAD_PAYLOAD"},
                                  {"do.json/history/r1", R"({"conv":17})", "BAD_PAYLOAD"},
                                  {"do.json/history/r1", "", "BAD_PAYLOAD"}};
  for (const Row& request : requests) {
    CAPTURE(request[0]);
    CAPTURE(request[1]);
    CHECK(alice.publish(request[0], request[1]) == 0);
    const Json reply = Json::parse(alice.expect_text("re.json/r1"));
    CHECK(reply["ok"] == false);
    CHECK(reply["id"] == "r1");
    CHECK(reply["code"] == request[2]);
    CHECK_FALSE(reply.contains("result"));
  }
}

TEST_CASE("ack: a send-only token reads no history") {
  Instance instance{"pump7", "bob"};
  ConnectOptions options = instance.login("pump7");
  options.password = instance.token("pump7", {.scope = parley::scope::send});
  Person pump = instance.connected("pump7", options);
  pump.listen({"ack/+", "re.json/+", "err"});
  CHECK(pump.send("bob", "secret") == "stored 1");
  CHECK(pump.publish("do.json/history/h1", R"({"conv":"bob"})") == 0);
  const Publication answer = pump.mqtt.expect_that("re.json or err", [&](const Publication& p) {
    return p.topic == pump.topic("re.json/h1") || p.topic == pump.topic("err");
  });
  CHECK(answer.payload.find("FORBIDDEN") != std::string::npos);
  CHECK(answer.payload.find("secret") == std::string::npos);
}

TEST_CASE("ack: a mark that makes no sense gets a line on err") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+", "err"});
  CHECK(alice.send("bob", "hi") == "stored 1");
  const std::vector<Row> marks{
      {"got/nobody", "1", "USER_NOT_FOUND"}, {"read/nobody", "1", "USER_NOT_FOUND"},
      {"got/bob", "one", "BAD_PAYLOAD"},     {"got/bob", "-1", "BAD_PAYLOAD"},
      {"got/bob", "", "BAD_PAYLOAD"},        {"read/bob", "99999999999999", "BAD_PAYLOAD"}};
  for (const Row& mark : marks) {
    CAPTURE(mark[0]);
    CAPTURE(mark[1]);
    CHECK(alice.publish(mark[0], mark[1]) == 0);
    CHECK(alice.expect_text("err").starts_with(mark[2] + " " + alice.topic(mark[0])));
  }
  instance.settle();
  CHECK(alice.mqtt.drain().empty());
}
