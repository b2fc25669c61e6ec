#include "worker/statements.hpp"

namespace parley::sql {
namespace {

// The epoch is never reused, so a lane that an older worker held is taken in any case, also lanes
// beyond the present number: their owner must not go on storing.
const PgStatement claim_lanes_statement{"claim_lanes", R"sql(
WITH next AS MATERIALIZED (SELECT nextval('worker_epochs') AS epoch),
     mine AS (INSERT INTO lanes (lane, owner_epoch)
              SELECT lane, epoch FROM next, generate_series(0, $1::bigint - 1) AS lane
              ON CONFLICT (lane) DO UPDATE SET owner_epoch = EXCLUDED.owner_epoch
              WHERE lanes.owner_epoch < EXCLUDED.owner_epoch),
     rest AS (UPDATE lanes SET owner_epoch = epoch FROM next WHERE lane >= $1 AND owner_epoch < epoch)
SELECT next.epoch, server.epoch::text FROM next, server)sql"};

const PgStatement make_partitions_statement{
    "make_partitions", "SELECT make_message_partitions((now() AT TIME ZONE 'UTC')::date, 3)"};

const PgStatement database_clock_statement{"database_clock", "SELECT clock_timestamp()"};
const PgStatement newest_message_statement{
    "newest_message", "SELECT max(last_at) FROM conversation_heads WHERE last_seq > 0"};

const PgStatement expire_messages_statement{
    "expire_messages", "SELECT conversation_id, messages FROM expire_messages($1)"};

const PgStatement members_among_statement{"members_among", R"sql(
SELECT user_id, conversation_id FROM members
WHERE conversation_id = ANY ($1::bigint[]) AND user_id = ANY ($2::bigint[]))sql"};

const PgStatement generations_statement{"generations_page", R"sql(
SELECT user_id, device, generation, disabled FROM (
  SELECT user_id, '' COLLATE "C" AS device, generation, disabled_at IS NOT NULL AS disabled FROM users
  WHERE (generation > 0 OR disabled_at IS NOT NULL) AND user_id >= $1
  UNION ALL
  SELECT user_id, device, generation, false FROM devices WHERE generation > 0 AND user_id >= $1
  UNION ALL
  SELECT user_id, device, generation, false FROM removed_devices WHERE generation > 0 AND user_id >= $1) AS revoked
WHERE (user_id, device) > ($1, $2::text COLLATE "C")
ORDER BY user_id, device LIMIT $3)sql"};

// Whoever is about to change what one of the two lets the other do (lock_settings) is waited for,
// or waits and finds the conversation. A statement of its own, as make_direct looks at it with a
// newer snapshot.
const PgStatement lock_new_pairs_statement{"lock_new_pairs", R"sql(
SELECT count(*) FROM (
  SELECT FROM users u
  WHERE u.user_id = ANY (ARRAY(
    SELECT unnest(ARRAY[t.sender, n.id]) FROM unnest($1::bigint[], $2::text[]) AS t(sender, target)
    JOIN names n ON n.name = t.target AND n.kind = 'user' AND n.retired_at IS NULL
    WHERE NOT EXISTS (SELECT FROM direct_pairs p
                      WHERE p.user_lo = LEAST(t.sender, n.id) AND p.user_hi = GREATEST(t.sender, n.id))))
  ORDER BY u.user_id FOR KEY SHARE) AS held)sql"};

// The loser of a race inserts nothing here and finds the winner's conversation in `resolve`, which
// has a newer snapshot.
const PgStatement make_direct_statement{"make_direct", R"sql(
WITH wanted AS (
  SELECT DISTINCT LEAST(t.sender, n.id) AS lo, GREATEST(t.sender, n.id) AS hi
  FROM unnest($1::bigint[], $2::text[]) AS t(sender, target)
  JOIN names n ON n.name = t.target AND n.kind = 'user' AND n.retired_at IS NULL
  JOIN users u ON u.user_id = t.sender AND u.disabled_at IS NULL
), made AS (
  INSERT INTO direct_pairs (user_lo, user_hi, conversation_id)
  SELECT lo, hi, nextval('conversation_ids') FROM wanted w
  WHERE NOT EXISTS (SELECT FROM direct_pairs p WHERE p.user_lo = w.lo AND p.user_hi = w.hi)
  ORDER BY lo, hi
  ON CONFLICT DO NOTHING RETURNING user_lo, user_hi, conversation_id
), c AS (
  INSERT INTO conversations (conversation_id, kind) SELECT conversation_id, 'direct' FROM made
), h AS (
  INSERT INTO conversation_heads (conversation_id) SELECT conversation_id FROM made
), both_users AS (
  SELECT conversation_id, user_lo AS user_id FROM made
  UNION SELECT conversation_id, user_hi FROM made
), m AS (
  INSERT INTO members (conversation_id, user_id, role)
  SELECT b.conversation_id, b.user_id,
         direct_role(CASE WHEN made.user_lo = b.user_id THEN made.user_hi ELSE made.user_lo END, b.user_id)
  FROM both_users b JOIN made ON made.conversation_id = b.conversation_id
), p AS (
  INSERT INTO membership_periods (conversation_id, user_id, joined_seq, since_seq)
  SELECT conversation_id, user_id, 0, 0 FROM both_users
)
INSERT INTO user_conversations (user_id, conversation_id) SELECT user_id, conversation_id FROM both_users)sql"};

const PgStatement resolve_statement{"resolve", R"sql(
SELECT CASE WHEN n.kind = 'room' THEN 'room' WHEN n.retired_at IS NOT NULL AND p.conversation_id IS NULL THEN '' WHEN n.kind = 'user' THEN 'direct' ELSE '' END,
       CASE WHEN n.kind = 'room' THEN n.id ELSE p.conversation_id END,
       u.user_id IS NOT NULL AND u.disabled_at IS NULL,
       EXISTS (SELECT FROM members m
               WHERE m.conversation_id = CASE WHEN n.kind = 'room' THEN n.id ELSE p.conversation_id END AND m.user_id = t.sender)
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS t(sender, target, ord)
LEFT JOIN names n ON n.name = t.target
LEFT JOIN users u ON u.user_id = t.sender
LEFT JOIN direct_pairs p ON n.kind = 'user' AND p.user_lo = LEAST(t.sender, n.id)
                        AND p.user_hi = GREATEST(t.sender, n.id)
ORDER BY t.ord)sql"};

// Whoever has blocked somebody does not show him that he writes either.
const PgStatement may_see_typing_statement{"may_see_typing", R"sql(
SELECT COALESCE((SELECT direct_role(n.id, $1) = 'member' AND direct_role($1, n.id) <> 'blocked' FROM names n
                 WHERE n.name = $2 AND n.kind = 'user' AND n.retired_at IS NULL), false))sql"};

const PgStatement add_device_statement{"add_device", R"sql(
WITH made AS (INSERT INTO devices (user_id, device) VALUES ($1, $2)
              ON CONFLICT DO NOTHING RETURNING user_id, device)
INSERT INTO device_marks (user_id, device, conversation_id, got_seq)
SELECT made.user_id, made.device, m.conversation_id, m.got_seq
FROM made JOIN user_conversations c ON c.user_id = made.user_id
JOIN members m ON m.conversation_id = c.conversation_id AND m.user_id = c.user_id
ON CONFLICT DO NOTHING)sql"};

const PgStatement session_kind_statement{"session_kind", R"sql(
SELECT $2 = '' AND EXISTS (SELECT FROM devices WHERE user_id = $1),
       COALESCE((SELECT confirms FROM devices WHERE user_id = $1 AND device = $2), false))sql"};

// Expired ones are left out, also when the sweeper has not come by yet.
#define PARLEY_MESSAGES                                                                        \
  "SELECT x.seq, x.rev, x.sender_id, u.name, x.received_at, x.request_id, x.kind, x.body, "    \
  "x.extra, x.expires_at, x.edited_at, x.deleted, to_jsonb(x.edited_mentions)::text AS meant " \
  "FROM messages x JOIN users u ON u.user_id = x.sender_id "                                   \
  "WHERE x.conversation_id = $1 AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())"

const PgStatement first_messages_statement{"first_messages", PARLEY_MESSAGES R"sql(
AND x.seq > $3 AND x.seq < $4
AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = $1 AND p.user_id = $2
            AND x.seq > p.joined_seq AND (p.left_seq IS NULL OR x.seq <= p.left_seq))
ORDER BY x.seq LIMIT $5)sql"};

// Only what is there and may be seen is passed over: of the nearest stretch $6 seqs at most, as all
// of them may have expired.
const PgStatement next_page_statement{"next_page", R"sql(
WITH stretches AS MATERIALIZED (SELECT * FROM visible_stretches($1, $2, $3, $4)),
     near AS MATERIALIZED (SELECT low, LEAST(high, low + $6::bigint - 1) AS high FROM stretches ORDER BY low LIMIT 1)
SELECT m.*, CASE WHEN EXISTS (SELECT FROM stretches s WHERE s.high > near.high) THEN near.high END
FROM near LEFT JOIN LATERAL ()sql" PARLEY_MESSAGES R"sql(
  AND x.seq >= near.low AND x.seq <= near.high ORDER BY x.seq LIMIT $5) AS m ON true
ORDER BY m.seq)sql"};

const PgStatement previous_page_statement{"previous_page", R"sql(
WITH stretches AS MATERIALIZED (SELECT * FROM visible_stretches($1, $2, $3, $4)),
     near AS MATERIALIZED (SELECT GREATEST(low, high - $6::bigint + 1) AS low, high FROM stretches ORDER BY low DESC LIMIT 1)
SELECT m.*, CASE WHEN EXISTS (SELECT FROM stretches s WHERE s.low < near.low) THEN near.low END
FROM near LEFT JOIN LATERAL ()sql" PARLEY_MESSAGES R"sql(
  AND x.seq >= near.low AND x.seq <= near.high ORDER BY x.seq DESC LIMIT $5) AS m ON true
ORDER BY m.seq)sql"};
#undef PARLEY_MESSAGES

const PgStatement is_member_statement{
    "is_member", "SELECT EXISTS (SELECT FROM members WHERE conversation_id = $1 AND user_id = $2)"};

const PgStatement is_active_statement{"is_active", "SELECT is_active($1)"};

}  // namespace

const PgStatement listen_users{"listen_users", "LISTEN parley_users"};
const PgStatement limit_statements{"limit_statements", "SET statement_timeout = '5s'"};

PgQuery claim_lanes(std::uint32_t lanes) {
  return {&claim_lanes_statement, std::move(PgParams{}.int8(lanes))};
}

Claim claim_of(const PgRows& rows) {
  return {static_cast<std::uint64_t>(rows.integer(0, 0)), rows.text(0, 1)};
}

PgQuery database_clock() { return {&database_clock_statement, {}}; }
UnixMillis database_clock_of(const PgRows& rows) { return rows.time(0, 0); }
PgQuery newest_message() { return {&newest_message_statement, {}}; }
UnixMillis newest_message_of(const PgRows& rows) { return rows.time(0, 0); }

PgQuery make_partitions() { return {&make_partitions_statement, {}}; }

PgQuery expire_messages(std::int64_t max) {
  return {&expire_messages_statement, std::move(PgParams{}.int8(max))};
}

Expired expired_of(const PgRows& rows) {
  Expired expired;
  expired.conversations.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    expired.conversations.emplace_back(ConversationId{rows.integer(row, 0)});
    expired.messages += rows.integer(row, 1);
  }
  return expired;
}

PgQuery members_among(const std::vector<ConversationId>& conversations,
                      const std::vector<UserId>& users) {
  std::vector<std::int64_t> ids, members;
  ids.reserve(conversations.size());
  members.reserve(users.size());
  for (const auto conversation : conversations) ids.push_back(conversation.value);
  for (const auto user : users) members.push_back(user.value);
  return {&members_among_statement, std::move(PgParams{}.int8s(ids).int8s(members))};
}

std::vector<MemberOf> members_among_of(const PgRows& rows) {
  std::vector<MemberOf> members;
  members.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    members.push_back({UserId{rows.integer(row, 0)}, ConversationId{rows.integer(row, 1)}});
  }
  return members;
}

PgQuery generations_page(UserId after_user, const std::string& after_device, std::int64_t max) {
  return {&generations_statement,
          std::move(PgParams{}.int8(after_user.value).text(after_device).int8(max))};
}

std::vector<link::Generation> generations_of(const PgRows& rows) {
  std::vector<link::Generation> generations;
  generations.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    generations.push_back({UserId{rows.integer(row, 0)}, rows.text(row, 1), rows.uint32(row, 2),
                           rows.boolean(row, 3)});
  }
  return generations;
}

namespace {
PgParams target_params(const std::vector<Target>& targets) {
  std::vector<std::int64_t> senders;
  std::vector<std::string> names;
  for (const auto& target : targets) {
    senders.push_back(target.sender.value);
    names.push_back(target.to);
  }
  return std::move(PgParams{}.int8s(senders).texts(names));
}
}  // namespace

PgQuery lock_new_pairs(const std::vector<Target>& targets) {
  return {&lock_new_pairs_statement, target_params(targets)};
}

PgQuery make_direct(const std::vector<Target>& targets) {
  return {&make_direct_statement, target_params(targets)};
}

PgQuery resolve(const std::vector<Target>& targets) {
  return {&resolve_statement, target_params(targets)};
}

std::vector<Resolved> resolved_of(const PgRows& rows) {
  std::vector<Resolved> resolved;
  resolved.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    resolved.push_back({rows.text(row, 0), ConversationId{rows.integer(row, 1)},
                        rows.boolean(row, 2), rows.boolean(row, 3)});
  }
  return resolved;
}

PgQuery may_see_typing(const Target& target) {
  return {&may_see_typing_statement,
          std::move(PgParams{}.int8(target.sender.value).text(target.to))};
}

bool may_see_typing_of(const PgRows& rows) { return rows.boolean(0, 0); }

PgQuery add_device(UserId user, const std::string& device) {
  return {&add_device_statement, std::move(PgParams{}.int8(user.value).text(device))};
}

PgQuery session_kind(UserId user, const std::string& device) {
  return {&session_kind_statement, std::move(PgParams{}.int8(user.value).text(device))};
}

SessionKind session_kind_of(const PgRows& rows) { return {rows.boolean(0, 0), rows.boolean(0, 1)}; }

PgQuery message_range(const MessageRange& range) {
  return {&first_messages_statement, std::move(PgParams{}
                                                   .int8(range.conversation.value)
                                                   .int8(range.user.value)
                                                   .int8(range.after)
                                                   .int8(range.before)
                                                   .int8(range.max))};
}

PgQuery message_page(const MessageRange& range, std::int64_t look_max) {
  return {range.newest ? &previous_page_statement : &next_page_statement,
          std::move(PgParams{}
                        .int8(range.conversation.value)
                        .int8(range.user.value)
                        .int8(range.after)
                        .int8(range.before)
                        .int8(range.max)
                        .int8(look_max))};
}

MessagePage message_page_of(const PgRows& rows) {
  constexpr int next_column = 13;
  MessagePage page;
  for (int row = 0; row < rows.count(); ++row) {
    if (!rows.is_null(row, 0)) page.messages.push_back(message_at(rows, row, 0));
    if (!rows.is_null(row, next_column)) page.next = rows.uint32(row, next_column);
  }
  return page;
}

MessageRow message_at(const PgRows& rows, int row, int first) {
  MessageRow message;
  message.seq = rows.uint32(row, first);
  message.rev = rows.uint32(row, first + 1);
  message.sender_id = UserId{rows.integer(row, first + 2)};
  message.sender = rows.text(row, first + 3);
  message.received_at = rows.time(row, first + 4);
  message.request_id = rows.text(row, first + 5);
  message.kind = rows.text(row, first + 6);
  message.text = rows.text(row, first + 7);
  if (!rows.is_null(row, first + 8)) message.extra = rows.text(row, first + 8);
  if (!rows.is_null(row, first + 9)) message.expires_at = rows.time(row, first + 9);
  if (!rows.is_null(row, first + 10)) message.edited_at = rows.time(row, first + 10);
  message.deleted = rows.boolean(row, first + 11);
  if (!rows.is_null(row, first + 12)) message.edited_mentions = rows.text(row, first + 12);
  return message;
}

std::vector<MessageRow> messages_of(const PgRows& rows) {
  std::vector<MessageRow> messages;
  messages.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) messages.push_back(message_at(rows, row, 0));
  return messages;
}

PgQuery is_member(ConversationId conversation, UserId user) {
  return {&is_member_statement, std::move(PgParams{}.int8(conversation.value).int8(user.value))};
}

bool is_member_of(const PgRows& rows) { return rows.boolean(0, 0); }

PgQuery is_active(UserId user) {
  return {&is_active_statement, std::move(PgParams{}.int8(user.value))};
}

bool is_active_of(const PgRows& rows) { return rows.boolean(0, 0); }

}  // namespace parley::sql
