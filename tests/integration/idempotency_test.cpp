// The same request id again.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

struct Talk {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person5("alice");
  Person bob = instance.person("bob");
  Talk() {
    alice.listen({"ack/+", "ack.json/+"});
    bob.listen({"inbox/+"});
  }
  /// Both forms of the next ack with that id.
  std::pair<std::string, Json> acks(const std::string& id) {
    std::string text = alice.expect_text("ack/" + id);
    return {text, Json::parse(alice.expect_text("ack.json/" + id))};
  }
  void publish(const std::string& rest, const std::string& payload,
               const std::vector<UserProperty>& properties = {}) {
    REQUIRE(alice.mqtt.publish(
                {.topic = alice.topic(rest), .payload = payload, .user_properties = properties}) ==
            0);
  }
  /// Nothing was delivered but these, in this order; `count` rows in all.
  void check_delivered(const std::vector<std::string>& texts) {
    instance.settle();
    std::vector<std::string> came;
    for (const Publication& publication : bob.mqtt.drain()) came.push_back(publication.payload);
    CHECK(came == texts);
    CHECK(instance.stored_direct("alice", "bob").size() == texts.size());
  }
};

}  // namespace

TEST_CASE("idempotency: the same id twice gives two equal acks, one row, one delivery") {
  Talk talk;
  talk.publish("send/bob/once", "backup ok");
  const auto first = talk.acks("once");
  talk.publish("send/bob/once", "backup ok");
  const auto second = talk.acks("once");
  CHECK(first.first == "stored 1");
  CHECK(second == first);
  talk.check_delivered({"backup ok"});
}

TEST_CASE("idempotency: a repeat keeps the seq and the time of the first, also later on") {
  Talk talk;
  talk.publish("send/bob/k1", "one");
  const auto first = talk.acks("k1");
  talk.publish("send/bob/k2", "two");
  talk.acks("k2");
  talk.instance.kill_worker();
  talk.instance.start_worker();
  talk.publish("send/bob/k1", "one");
  CHECK(talk.acks("k1") == first);
  talk.check_delivered({"one", "two"});
}

TEST_CASE("idempotency: a repeat is known also to who is no member any more") {
  Talk talk;
  talk.instance.room("ops", {"bob", "alice"});
  talk.publish("send/ops/once", "backup ok");
  const auto first = talk.acks("once");
  CHECK(first.first == "stored 1");
  talk.alice.listen({"re.json/+"});
  done(ask(talk.alice, "room.leave", {{"room", "ops"}}));
  talk.publish("send/ops/once", "backup ok");
  CHECK(talk.acks("once") == first);
  talk.publish("send/ops/once", "something else");
  CHECK(talk.acks("once").first == "refused ID_CONFLICT");
  talk.publish("send/ops/another", "backup ok");
  CHECK(talk.acks("another").first == "refused NOT_MEMBER");
  CHECK(talk.instance.database().number("SELECT count(*) FROM messages WHERE kind = 'text'") == 1);
}

TEST_CASE("idempotency: repeats that are under way together are stored once") {
  Talk talk;
  constexpr int copies = 20;
  for (int i = 0; i < copies; ++i) {
    talk.alice.mqtt.publish_soon({.topic = talk.alice.topic("send/bob/k"), .payload = "same"});
  }
  REQUIRE(talk.alice.mqtt.await_answers());
  const auto first = talk.acks("k");
  CHECK(first.first == "stored 1");
  for (int i = 1; i < copies; ++i) CHECK(talk.acks("k") == first);
  talk.check_delivered({"same"});
}

TEST_CASE("idempotency: the same id with another content is a conflict") {
  Talk talk;
  talk.publish("send/bob/k", "one");
  CHECK(talk.acks("k").first == "stored 1");
  talk.publish("send/bob/k", "two");
  CHECK(talk.alice.expect_text("ack/k") == "refused ID_CONFLICT");
  const Json refused = Json::parse(talk.alice.expect_text("ack.json/k"));
  CHECK(refused["ok"] == false);
  CHECK(refused["code"] == "ID_CONFLICT");
  for (const char* other :
       {R"({"text":"one","kind":"note"})", R"({"text":"one","body":"AAA="})",
        R"({"text":"one","content_type":"text/plain"})", R"({"text":"one","mentions":["bob"]})",
        R"({"text":"one","ttl_s":3600})", R"({"text":"one","attachments":[{"name":"a"}]})"}) {
    CAPTURE(other);
    talk.publish("send.json/bob/k", other);
    CHECK(talk.acks("k").first == "refused ID_CONFLICT");
  }
  talk.publish("send/bob/k", "one", {{"ttl", "3600"}});
  CHECK(talk.acks("k").first == "refused ID_CONFLICT");
  talk.check_delivered({"one"});
}

TEST_CASE("idempotency: the id counts by topic, by payload and by user property alike") {
  Talk talk;
  talk.publish("send/bob/k", "one");
  const auto first = talk.acks("k");
  talk.publish("send/bob", "one", {{"id", "k"}});
  CHECK(talk.acks("k") == first);
  talk.publish("send.json/bob", R"({"id":"k","text":"one"})");
  CHECK(talk.acks("k") == first);
  talk.publish("send.json/bob", R"({"text":"one"})", {{"id", "k"}});
  CHECK(talk.acks("k") == first);
  talk.publish("send.pb/bob", std::string("\x0a\x01k\x12\x03one", 8));
  CHECK(talk.acks("k") == first);
  talk.check_delivered({"one"});
}

TEST_CASE("idempotency: the topic's id goes before the payload's, that before the property's") {
  Talk talk;
  talk.publish("send.json/bob/in-topic", R"({"id":"in-payload","text":"one"})",
               {{"id", "in-property"}});
  CHECK(talk.acks("in-topic").first == "stored 1");
  talk.publish("send.json/bob", R"({"id":"in-payload","text":"two"})", {{"id", "in-property"}});
  CHECK(talk.acks("in-payload").first == "stored 2");
  talk.publish("send/bob", "three", {{"id", "in-property"}});
  CHECK(talk.acks("in-property").first == "stored 3");
}

TEST_CASE("idempotency: an id is the sender's own, in one conversation") {
  Talk talk;
  talk.publish("send/bob/k", "one");
  CHECK(talk.acks("k").first == "stored 1");
  talk.publish("send/carol/k", "another");
  CHECK(talk.acks("k").first == "stored 1");
  Person bob = talk.instance.person("bob");
  bob.listen({"ack/+"});
  CHECK(bob.send("alice", "mine", "k") == "stored 2");
}

TEST_CASE("idempotency: without an id the same text twice is two messages") {
  Talk talk;
  talk.publish("send/bob", "tick");
  CHECK(talk.acks("-").first == "stored 1");
  talk.publish("send/bob", "tick");
  CHECK(talk.acks("-").first == "stored 2");
  talk.check_delivered({"tick", "tick"});
}

TEST_CASE("idempotency: an id of earlier this month is still a repeat, and keeps nobody waiting") {
  // Longer ago than a week it need not be one, but the month's ids are unique in the database.
  Talk talk;
  talk.publish("send/bob/boot", "one");
  const auto first = talk.acks("boot");
  talk.instance.database().query(
      "UPDATE messages SET created_at = GREATEST(created_at - interval '20 days',"
      " date_trunc('month', created_at, 'UTC'))");
  talk.publish("send/bob/boot", "one");
  CHECK(talk.acks("boot") == first);
  talk.publish("send/bob/next", "two");
  CHECK(talk.acks("next").first == "stored 2");
}
