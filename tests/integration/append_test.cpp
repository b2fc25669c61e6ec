// Messages that are stored without asking first: what has happened meanwhile is noticed.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// Alice has written to bob and to carol, so that the lanes know where both conversations stand.
struct Known {
  Instance instance{"alice", "bob", "carol"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  Person carol = instance.person("carol");
  Known() {
    alice.listen({"ack/+", "ack.json/+"});
    bob.listen({"inbox/+"});
    carol.listen({"inbox/+"});
    for (const auto* const other : {"bob", "carol"}) {
      CHECK(alice.send(other, "one") == "stored 1");
      CHECK(alice.send(other, "two") == "stored 2");
    }
  }
  std::string with(const std::string& other) {
    return instance.database().value(
        "SELECT conversation_id FROM direct_pairs WHERE user_lo = $1::bigint AND user_hi = $2",
        {std::to_string(instance.user_id("alice")), std::to_string(instance.user_id(other))});
  }
  /// As one of the database's own functions does it.
  void let(const std::string& who, const std::string& role, const std::string& conversation) {
    instance.database().query(
        "WITH changed AS (UPDATE members SET role = $1 WHERE conversation_id = $2 AND user_id = $3)"
        " UPDATE conversation_heads SET members_version = members_version + 1"
        " WHERE conversation_id = $2",
        {role, conversation, std::to_string(instance.user_id(who))});
  }
  void expect_all(Person& person, const std::vector<std::string>& texts) {
    for (const auto& text : texts) CHECK(person.expect_text("inbox/alice") == text);
    instance.settle();
    CHECK(person.mqtt.drain().empty());
  }
};

}  // namespace

TEST_CASE("append: what has happened to a conversation meanwhile is noticed") {
  Known known;
  known.instance.database().query(
      "UPDATE conversation_heads SET last_rev = last_rev + 5 WHERE conversation_id = $1",
      {known.with("bob")});
  CHECK(known.alice.send("bob", "three", "id-3") == "stored 3");
  CHECK(Json::parse(known.alice.expect_text("ack.json/id-3"))["rev"] == 8);
  CHECK(known.alice.send("bob", "four") == "stored 4");
  known.expect_all(known.bob, {"one", "two", "three", "four"});
}

TEST_CASE("append: who may no longer write is refused with the next message") {
  Known known;
  known.let("alice", "blocked", known.with("bob"));
  CHECK(known.alice.send("bob", "hear me") == "refused BLOCKED");
  CHECK(known.alice.send("carol", "and you") == "stored 3");
  known.let("alice", "member", known.with("bob"));
  CHECK(known.alice.send("bob", "again") == "stored 3");
  known.expect_all(known.bob, {"one", "two", "again"});
  known.expect_all(known.carol, {"one", "two", "and you"});
}

TEST_CASE("append: of many at once those go on whose conversation is as it was, all in order") {
  Known known;
  known.instance.database().query(
      "UPDATE conversation_heads SET last_rev = last_rev + 1 WHERE conversation_id = $1",
      {known.with("carol")});
  std::vector<std::string> texts{"one", "two"};
  for (int i = 3; i <= 200; ++i) {
    texts.push_back(std::to_string(i));
    for (const auto* const other : {"bob", "carol"}) {
      const std::string topic = known.alice.topic(std::string{"send/"} + other);
      known.alice.mqtt.publish_soon({.topic = topic, .payload = texts.back(), .qos = 1});
    }
  }
  REQUIRE(known.alice.mqtt.await_answers());
  known.expect_all(known.bob, texts);
  known.expect_all(known.carol, texts);
}

TEST_CASE("append: a repeat among others is answered as the first time, and stops none of them") {
  Known known;
  CHECK(known.alice.send("bob", "three", "k") == "stored 3");
  std::vector<std::string> texts{"one", "two", "three"};
  for (int i = 4; i <= 50; ++i) {
    texts.push_back(std::to_string(i));
    known.alice.mqtt.publish_soon(
        {.topic = known.alice.topic("send/bob"), .payload = texts.back(), .qos = 1});
    known.alice.mqtt.publish_soon(
        {.topic = known.alice.topic("send/bob/k"), .payload = "three", .qos = 1});
  }
  REQUIRE(known.alice.mqtt.await_answers());
  for (int i = 4; i <= 50; ++i) {
    CHECK(known.alice.expect_text("ack/-") == "stored " + std::to_string(i));
    CHECK(known.alice.expect_text("ack/k") == "stored 3");
  }
  known.expect_all(known.bob, texts);
  CHECK(known.instance.stored_direct("alice", "bob").size() == texts.size());
}

TEST_CASE("append: another worker that has taken over is noticed, and nothing is stored twice") {
  Known known;
  known.instance.database().query("UPDATE lanes SET owner_epoch = owner_epoch + 1");
  known.alice.mqtt.publish_soon(
      {.topic = known.alice.topic("send/bob"), .payload = "three", .qos = 1});
  REQUIRE(known.alice.mqtt.await_answers());
  CHECK(known.instance.worker().process().wait() == 3);
  CHECK(known.instance.stored_direct("alice", "bob").size() == 2);
}
