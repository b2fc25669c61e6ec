// Questions whose cost and answers must not grow with all that was ever said.
#include <doctest/doctest.h>

#include "tests/support/instance.hpp"

using namespace parley::test;

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
