#include "tests/bench/filling.hpp"

#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

namespace parley::bench {

namespace {

using Steps = std::vector<std::pair<const char*, const char*>>;

/// What to run one after the other; `fill_size`, `fill_conversations` and `fill_members` are there
/// meanwhile. First who there is and who talks with whom.
const Steps& people() {
  static const Steps all{
      {"partitions",
       "SELECT make_message_partitions(((now() - interval '4 months') AT TIME ZONE 'UTC')::date, "
       "4)"},
      {"users",
       "WITH fresh AS (SELECT f.base + n AS id, 'n' || n AS name"
       "               FROM fill_size f, generate_series(1, f.users) AS n),"
       " named AS (INSERT INTO names (name, kind, id) SELECT name, 'user', id FROM fresh)"
       " INSERT INTO users (user_id, name, display_name)"
       " SELECT id, name, 'Number ' || name FROM fresh"},
      {"conversations of two",
       "INSERT INTO fill_conversations (kind, name, lo, hi, messages)"
       " SELECT DISTINCT ON (lo, hi) 'direct', NULL, lo, hi, 15 FROM ("
       "  SELECT LEAST(a, b) AS lo, GREATEST(a, b) AS hi FROM ("
       "   SELECT base + 1 + i % users AS a, base + 1 + (i * 7919 + i / users * 13 + 1) % users AS "
       "b"
       "   FROM fill_size, generate_series(1, directs) AS i"
       "   UNION ALL SELECT someone, base + i FROM fill_size, generate_series(1, 300) AS i) AS "
       "pairs"
       "  WHERE a <> b) AS ordered"},
      {"rooms",
       "INSERT INTO fill_conversations (kind, name, lo, hi, messages)"
       " SELECT 'room', 'room' || i, i, NULL::bigint, 1000 FROM fill_size, generate_series(1, "
       "rooms) AS i"
       " UNION ALL SELECT 'room', 'big', 0, NULL, 1000"},
      {"their ids", "UPDATE fill_conversations SET id = nextval('conversation_ids')"},
      {"members",
       "INSERT INTO fill_members (conversation_id, user_id, role)"
       " SELECT id, lo, 'member' FROM fill_conversations WHERE kind = 'direct'"
       " UNION SELECT id, hi, 'member' FROM fill_conversations WHERE kind = 'direct'"
       " UNION SELECT id, base + 1 + (lo * 50 + k) % users,"
       "  CASE WHEN k = 0 THEN 'owner' ELSE 'member' END"
       "  FROM fill_conversations, fill_size,"
       "   generate_series(0, CASE WHEN name = 'big' THEN 4999 ELSE 49 END) AS k"
       "  WHERE kind = 'room'"
       " UNION SELECT id, someone, 'owner' FROM fill_conversations, fill_size"
       "  WHERE kind = 'room' AND lo <= 200"},
      {"names of rooms",
       "INSERT INTO names (name, kind, id)"
       " SELECT name, 'room', id FROM fill_conversations WHERE kind = 'room'"},
      {"conversations",
       "INSERT INTO conversations (conversation_id, kind, name, title, member_count)"
       " SELECT id, kind, name, COALESCE(name, ''),"
       "  CASE WHEN kind = 'room' THEN (SELECT count(*) FROM fill_members m"
       "                                WHERE m.conversation_id = id) ELSE 0 END"
       " FROM fill_conversations"},
      {"pairs",
       "INSERT INTO direct_pairs SELECT lo, hi, id FROM fill_conversations WHERE kind = 'direct'"},
      {"cursors",
       "INSERT INTO members (conversation_id, user_id, got_seq, read_seq, role)"
       " SELECT m.conversation_id, m.user_id, c.messages - m.user_id % 5, c.messages - m.user_id % "
       "9,"
       "  m.role FROM fill_members m JOIN fill_conversations c ON c.id = m.conversation_id"},
      {"periods",
       "INSERT INTO membership_periods (conversation_id, user_id, joined_seq, since_seq)"
       " SELECT conversation_id, user_id, 0, 0 FROM fill_members"},
      {"whose they are",
       "INSERT INTO user_conversations (user_id, conversation_id)"
       " SELECT user_id, conversation_id FROM fill_members"}};
  return all;
}

/// Then what they have said, and done to it.
const Steps& contents() {
  static const Steps all{
      {"messages",
       "INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at,"
       "  origin_spool, ingest_no, request_key, request_hash, kind, body)"
       " SELECT c.id, s, s,"
       "  CASE WHEN c.kind = 'room' THEN f.base + 1 + (c.lo * 50 + s % 50) % f.users"
       "       WHEN s % 2 = 0 THEN c.lo ELSE c.hi END,"
       "  stored.at, stored.at, 1, c.id * 1000 + s, decode(md5(c.id || '/' || s), 'hex'),"
       "  decode(md5('h' || s), 'hex'), 'text',"
       "  substr(repeat(md5(s || '-' || c.id) || ' ', 4), 1, (20 + s * 37 % 100)::int)"
       " FROM fill_conversations c, fill_size f, generate_series(1, c.messages) AS s,"
       "  LATERAL (SELECT f.starts_at + (f.ends_at - f.starts_at) * (s::float8 / c.messages)) AS"
       "   stored(at)"
       " ORDER BY c.id, s"},
      {"changes",
       "INSERT INTO changes (conversation_id, rev, seq, kind, user_id, event, origin_spool,"
       "  ingest_no, last_seq, is_message)"
       " SELECT c.id, c.messages + k, k, 'reaction', c.lo,"
       "  '{\"reaction\": {\"seq\": 1, \"user\": \"n1\", \"emoji\": \"x\", \"removed\": false}}', "
       "2,"
       "  c.id * 10 + k, c.messages, false"
       " FROM fill_conversations c, generate_series(1, 2) AS k"},
      {"heads",
       "INSERT INTO conversation_heads (conversation_id, last_seq, last_rev, last_at)"
       " SELECT c.id, c.messages, c.messages + 2, f.ends_at FROM fill_conversations c, fill_size "
       "f"},
      {"reactions",
       "INSERT INTO reactions SELECT c.id, k, m.user_id, 'x' FROM fill_conversations c"
       " JOIN fill_members m ON m.conversation_id = c.id AND c.kind = 'direct',"
       " generate_series(1, 2) AS k"},
      {"devices",
       "INSERT INTO devices (user_id, device, confirms)"
       " SELECT base + n, 'phone', true FROM fill_size, generate_series(1, users / 2) AS n"},
      {"device marks",
       "INSERT INTO device_marks (user_id, device, conversation_id, got_seq)"
       " SELECT d.user_id, d.device, m.conversation_id, m.got_seq FROM devices d"
       " JOIN members m ON m.user_id = d.user_id"},
      {"contacts",
       "INSERT INTO contacts (user_id, other_id, state)"
       " SELECT base + n, base + n % users + 1, 'friend' FROM fill_size, generate_series(1, users) "
       "AS n"
       " UNION SELECT base + n % users + 1, base + n, 'friend'"
       "  FROM fill_size, generate_series(1, users) AS n"},
      {"blocks",
       "INSERT INTO blocks SELECT base + n, base + 1 + (n * 31) % users"
       " FROM fill_size, generate_series(1, users, 10) AS n"},
      {"VACUUM ANALYZE", "VACUUM (ANALYZE)"}};
  return all;
}

}  // namespace

void fill(test::Database& database, const Filling& filling, const std::string& someone) {
  using Clock = std::chrono::steady_clock;
  database.query("SET synchronous_commit = off");
  database.query("SET work_mem = '128MB'");
  database.query(
      "CREATE TABLE fill_size AS SELECT (SELECT user_id FROM users WHERE name = $2) AS someone,"
      " (SELECT max(user_id) FROM users) AS base, GREATEST($1::bigint / 50, 5001) AS users,"
      " GREATEST($1::bigint / 25, 1) AS directs, GREATEST($1::bigint / 2500, 1) AS rooms,"
      " date_trunc('month', now() - interval '4 months') AS starts_at,"
      " now() - interval '1 minute' AS ends_at",
      {std::to_string(filling.messages), someone});
  database.query(
      "CREATE TABLE fill_conversations (id bigint, kind text, name text, lo bigint, hi bigint,"
      " messages bigint)");
  database.query("CREATE TABLE fill_members (conversation_id bigint, user_id bigint, role text)");
  database.query("SELECT setval('user_ids', (SELECT base + users FROM fill_size))");
  for (const Steps* steps : {&people(), &contents()}) {
    for (const auto& [name, sql] : *steps) {
      const auto began = Clock::now();
      database.query(sql);
      const std::chrono::duration<double> took = Clock::now() - began;
      if (took.count() > 1) std::printf("filling: %s: %.1f s\n", name, took.count());
      std::fflush(stdout);
    }
  }
  database.query("DROP TABLE fill_size, fill_conversations, fill_members");
}

}  // namespace parley::bench
