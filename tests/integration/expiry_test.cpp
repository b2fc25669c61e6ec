// Contents that are gone leave nothing behind: no words of an edit, no reaction, no pin, whether
// they were deleted, disappeared, or their sender is no more.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

const std::string in_ops = "conversation_id = (SELECT id FROM names WHERE name = 'ops')";

/// alice and bob in ops, where alice has said something that disappears in an hour, and more about
/// it.
struct Secret {
  Secret() {
    for (Person* person : {&alice, &bob}) person->listen({"re.json/+", "ack/+"});
    instance.room("ops", {"alice", "bob"});
    alice.publish("send.json/ops/s", R"({"text":"secret one","ttl_s":3600})");
    REQUIRE(alice.expect_text("ack/s") == "stored 1");
    done(ask(alice, "msg.edit", {{"conv", "ops"}, {"seq", 1}, {"text", "secret two"}}));
    done(ask(bob, "msg.react", {{"conv", "ops"}, {"seq", 1}, {"emoji", "+1"}}));
    done(ask(alice, "msg.pin", {{"conv", "ops"}, {"seq", 1}}));
    REQUIRE(alice.send("ops", "open") == "stored 2");
  }
  void expire() {
    database.query("UPDATE messages SET expires_at = now() WHERE seq = 1 AND " + in_ops);
    eventually("its contents are gone", [&] {
      return database.number("SELECT count(*) FROM messages WHERE deleted AND seq = 1 AND " +
                             in_ops) == 1;
    });
  }
  std::int64_t telling(const std::string& words) {
    return database.number("SELECT count(*) FROM changes WHERE event::text LIKE '%" + words + "%'");
  }
  /// An event as it was kept by a version that did not take it away.
  void tell_again() {
    database.query(
        "UPDATE changes SET event = '{\"edited\": {\"seq\": 1, \"text\": \"secret two\"}}'"
        " WHERE kind = 'edited' AND " +
        in_ops);
  }
  /// All that a new device is told of the room.
  std::string told() {
    Person phone = instance.device("bob", "phone");
    phone.listen({"re.json/+", "event.json/+", "inbox.json/+"});
    done(ask(phone, "sync", {{"positions", {{{"conv", "ops"}, {"rev", 0}}}}}));
    std::string all;
    for (;;) {
      const auto one = phone.mqtt.expect("#");
      all += one.payload;
      if (one.topic == phone.topic("inbox.json/ops") && Json::parse(one.payload)["text"] == "open")
        return all;
    }
  }
  Instance instance{"alice", "bob", "carol"};
  Database& database = instance.database();
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
};

/// Reactions of many others to the first message in ops, with an event each.
void react(Database& database, int many) {
  database.query(
      "INSERT INTO reactions SELECT id, 1, 1000 + n, '+1' FROM names, generate_series(1, " +
      std::to_string(many) + ") AS n WHERE name = 'ops'");
  database.query(
      "INSERT INTO changes (conversation_id, rev, seq, kind, user_id, event, last_seq)"
      " SELECT id, last_rev + n, 1, 'reaction', 1000 + n, '{\"reaction\": {}}', last_seq"
      " FROM names JOIN conversation_heads ON conversation_id = id, generate_series(1, " +
      std::to_string(many) + ") AS n WHERE name = 'ops'");
  database.query("UPDATE conversation_heads SET last_rev = last_rev + " + std::to_string(many) +
                 " WHERE " + in_ops);
}

}  // namespace

TEST_CASE("disappearing: the words of an edit go with it, and all that hangs on it") {
  Secret secret;
  CHECK(secret.told().find("secret two") != std::string::npos);
  secret.expire();
  CHECK(secret.telling("secret") == 0);
  CHECK(secret.database.number("SELECT count(*) FROM reactions") == 0);
  CHECK(secret.database.number("SELECT count(*) FROM pins") == 0);
  CHECK(secret.database.number("SELECT count(*) FROM changes WHERE event IS NOT NULL AND kind IN"
                               " ('edited', 'reaction', 'pinned')") == 0);
}

TEST_CASE("disappearing: no device is told what was said about it, even if that is still there") {
  Secret secret;
  secret.expire();
  secret.tell_again();
  const std::string told = secret.told();
  CAPTURE(told);
  CHECK(told.find("secret") == std::string::npos);
}

TEST_CASE("disappearing: as fast as they expire, however many") {
  Instance instance{"alice", "bob"};
  instance.room("ops", {"alice", "bob"});
  instance.stop_worker();
  auto& database = instance.database();
  database.query(
      "INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at,"
      " origin_spool, ingest_no, request_key, request_hash, kind, body, expires_at)"
      " SELECT id, n, n, 1, now(), now(), 1, n, decode(md5(n::text), 'hex'), '', 'text', 'secret',"
      " now() FROM names, generate_series(1, 20000) AS n WHERE name = 'ops'");
  database.query(
      "UPDATE conversation_heads SET last_seq = 20000, last_rev = 20000, last_at = now() WHERE " +
      in_ops);
  instance.start_worker();
  eventually(
      "all are gone",
      [&] { return database.number("SELECT count(*) FROM messages WHERE body <> ''") == 0; },
      Deadline{slowed(Milliseconds{10'000})});
}

TEST_CASE("msg.edit: the words of the edit before are gone, from what devices are told, too") {
  Secret secret;
  done(ask(secret.alice, "msg.edit", {{"conv", "ops"}, {"seq", 1}, {"text", "three"}}));
  CHECK(secret.telling("secret two") == 0);
  CHECK(secret.telling("three") == 1);
  const std::string told = secret.told();
  CHECK(told.find("secret") == std::string::npos);
  CHECK(told.find("\"three\"") != std::string::npos);
}

TEST_CASE("me.erase: also what was left of messages that had disappeared before") {
  Secret secret;
  secret.expire();
  secret.tell_again();
  done(ask(secret.alice, "me.erase", {{"confirm", "alice"}}));
  eventually("all of it is done",
             [&] { return secret.database.number("SELECT count(*) FROM erasures") == 0; });
  CHECK(secret.telling("secret") == 0);
}

TEST_CASE("msg.react, msg.pin: on and off again, and the last word is kept") {
  Secret secret;
  for (const auto* method : {"msg.react", "msg.pin"}) {
    for (int i = 0; i < 6; ++i) {
      Json request{{"conv", "ops"}, {"seq", 2}, {"removed", i % 2 == 1}};
      if (method == std::string{"msg.react"}) request["emoji"] = "!";
      done(ask(secret.alice, method, request));
    }
  }
  CHECK(
      secret.database.number("SELECT count(*) FROM changes WHERE event IS NOT NULL AND seq = 2 AND"
                             " kind = 'reaction'") == 1);
  CHECK(
      secret.database.number("SELECT count(*) FROM changes WHERE event IS NOT NULL AND seq = 2 AND"
                             " kind = 'pinned'") == 1);
  // Another sign and another message are not it.
  CHECK(
      secret.database.number("SELECT count(*) FROM changes WHERE event IS NOT NULL AND seq = 1 AND"
                             " kind IN ('reaction', 'pinned')") == 2);
  const auto rev =
      secret.database.number("SELECT last_rev FROM conversation_heads WHERE " + in_ops);
  Person phone = secret.instance.device("bob", "phone");
  phone.listen({"re.json/+", "event.json/+", "inbox.json/+"});
  done(ask(phone, "sync", {{"positions", {{{"conv", "ops"}, {"rev", rev - 12}}}}}));
  CHECK(Json::parse(phone.expect_text("event.json/ops"))["reaction"]["removed"] == true);
  CHECK(Json::parse(phone.expect_text("event.json/ops"))["pinned"]["removed"] == true);
}

TEST_CASE("msg.delete: of very much that hangs on a message some goes later, and nobody sees it") {
  Secret secret;
  react(secret.database, 3000);
  // What is to be done later is not done before this test has looked.
  Database holder{secret.instance.database_uri()};
  holder.query(
      "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      " PERFORM pg_advisory_xact_lock(4711); RETURN OLD; END $$");
  holder.query("SELECT pg_advisory_lock(4711)");
  holder.query(
      "CREATE TRIGGER wait BEFORE DELETE ON emptied_messages FOR EACH ROW"
      " EXECUTE FUNCTION wait()");
  done(ask(secret.alice, "msg.delete", {{"conv", "ops"}, {"seq", 1}}));
  CHECK(secret.database.number("SELECT count(*) FROM reactions") > 0);
  CHECK(secret.told().find("\"reaction\"") == std::string::npos);
  holder.query("SELECT pg_advisory_unlock(4711)");
  eventually("the rest is gone",
             [&] { return secret.database.number("SELECT count(*) FROM emptied_messages") == 0; });
  CHECK(secret.database.number("SELECT count(*) FROM reactions") == 0);
  CHECK(secret.telling("reaction") == 0);
}
