#include <array>

#include "worker/statements.hpp"

namespace parley::sql {
namespace {

const PgStatement lock_heads_statement{"lock_heads", R"sql(
SELECT COALESCE((SELECT owner_epoch = $2 FROM lanes WHERE lane = $1), false), count(*)
FROM (SELECT conversation_id FROM conversation_heads WHERE conversation_id = ANY ($3::bigint[])
      ORDER BY conversation_id FOR NO KEY UPDATE) AS locked)sql"};

// Runs in the same transaction after lock_heads, and so with a snapshot that is newer than the
// locks.
const PgStatement store_messages_statement{"store_messages", R"sql(
WITH input AS MATERIALIZED (
  SELECT * FROM unnest($4::bigint[], $5::bigint[], $6::timestamptz[], $7::bigint[], $8::bigint[], $9::bytea[],
                       $10::bytea[], $11::text[], $12::text[], $13::text[], $14::bytea[], $15::timestamptz[])
    WITH ORDINALITY AS i(conversation_id, sender_id, received_at, origin_spool, ingest_no, request_key,
                         request_hash, request_id, kind, body, extra, expires_at, ord)
), judged AS MATERIALIZED (
  SELECT i.*, h.last_seq, h.last_rev, GREATEST(h.last_at, statement_timestamp()) AS stored_at, m.role,
         p.seq AS old_seq, p.rev AS old_rev, p.received_at AS old_received_at,
         p.origin_spool = i.origin_spool AND p.ingest_no = i.ingest_no AS same_origin,
         p.request_hash = i.request_hash AS same_content
  FROM input i
  JOIN conversation_heads h ON h.conversation_id = i.conversation_id
  LEFT JOIN members m ON m.conversation_id = i.conversation_id AND m.user_id = i.sender_id
  LEFT JOIN LATERAL (
    SELECT x.seq, x.rev, x.received_at, x.origin_spool, x.ingest_no, x.request_hash FROM messages x
    WHERE x.conversation_id = i.conversation_id AND x.sender_id = i.sender_id
      AND x.request_key = i.request_key AND x.created_at >= $3
    LIMIT 1) p ON true
  WHERE (SELECT owner_epoch FROM lanes WHERE lane = $1) = $2
), fresh AS MATERIALIZED (
  SELECT j.*, j.last_seq + row_number() OVER w AS new_seq, j.last_rev + row_number() OVER w AS new_rev
  FROM judged j WHERE old_seq IS NULL AND role IN ('owner', 'admin', 'member')
  WINDOW w AS (PARTITION BY conversation_id ORDER BY ord)
), stored AS (
  INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at, origin_spool, ingest_no,
                        request_key, request_hash, request_id, kind, body, extra, expires_at)
  SELECT conversation_id, new_seq, new_rev, sender_id, received_at, stored_at, origin_spool, ingest_no,
         request_key, request_hash, request_id, kind, body, extra, expires_at
  FROM fresh ORDER BY ord
), heads AS (
  UPDATE conversation_heads h SET last_seq = f.seq, last_rev = f.rev, last_at = f.at
  FROM (SELECT conversation_id, max(new_seq) AS seq, max(new_rev) AS rev, max(stored_at) AS at
        FROM fresh GROUP BY conversation_id) f
  WHERE h.conversation_id = f.conversation_id
)
SELECT CASE WHEN j.same_origin THEN 'replayed'
            WHEN j.old_seq IS NULL AND j.role IS NULL THEN 'not_member'
            WHEN j.old_seq IS NULL AND j.role IN ('readonly', 'blocked', 'stranger') THEN j.role
            WHEN j.old_seq IS NULL THEN 'stored'
            WHEN j.same_content THEN 'repeated'
            ELSE 'id_conflict' END,
       COALESCE(j.old_seq, f.new_seq), COALESCE(j.old_rev, f.new_rev), COALESCE(j.old_received_at, j.received_at)
FROM judged j LEFT JOIN fresh f ON f.ord = j.ord
ORDER BY j.ord)sql"};

// The normal way, of which lock_heads and store_messages are the careful one: the lane says where
// each conversation stands, and who may write there. Only where that is still so anything happens;
// the ids go with the plan, as one made for few conversations would read all heads. Repeats are
// refused by the index of the month.
// The lane is held: who takes it over meanwhile waits, however long this one has waited for a head.
const PgStatement append_messages_statement{"append_messages", R"sql(
WITH moved AS (
  UPDATE conversation_heads h
  SET last_seq = h.last_seq + n.messages, last_rev = h.last_rev + n.messages,
      last_at = GREATEST(h.last_at, statement_timestamp())
  FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS n(conversation_id, last_seq, last_rev, members_version, messages)
  WHERE h.conversation_id = ANY ($3::bigint[]) AND h.conversation_id = n.conversation_id
    AND h.last_seq = n.last_seq AND h.last_rev = n.last_rev AND h.members_version = n.members_version
    AND (SELECT owner_epoch FROM lanes WHERE lane = $1 FOR SHARE) = $2
  RETURNING h.conversation_id, h.last_at
), stored AS (
  INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at, origin_spool, ingest_no,
                        request_key, request_hash, request_id, kind, body, extra, expires_at)
  SELECT i.conversation_id, i.seq, i.rev, i.sender_id, i.received_at, m.last_at, i.origin_spool, i.ingest_no,
         i.request_key, i.request_hash, i.request_id, i.kind, i.body, i.extra, i.expires_at
  FROM unnest($8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::bigint[], $14::bigint[],
              $15::bytea[], $16::bytea[], $17::text[], $18::text[], $19::text[], $20::bytea[], $21::timestamptz[])
    AS i(seq, rev, conversation_id, sender_id, received_at, origin_spool, ingest_no, request_key, request_hash,
         request_id, kind, body, extra, expires_at)
  JOIN moved m ON m.conversation_id = i.conversation_id
)
SELECT conversation_id FROM moved)sql"};

const PgStatement members_statement{"members_of_stale", R"sql(
SELECT h.conversation_id, h.members_version, c.kind = 'room', c.name, m.user_id, u.name,
       m.role IN ('owner', 'admin', 'member')
FROM unnest($1::bigint[], $2::bigint[]) AS k(conversation_id, version)
JOIN conversation_heads h ON h.conversation_id = k.conversation_id AND h.members_version <> k.version
JOIN conversations c ON c.conversation_id = h.conversation_id
LEFT JOIN members m ON m.conversation_id = h.conversation_id
LEFT JOIN users u ON u.user_id = m.user_id
ORDER BY h.conversation_id, m.user_id)sql"};

const PgStatement park_statement{"park", R"sql(
INSERT INTO parked (origin_spool, ingest_no, error, record) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING)sql"};

}  // namespace

PgQuery lock_heads(std::uint32_t lane, std::uint64_t epoch,
                   const std::vector<ConversationId>& conversations) {
  std::vector<std::int64_t> ids;
  ids.reserve(conversations.size());
  for (const auto conversation : conversations) ids.push_back(conversation.value);
  return {&lock_heads_statement,
          std::move(PgParams{}.int8(lane).int8(static_cast<std::int64_t>(epoch)).int8s(ids))};
}

bool owns_lane(const PgRows& rows) { return rows.boolean(0, 0); }

namespace {
/// Their columns, from `conversation_id` to `expires_at`.
std::string_view bytes_of(const std::array<unsigned char, 16>& value) {
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

/// One column: `value_of` of each message.
template <class ValueOf>
PgArray column(PgArray::Of what, const std::vector<NewMessage>& messages, ValueOf value_of) {
  PgArray array{what, messages.size()};
  for (const auto& message : messages) {
    if (const auto value = value_of(message)) {
      array.add(*value);
    } else {
      array.add_null();
    }
  }
  return array;
}

/// Their columns, from `conversation_id` to `expires_at`.
void add_columns(PgParams& params, const std::vector<NewMessage>& messages) {
  using Of = PgArray::Of;
  using Number = std::optional<std::int64_t>;
  using Bytes = std::optional<std::string_view>;
  using Time = std::optional<UnixMillis>;
  const auto add = [&](Of what, auto value_of) { params.array(column(what, messages, value_of)); };
  const auto number = [](auto value) { return Number{static_cast<std::int64_t>(value)}; };
  add(Of::int8, [&](const NewMessage& m) { return number(m.conversation.value); });
  add(Of::int8, [&](const NewMessage& m) { return number(m.sender.value); });
  add(Of::time, [](const NewMessage& m) { return Time{m.received_at}; });
  add(Of::int8, [&](const NewMessage& m) { return number(m.spool_id); });
  add(Of::int8, [&](const NewMessage& m) { return number(m.ingest_no); });
  add(Of::bytea, [](const NewMessage& m) { return Bytes{bytes_of(m.request_key)}; });
  add(Of::bytea, [](const NewMessage& m) { return Bytes{bytes_of(m.request_hash)}; });
  add(Of::text, [](const NewMessage& m) { return Bytes{m.request_id}; });
  add(Of::text, [](const NewMessage& m) { return Bytes{m.kind}; });
  add(Of::text, [](const NewMessage& m) { return Bytes{m.text}; });
  add(Of::bytea, [](const NewMessage& m) { return m.extra.empty() ? Bytes{} : Bytes{m.extra}; });
  add(Of::time, [](const NewMessage& m) { return m.expires_at; });
}
}  // namespace

PgQuery store_messages(std::uint32_t lane, std::uint64_t epoch, UnixMillis probe_from,
                       const std::vector<NewMessage>& messages) {
  PgParams params;
  params.int8(lane).int8(static_cast<std::int64_t>(epoch)).time(probe_from);
  add_columns(params, messages);
  return {&store_messages_statement, std::move(params)};
}

PgQuery append_messages(std::uint32_t lane, std::uint64_t epoch,
                        const std::vector<NewMessage>& messages, const Append& append) {
  std::vector<std::int64_t> conversations, last_seqs, last_revs, versions, counts, seqs, revs;
  for (const auto& head : append.heads) {
    conversations.push_back(head.conversation.value);
    last_seqs.push_back(head.last_seq);
    last_revs.push_back(head.last_rev);
    versions.push_back(head.members_version);
    counts.push_back(head.messages);
  }
  for (const auto& place : append.places) {
    seqs.push_back(place.seq);
    revs.push_back(place.rev);
  }
  PgParams params;
  params.int8(lane).int8(static_cast<std::int64_t>(epoch));
  params.int8s(conversations).int8s(last_seqs).int8s(last_revs).int8s(versions).int8s(counts);
  params.int8s(seqs).int8s(revs);
  add_columns(params, messages);
  return {&append_messages_statement, std::move(params)};
}

std::vector<ConversationId> appended_of(const PgRows& rows) {
  std::vector<ConversationId> conversations;
  conversations.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    conversations.push_back(ConversationId{rows.integer(row, 0)});
  }
  return conversations;
}

std::vector<StoreOutcome> outcomes_of(const PgRows& rows) {
  static const std::vector<std::pair<std::string_view, StoreStatus>> words{
      {"stored", StoreStatus::stored},         {"replayed", StoreStatus::replayed},
      {"repeated", StoreStatus::repeated},     {"id_conflict", StoreStatus::id_conflict},
      {"not_member", StoreStatus::not_member}, {"readonly", StoreStatus::read_only},
      {"blocked", StoreStatus::blocked},       {"stranger", StoreStatus::stranger}};
  std::vector<StoreOutcome> outcomes;
  for (int row = 0; row < rows.count(); ++row) {
    StoreOutcome outcome{StoreStatus::stored, rows.uint32(row, 1), rows.uint32(row, 2),
                         rows.time(row, 3)};
    for (const auto& [word, status] : words) {
      if (rows.bytes(row, 0) == word) outcome.status = status;
    }
    outcomes.push_back(outcome);
  }
  return outcomes;
}

PgQuery members_of_stale(const std::vector<KnownVersion>& known) {
  std::vector<std::int64_t> conversations, versions;
  for (const auto& one : known) {
    conversations.push_back(one.conversation.value);
    versions.push_back(one.members_version);
  }
  return {&members_statement, std::move(PgParams{}.int8s(conversations).int8s(versions))};
}

std::vector<MemberRow> members_of(const PgRows& rows) {
  std::vector<MemberRow> members;
  members.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    members.push_back({ConversationId{rows.integer(row, 0)}, rows.integer(row, 1),
                       rows.boolean(row, 2), rows.text(row, 3), UserId{rows.integer(row, 4)},
                       rows.text(row, 5), rows.boolean(row, 6)});
  }
  return members;
}

PgQuery park(std::uint64_t spool_id, IngestNo ingest_no, const std::string& error,
             const std::string& record) {
  return {&park_statement, std::move(PgParams{}
                                         .int8(static_cast<std::int64_t>(spool_id))
                                         .int8(static_cast<std::int64_t>(ingest_no))
                                         .text(error)
                                         .bytea(record))};
}

}  // namespace parley::sql
