// What is asked for while somebody else holds what it needs: it waits for him, in an order in which
// he never has to wait for it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/deadline.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

struct Crowd {
  Crowd()
      : instance{"alice", "bob", "carol", "dave"},
        other{instance.database_uri()},
        alice{instance.person("alice")},
        bob{instance.person("bob")} {
    for (Person* person : {&alice, &bob}) person->listen({"re.json/+", "ack/+"});
    // Of two who wait for each other it is the one who learns of it.
    other.query("SET deadlock_timeout = '10ms'");
  }
  /// Until so many wait for what others hold.
  void wait_for_waiting(int many) {
    eventually("somebody waits", [&] {
      return instance.database().number(
                 "SELECT count(*) FROM pg_stat_activity"
                 " WHERE datname = current_database() AND wait_event_type = 'Lock'") == many;
    });
  }
  /// Asks without waiting for the answer, which comes as "re.json/<id>".
  static void begin(Person& person, const std::string& method, const Json& request) {
    person.publish("do.json/" + method + "/" + method, request.dump());
  }
  static Json ended(Person& person, const std::string& method) {
    return done(Json::parse(person.expect_text("re.json/" + method)));
  }
  std::string conversation(const std::string& one, const std::string& two) {
    return instance.database().value(
        "SELECT conversation_id FROM direct_pairs WHERE user_lo = $1::bigint AND user_hi = $2",
        {std::to_string(instance.user_id(one)), std::to_string(instance.user_id(two))});
  }
  /// Alice has written to dave, then to bob; whoever takes the rows as they come finds bob's first.
  void two_conversations() {
    CHECK(alice.send("dave", "hello") == "stored 1");
    CHECK(alice.send("bob", "hello") == "stored 1");
    for (const std::string table : {"direct_pairs", "members"}) {
      instance.database().query("WITH gone AS (DELETE FROM " + table +
                                    " WHERE conversation_id = $1 RETURNING *) INSERT INTO " +
                                    table + " SELECT * FROM gone",
                                {conversation("alice", "dave")});
    }
  }

  Instance instance;
  Database other;
  Person alice, bob;
};

}  // namespace

TEST_CASE("block.add: counts for a first message that comes while it is carried out") {
  Crowd crowd;
  crowd.other.query("BEGIN");
  crowd.other.query(
      "SELECT do_block_add(ROW(user_id, name, '', 7, 1, 1, now(), '{}')::asker, 0,"
      " '{\"user\": \"alice\"}') FROM users WHERE name = 'bob'");
  crowd.alice.publish("send/bob", "hello?");
  crowd.wait_for_waiting(1);
  crowd.other.query("COMMIT");
  CHECK(crowd.alice.expect_text("ack/-") == "refused BLOCKED");
}

TEST_CASE("block.add: finds the conversation that a first message is about to make") {
  Crowd crowd;
  crowd.other.query("BEGIN");
  crowd.other.query("LOCK TABLE direct_pairs IN SHARE MODE");
  crowd.alice.publish("send/bob", "hello?");
  crowd.wait_for_waiting(1);
  Crowd::begin(crowd.bob, "block.add", {{"user", "alice"}});
  crowd.wait_for_waiting(2);
  crowd.other.query("COMMIT");
  Crowd::ended(crowd.bob, "block.add");
  (void)crowd.alice.expect_text("ack/-");  // before the block, or behind it
  CHECK(crowd.alice.send("bob", "again") == "refused BLOCKED");
}

TEST_CASE("me.set: write_to_me takes conversations in the order in which lanes do") {
  Crowd crowd;
  crowd.two_conversations();
  const auto lock = [&](const std::string& with) {
    crowd.other.query("SELECT FROM conversation_heads WHERE conversation_id = $1 FOR NO KEY UPDATE",
                      {crowd.conversation("alice", with)});
  };
  crowd.other.query("BEGIN");
  lock("dave");
  Crowd::begin(crowd.alice, "me.set", {{"write_to_me", "contacts"}});
  crowd.wait_for_waiting(1);
  lock("bob");
  crowd.other.query("COMMIT");
  CHECK(Crowd::ended(crowd.alice, "me.set")["write_to_me"] == "contacts");
  CHECK(crowd.bob.send("alice", "may I?") == "refused FORBIDDEN");
  CHECK(crowd.instance.database().number("SELECT count(*) FROM members WHERE role = 'stranger'") ==
        2);
}

TEST_CASE("me.erase: takes memberships in the order in which cursors do") {
  Crowd crowd;
  crowd.two_conversations();
  const auto lock = [&](const std::string& with) {
    crowd.other.query("SELECT FROM members WHERE conversation_id = $1 FOR NO KEY UPDATE",
                      {crowd.conversation("alice", with)});
  };
  crowd.other.query("BEGIN");
  lock("dave");
  Crowd::begin(crowd.alice, "me.erase", {{"confirm", "alice"}});
  crowd.wait_for_waiting(1);
  lock("bob");
  crowd.other.query("COMMIT");
  Crowd::ended(crowd.alice, "me.erase");
}

TEST_CASE("room.kick: takes members in the order in which cursors do, and tells them as asked") {
  Crowd crowd;
  crowd.instance.room("ops", {"alice", "bob", "carol"});
  const auto lock = [&](const std::string& who) {
    crowd.other.query("SELECT FROM members WHERE user_id = $1 FOR NO KEY UPDATE",
                      {std::to_string(crowd.instance.user_id(who))});
  };
  crowd.other.query("BEGIN");
  lock("bob");
  Crowd::begin(crowd.alice, "room.kick", {{"room", "ops"}, {"users", {"carol", "bob"}}});
  crowd.wait_for_waiting(1);
  lock("carol");
  crowd.other.query("COMMIT");
  CHECK(Crowd::ended(crowd.alice, "room.kick")["done"] == Json::parse(R"(["carol","bob"])"));
  CHECK(crowd.instance.database().number(
            "SELECT count(*) FROM members JOIN conversations USING (conversation_id)"
            " WHERE name = 'ops'") == 1);
}

TEST_CASE("sync: a mark of this device that is made meanwhile is put back") {
  Crowd crowd;
  CHECK(crowd.alice.send("bob", "one") == "stored 1");
  CHECK(crowd.alice.send("bob", "two") == "stored 2");
  auto phone = crowd.instance.device("bob", "phone");
  phone.listen({"re.json/+"});
  crowd.other.query("BEGIN");
  crowd.other.query(
      "INSERT INTO device_marks (user_id, device, conversation_id, got_seq)"
      " SELECT user_id, 'phone', conversation_id, 2 FROM members JOIN users USING (user_id)"
      " WHERE name = 'bob'");
  Crowd::begin(phone, "sync", {{"positions", {{{"conv", "alice"}, {"rev", 1}}}}});
  crowd.wait_for_waiting(1);
  crowd.other.query("COMMIT");
  CHECK(Crowd::ended(phone, "sync")["conversations"].size() == 1);
}

TEST_CASE("ttl: what somebody holds does not keep the others from disappearing") {
  Crowd crowd;
  for (const char* const text : {"held", "free"}) {
    crowd.alice.publish("send.json/bob", Json{{"text", text}, {"ttl_s", 2}}.dump());
  }
  crowd.instance.settle();
  crowd.other.query("BEGIN");
  REQUIRE(crowd.other.query("SELECT seq FROM messages WHERE body = 'held' FOR UPDATE").size() == 1);
  auto& database = crowd.instance.database();
  const auto there = [&](const std::string& text) {
    return database.number("SELECT count(*) FROM messages WHERE body = $1", {text}) == 1;
  };
  eventually("the other one is gone", [&] { return !there("free"); });
  CHECK(there("held"));
  crowd.other.query("COMMIT");
  eventually("both are gone", [&] { return !there("held"); });
}
