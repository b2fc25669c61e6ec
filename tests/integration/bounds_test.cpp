// Questions whose cost and answers must not grow with all that was ever said.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// Rows of this table, and of its partitions, that `sql` makes the server look at.
std::int64_t looked_at(Database& database, const std::string& table, const std::string& sql) {
  database.query("BEGIN");
  const std::string count =
      "SELECT COALESCE(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"
      " WHERE starts_with(relname, '" +
      table + "')";
  const auto before = database.number(count);
  database.query(sql);
  const auto after = database.number(count);
  database.query("COMMIT");
  return after - before;
}

/// A database without a server around it, with one room, its member 1, and what he has said.
struct Archive {
  explicit Archive(int messages) {
    database.query(
        "INSERT INTO conversations (conversation_id, kind, name, member_count)"
        " VALUES (7, 'room', 'ops', 1)");
    database.query("INSERT INTO members (conversation_id, user_id) VALUES (7, 1)");
    database.query("INSERT INTO conversation_heads (conversation_id) VALUES (7)");
    say(messages);
  }
  void say(int messages) {
    database.query(
        "INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at,"
        "  origin_spool, ingest_no, request_key, request_hash, kind, body)"
        " SELECT 7, h.last_seq + n, h.last_rev + n, 1, now(), now(), 1, n, key, key, 'text', 'x'"
        " FROM conversation_heads h, generate_series(1, $1::int) AS n,"
        "  LATERAL (SELECT decode(md5((h.last_seq + n)::text), 'hex') AS key) AS k",
        {std::to_string(messages)});
    database.query(
        "UPDATE conversation_heads SET last_seq = last_seq + $1, last_rev = last_rev + $1",
        {std::to_string(messages)});
  }
  std::string uri = Postgres::shared().create_database();
  Database database{uri};
};

constexpr const char* who = "ROW(1, 'u1', '', 7, 1, 1, now(), '{}')::asker";

}  // namespace

TEST_CASE("unread: counted among the newest 10,000 messages, whoever sent them") {
  Archive archive{30'000};
  auto& database = archive.database;
  const auto unread = [&](const std::string& user) {
    return "SELECT unread_in(7, " + user + ", 0)";
  };
  CHECK(looked_at(database, "messages", unread("1")) <= 10'000);
  CHECK(looked_at(database, "messages", unread("2")) <= 10'000);
  CHECK(database.number(unread("1")) == 0);
  CHECK(database.number(unread("2")) == 10'000);
  CHECK(database.number("SELECT unread_in(7, 2, 29990)") == 10);
  CHECK(looked_at(database, "messages", "SELECT unread_in(7, 2, 29990)") <= 10);
}

TEST_CASE("rev_at: is what the messages say, after a few rows, whatever happened since") {
  Archive archive{3};
  auto& database = archive.database;
  const auto happen = [&](const std::string& function, int times) {
    database.query("SELECT " + function + " FROM generate_series(1, " + std::to_string(times) +
                   ")");
  };
  const std::string reaction = "add_change(" + std::string{who} + ", 7, 'reaction', 1, '{}')";
  const std::string joined =
      "add_system_message(" + std::string{who} + ", 7, 'joined', 'hello', '{}')";
  happen(reaction, 2);
  archive.say(2);
  happen(joined, 3);
  happen(reaction, 1);
  happen(joined, 1);
  archive.say(3);
  happen(reaction, 5'000);
  database.query("ANALYZE");
  const auto wrong =
      database.query("SELECT seq, rev, rev_at(7, seq) FROM messages WHERE rev <> rev_at(7, seq)");
  CHECK(wrong.empty());
  CHECK(database.number("SELECT count(*) FROM messages") == 12);
  for (const int seq : {1, 4, 8, 12}) {
    CAPTURE(seq);
    CHECK(looked_at(database, "changes", "SELECT rev_at(7, " + std::to_string(seq) + ")") <= 2);
  }
}

TEST_CASE("room.get, receipts: name 5,000, first of all those who lead; the count is the whole") {
  Instance instance{"alice", "zoe"};
  instance.room("crowd", {"alice", "zoe"});
  auto& database = instance.database();
  database.query("UPDATE members SET role = 'admin' WHERE user_id = $1",
                 {std::to_string(instance.user_id("zoe"))});
  database.query(
      "WITH made AS (INSERT INTO users (user_id, name)"
      "              SELECT nextval('user_ids'), 'm' || n FROM generate_series(1, 5998) AS n"
      "              RETURNING user_id)"
      " SELECT count(enter_room(conversation_id, user_id, 'member')) FROM made, conversations");
  auto alice = instance.person("alice");
  alice.listen({"re.json/+", "ack/+"});
  const Json room = done(ask(alice, "room.get", {{"room", "crowd"}}));
  CHECK(room["room"]["member_count"] == 6'000);
  REQUIRE(room["members"].size() == 5'000);
  CHECK(room["members"].front() == Json{{"user", "alice"}, {"role", "owner"}});
  CHECK(room["members"].back() == Json{{"user", "zoe"}, {"role", "admin"}});
  CHECK(alice.send("crowd", "hello, all of you") == "stored 1");
  const Json receipts = done(ask(alice, "receipts", {{"conv", "crowd"}, {"seq", 1}}));
  CHECK(receipts["pending"].size() == 5'000);
  CHECK(receipts["pending"].front() == "m1");
  CHECK(receipts["got"].empty());
  CHECK(receipts["read"].empty());
}

TEST_CASE("limits: a result that no packet carries is refused, and keeps nobody waiting") {
  Instance instance{"alice"};
  instance.database().query(
      "WITH made AS (INSERT INTO users (user_id, name)"
      "  SELECT nextval('user_ids'), 'n' || lpad(n::text, 60, '0') FROM generate_series(1, 12000) "
      "AS n"
      "  RETURNING user_id)"
      " INSERT INTO blocks SELECT u.user_id, made.user_id FROM made, users u WHERE u.name = "
      "'alice'");
  Person alice = instance.person("alice");
  alice.listen({"re.json/+"});
  const Json refused = ask(alice, "block.list", Json::object());
  CHECK(refused["ok"] == false);
  CHECK(refused["code"] == "TOO_LARGE");
  CHECK(ask(alice, "me.get", Json::object())["ok"] == true);
}
