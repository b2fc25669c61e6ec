// Messages that are older than they may be go, and nothing else does.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// What was said in the room gets older: up to this seq by so many days. The worker is away
/// meanwhile.
void age(Instance& instance, const std::string& room, int up_to, int days) {
  auto& database = instance.database();
  const auto ago = std::to_string(days);
  database.query("SELECT make_message_partitions((now() - interval '" + ago + " days')::date, 2)");
  database.query("UPDATE messages SET created_at = now() - interval '" + ago +
                 " days', received_at = now() - interval '" + ago +
                 " days' WHERE seq <= " + std::to_string(up_to) +
                 " AND conversation_id = (SELECT id FROM names WHERE name = '" + room + "')");
  // The index says where a message lies.
  database.query(
      "UPDATE search_documents d SET created_at = m.created_at FROM messages m"
      " WHERE m.conversation_id = d.conversation_id AND m.seq = d.seq");
}

struct Rooms {
  explicit Rooms(const std::string& config)
      : instance{{"alice", "bob", "carol"}, {.config = config}},
        alice{instance.person("alice")},
        bob{instance.person("bob")} {
    for (Person* person : {&alice, &bob}) person->listen({"re.json/+", "ack/+"});
    instance.room("ops", {"alice", "bob"});
    instance.room("kept", {"alice", "bob"});
    for (int i = 1; i <= 6; ++i) {
      CHECK(alice.send("ops", "word " + std::to_string(i), "id" + std::to_string(i)) ==
            with_number("stored ", i));
    }
    CHECK(alice.send("kept", "word") == "stored 1");
    done(ask(bob, "msg.react", {{"conv", "ops"}, {"seq", 2}, {"emoji", "+1"}}));
    done(ask(bob, "msg.react", {{"conv", "ops"}, {"seq", 6}, {"emoji", "+1"}}));
    done(ask(alice, "msg.pin", {{"conv", "ops"}, {"seq", 1}}));
    eventually("it is indexed", [&] {
      return instance.database().number("SELECT count(*) FROM search_documents") == 7;
    });
    instance.stop_worker();
  }
  std::int64_t count(const std::string& table) {
    return instance.database().number(
        "SELECT count(*) FROM " + table +
        " WHERE conversation_id = (SELECT id FROM names WHERE name = 'ops')");
  }
  /// What is left: the messages behind this one, and all that works as before.
  void left_from(int seq) {
    eventually("the old ones are gone", [&] {
      return instance.database().number(
                 "SELECT first_seq FROM conversation_heads WHERE conversation_id ="
                 " (SELECT id FROM names WHERE name = 'ops')") == seq;
    });
    CHECK(count("messages") == 7 - seq);
    CHECK(count("search_documents") == 7 - seq);
    CHECK(count("reactions") == (seq > 2 ? 1 : 2));
    CHECK(count("pins") == 0);
    const Json page = done(ask(bob, "history", {{"conv", "ops"}}));
    REQUIRE(page["messages"].size() == static_cast<std::size_t>(7 - seq));
    CHECK(page["messages"][0]["seq"] == seq);
    CHECK(page["has_more"] == false);
    CHECK(done(ask(bob, "history", {{"conv", "ops"}, {"around_seq", 1}}))["messages"].size() ==
          page["messages"].size());
    CHECK(done(ask(bob, "search", {{"query", "word"}, {"conv", "ops"}}))["hits"].size() ==
          page["messages"].size());
    CHECK(refused(ask(alice, "msg.edit", {{"conv", "ops"}, {"seq", 1}, {"text", "x"}})) ==
          "NOT_FOUND");
    // A repeat of what is there is known, numbers go on, and a device gets what there is.
    CHECK(alice.send("ops", "word 6", "id6") == "stored 6");
    Person phone = instance.device("bob", "phone");
    phone.listen({"inbox/+"});
    CHECK(alice.send("ops", "word 7") == "stored 7");
    eventually("it came to the new one",
               [&] { return phone.expect_text("inbox/ops") == "alice: word 7"; });
    CHECK(done(ask(bob, "history", {{"conv", "kept"}}))["messages"].size() == 1);
  }
  Instance instance;
  Person alice, bob;
};

}  // namespace

TEST_CASE("retention: whole months go as partitions, the rest of one row by row") {
  Rooms rooms{"[retention]\ndays = 30\n"};
  auto& database = rooms.instance.database();
  age(rooms.instance, "ops", 4, 31);
  age(rooms.instance, "ops", 2, 400);
  const auto partitions = [&] {
    return database.number(
        "SELECT count(*) FROM message_partitions() WHERE next_month < now() - interval '40 days'");
  };
  CHECK(partitions() > 0);
  rooms.instance.start_worker();
  rooms.left_from(5);
  CHECK(partitions() == 0);
  CHECK(rooms.instance.worker().log().find("level=error") == std::string::npos);
}

TEST_CASE("retention: a room's own days") {
  Rooms rooms{""};
  rooms.instance.database().query(
      "UPDATE conversations SET retention_days = 20 WHERE name = 'ops'");
  age(rooms.instance, "ops", 3, 21);
  age(rooms.instance, "kept", 1, 21);
  rooms.instance.start_worker();
  rooms.left_from(4);
}

TEST_CASE("retention: what is younger than repeats are recognised by stays") {
  Rooms rooms{""};
  rooms.instance.database().query("UPDATE conversations SET retention_days = 1 WHERE name = 'ops'");
  age(rooms.instance, "ops", 3, 7);
  age(rooms.instance, "ops", 1, 9);
  rooms.instance.start_worker();
  rooms.left_from(2);
  CHECK(rooms.alice.send("ops", "word 3", "id3") == "stored 3");
}

TEST_CASE("retention: who has subscribed how a room stands is told what is left") {
  int days = 0;
  SUBCASE("row by row") { days = 31; }
  SUBCASE("with its month, whose partition goes later") { days = 400; }
  Rooms rooms{"[retention]\ndays = 30\n"};
  auto& database = rooms.instance.database();
  age(rooms.instance, "ops", 6, days);
  age(rooms.instance, "kept", 1, 1);
  database.query("BEGIN");
  database.query("SELECT FROM conversation_heads FOR UPDATE");  // retention waits for it
  rooms.instance.start_worker();
  Person bob = rooms.instance.person("bob");
  bob.listen({"state/#"});
  CHECK(bob.expect_text("state/unread") == "7");
  CHECK(Json::parse(bob.expect_text("state/conv/ops"))["last"]["text"] == "word 6");
  database.query("COMMIT");
  CHECK(bob.expect_text("state/unread") == "1");
  const Json ops = Json::parse(bob.expect_text("state/conv/ops"));
  CHECK(ops["unread"] == 0);
  CHECK(ops["last"] == nullptr);
}
