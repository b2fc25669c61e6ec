#include "worker/statements_sync.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace parley::sql {
namespace {

// Where nothing but messages has happened a rev is a seq, and nothing has to be looked up.
const PgStatement behind_statement{"behind", R"sql(
SELECT c.conversation_id, CASE WHEN c.kind = 'room' THEN c.name ELSE peer.name END, c.kind = 'room',
       held.seq, h.last_seq, h.last_rev, held_events.rev, h.first_seq - 1 > GREATEST(position.got_seq, period.joined_seq)
FROM user_conversations uc
JOIN conversations c ON c.conversation_id = uc.conversation_id
JOIN conversation_heads h ON h.conversation_id = c.conversation_id
JOIN members m ON m.conversation_id = c.conversation_id AND m.user_id = uc.user_id
LEFT JOIN device_marks d ON d.user_id = uc.user_id AND d.device = $2 AND d.conversation_id = c.conversation_id
                        AND NOT $3
CROSS JOIN LATERAL (SELECT CASE WHEN $3 THEN 0 WHEN $2 = '' THEN m.got_seq ELSE COALESCE(d.got_seq, 0) END AS got_seq)
  AS position
CROSS JOIN LATERAL (SELECT min(joined_seq) AS joined_seq FROM membership_periods p
                    WHERE p.conversation_id = c.conversation_id AND p.user_id = uc.user_id) AS period
CROSS JOIN LATERAL (SELECT GREATEST(position.got_seq, period.joined_seq, h.first_seq - 1) AS seq) AS held
CROSS JOIN LATERAL (SELECT CASE WHEN h.last_rev = h.last_seq THEN held.seq
                                ELSE GREATEST(d.got_rev, rev_at(c.conversation_id, held.seq)) END AS rev) AS held_events
LEFT JOIN direct_pairs pair ON c.kind = 'direct' AND pair.conversation_id = c.conversation_id
LEFT JOIN users peer ON peer.user_id = CASE WHEN pair.user_lo = uc.user_id THEN pair.user_hi ELSE pair.user_lo END
WHERE uc.user_id = $1 AND (h.last_seq > held.seq OR h.last_rev > held_events.rev)
ORDER BY c.conversation_id)sql"};

// About a message: who may see that, and of what hangs on it only while its contents are there.
// Else: who was there, from his joining on if the room's history begins with that; who made it, or
// came with it, has no message that says so.
const PgStatement event_range_statement{"event_range", R"sql(
SELECT '', c.rev, c.created_at, c.event::text FROM changes c
WHERE c.conversation_id = $1 AND c.rev > $3 AND c.rev <= $4 AND c.event IS NOT NULL
  AND (c.kind NOT IN ('edited', 'reaction', 'pinned')
       OR EXISTS (SELECT FROM messages x WHERE x.conversation_id = $1 AND x.seq = c.seq AND NOT x.deleted
                  AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())))
  AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = $1 AND p.user_id = $2
              AND CASE WHEN c.seq IS NULL
                       THEN (p.left_seq IS NULL OR c.last_seq <= p.left_seq)
                        AND (c.last_seq > p.since_seq
                             OR (p.joined_seq = 0 AND EXISTS (SELECT FROM conversations r
                                                              WHERE r.conversation_id = $1 AND r.history = 'all'))
                             OR NOT EXISTS (SELECT FROM changes j JOIN users u ON u.user_id = $2
                                            WHERE j.conversation_id = $1 AND j.seq = p.since_seq + 1 AND j.is_message
                                              AND j.event IS NOT NULL AND j.event->'joined'->>'user' = u.name))
                       ELSE c.seq > p.joined_seq AND (p.left_seq IS NULL OR c.seq <= p.left_seq) END)
ORDER BY c.rev LIMIT $5)sql"};

// Who was never seen to go has been told nothing for sure. A minute more, for clocks that disagree.
// The cursors of a large room would be a flood: there one asks `receipts`.
const PgStatement missed_events_statement{"missed_events", R"sql(
WITH since AS MATERIALIZED (
  SELECT seen.at - interval '1 minute' AS at
  FROM (SELECT COALESCE(CASE WHEN $2 = '' THEN (SELECT COALESCE(told_until, created_at) FROM users WHERE user_id = $1)
                             ELSE (SELECT COALESCE(told_until, created_at) FROM devices
                                   WHERE user_id = $1 AND device = $2) END,
                        statement_timestamp()) AS at) AS seen
), moved AS (
  SELECT CASE WHEN c.kind = 'room' THEN c.name ELSE u.name END AS conv, o.cursor_at AS at,
         jsonb_build_object('receipt', jsonb_build_object('user', u.name, 'got_seq', o.got_seq, 'read_seq', o.read_seq))
           AS what
  FROM (SELECT h.conversation_id FROM user_conversations uc
        JOIN conversation_heads h ON h.conversation_id = uc.conversation_id
        WHERE uc.user_id = $1 ORDER BY h.last_at DESC LIMIT 200) AS newest
  JOIN conversations c ON c.conversation_id = newest.conversation_id AND c.member_count <= 256
  JOIN members me ON me.conversation_id = newest.conversation_id AND me.user_id = $1 AND me.role <> 'blocked'
  JOIN members o ON o.conversation_id = newest.conversation_id AND o.user_id <> $1 AND o.role <> 'blocked'
                AND (o.cursor_at > (SELECT at FROM since) OR ($3 AND o.cursor_at IS NOT NULL))
  JOIN users u ON u.user_id = o.user_id
  WHERE EXISTS (SELECT FROM messages x
                WHERE x.conversation_id = o.conversation_id AND x.seq > o.got_seq - 100 AND x.seq <= o.got_seq
                  AND x.sender_id = $1 AND x.kind <> 'system')
), invited AS (
  SELECT i.invited_at AS at, jsonb_build_object('invited', jsonb_build_object('room', c.name, 'by', b.name)) AS what
  FROM invitations i
  JOIN conversations c ON c.conversation_id = i.conversation_id
  JOIN users b ON b.user_id = i.invited_by
  WHERE i.user_id = $1 AND (i.invited_at > (SELECT at FROM since) OR $3)
), removed AS (
  SELECT c.name AS conv, x.rev, x.created_at AS at, x.event AS what
  FROM changes x JOIN conversations c ON c.conversation_id = x.conversation_id
  WHERE x.also_to = $1 AND x.event IS NOT NULL
    AND x.created_at > CASE WHEN $3 THEN statement_timestamp() - interval '30 days' ELSE (SELECT at FROM since) END
    AND NOT EXISTS (SELECT FROM members m WHERE m.conversation_id = x.conversation_id AND m.user_id = $1)
)
SELECT conv, rev, at, what::text FROM (
  SELECT * FROM (
    SELECT conv, 0::bigint AS rev, at, what FROM moved
    UNION ALL SELECT '-', 0, at, what FROM invited
    UNION ALL SELECT conv, rev, at, what FROM removed) AS all_of_them
  ORDER BY at DESC LIMIT $4) AS newest
ORDER BY at)sql"};

const PgStatement place_device_statement{"place_device", R"sql(
SELECT conversation_id, got_seq, got_rev FROM place_device($1, $2, $3, $4))sql"};

// The last message is stored at last_at: one partition is looked into.
const PgStatement conversations_statement{"conversations_of", R"sql(
SELECT c.conversation_id, names.conv,
       jsonb_strip_nulls(jsonb_build_object(
         'conv', names.conv, 'kind', c.kind, 'title', names.title, 'last_seq', h.last_seq, 'last_rev', h.last_rev,
         'read_seq', m.read_seq, 'got_seq', m.got_seq, 'unread', open.unread, 'muted_until', json_time(m.muted_until),
         'archived', m.archived))::text,
       open.unread,
       x.seq, x.rev, x.sender_id, x.name, x.received_at, x.request_id, x.kind, x.body, x.extra, x.expires_at, x.edited_at,
       x.deleted, to_jsonb(x.edited_mentions)::text
FROM user_conversations uc
JOIN conversations c ON c.conversation_id = uc.conversation_id
JOIN conversation_heads h ON h.conversation_id = c.conversation_id
JOIN members m ON m.conversation_id = c.conversation_id AND m.user_id = uc.user_id
LEFT JOIN direct_pairs pair ON c.kind = 'direct' AND pair.conversation_id = c.conversation_id
LEFT JOIN users peer ON peer.user_id = CASE WHEN pair.user_lo = uc.user_id THEN pair.user_hi ELSE pair.user_lo END
CROSS JOIN LATERAL (SELECT CASE WHEN c.kind = 'room' THEN c.name ELSE peer.name END AS conv,
                           CASE WHEN c.kind = 'room' THEN c.title ELSE peer.display_name END AS title) AS names
CROSS JOIN LATERAL (SELECT CASE WHEN h.last_seq > m.read_seq THEN unread_in(c.conversation_id, $1, m.read_seq)
                                ELSE 0 END AS unread) AS open
LEFT JOIN LATERAL (
  SELECT y.*, u.name FROM messages y JOIN users u ON u.user_id = y.sender_id
  WHERE y.conversation_id = h.conversation_id AND y.seq = h.last_seq AND y.seq >= h.first_seq AND y.created_at >= h.last_at
    AND (y.expires_at IS NULL OR y.expires_at > clock_timestamp())
    AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = h.conversation_id AND p.user_id = $1
                AND y.seq > p.joined_seq AND (p.left_seq IS NULL OR y.seq <= p.left_seq))) AS x ON true
WHERE uc.user_id = $1 AND (c.kind = 'room' OR h.last_seq > 0)
ORDER BY h.last_at DESC, c.conversation_id)sql"};

// No index leads from a sender and a stretch of seqs to his messages there. So few messages are all
// looked at; of many, who has ever sent one counts as their sender. Each limit keeps the planner
// from reading all messages instead.
const PgStatement readers_told_statement{"readers_told", R"sql(
WITH moves AS MATERIALIZED (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS i(conversation_id, user_id, after, up_to, ord)
), listening AS MATERIALIZED (
  SELECT l.conversation_id, l.user_id, sent.once
  FROM unnest($5::bigint[], $6::bigint[], $7::boolean[]) AS l(conversation_id, user_id, has_wide)
  LEFT JOIN LATERAL (SELECT true AS once FROM messages x
                     WHERE l.has_wide AND x.conversation_id = l.conversation_id AND x.sender_id = l.user_id
                     LIMIT 1) AS sent ON true
), passed AS (
  SELECT i.ord, l.user_id AS sender_id
  FROM moves i
  CROSS JOIN LATERAL (
    SELECT DISTINCT few.sender_id FROM (
      SELECT x.sender_id FROM messages x
      WHERE i.up_to - i.after <= $8 AND x.conversation_id = i.conversation_id AND x.seq > i.after AND x.seq <= i.up_to
        AND x.kind <> 'system'
      ORDER BY x.seq LIMIT $8) AS few) AS senders
  JOIN listening l ON l.conversation_id = i.conversation_id AND l.user_id = senders.sender_id
  UNION ALL
  SELECT i.ord, l.user_id
  FROM moves i JOIN listening l ON l.conversation_id = i.conversation_id
  WHERE i.up_to - i.after > $8 AND l.once
)
SELECT i.ord, reader.name, said.name, CASE WHEN c.kind = 'room' THEN c.name ELSE reader.name END
FROM passed JOIN moves i ON i.ord = passed.ord
JOIN conversations c ON c.conversation_id = i.conversation_id
JOIN members m ON m.conversation_id = i.conversation_id AND m.user_id = i.user_id AND m.role <> 'blocked'
JOIN users reader ON reader.user_id = i.user_id
JOIN members s ON s.conversation_id = i.conversation_id AND s.user_id = passed.sender_id AND s.role <> 'blocked'
JOIN users said ON said.user_id = passed.sender_id
WHERE passed.sender_id <> i.user_id
ORDER BY i.ord)sql"};

const PgStatement members_of_small_statement{"members_of_small", R"sql(
SELECT h.conversation_id, h.members_version, c.kind = 'room', c.name, m.user_id, u.name,
       m.role IN ('owner', 'admin', 'member')
FROM conversation_heads h
JOIN conversations c ON c.conversation_id = h.conversation_id AND c.member_count <= $2
LEFT JOIN members m ON m.conversation_id = h.conversation_id
LEFT JOIN users u ON u.user_id = m.user_id
WHERE h.conversation_id = ANY ($1::bigint[])
ORDER BY h.conversation_id, m.user_id)sql"};

}  // namespace

PgQuery behind(UserId user, const std::string& device, bool from_nothing) {
  return {&behind_statement,
          std::move(PgParams{}.int8(user.value).text(device).boolean(from_nothing))};
}

std::vector<Behind> behind_of(const PgRows& rows) {
  std::vector<Behind> behind;
  behind.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    behind.push_back({ConversationId{rows.integer(row, 0)}, rows.text(row, 1), rows.boolean(row, 2),
                      rows.uint32(row, 3), rows.uint32(row, 4), rows.uint32(row, 5),
                      rows.uint32(row, 6), rows.boolean(row, 7)});
  }
  return behind;
}

PgQuery event_range(const EventRange& range) {
  return {&event_range_statement, std::move(PgParams{}
                                                .int8(range.conversation.value)
                                                .int8(range.user.value)
                                                .int8(range.after)
                                                .int8(range.up_to)
                                                .int8(range.max))};
}

std::vector<EventRow> events_of(const PgRows& rows) {
  std::vector<EventRow> events;
  events.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    events.push_back(
        {rows.text(row, 0), rows.uint32(row, 1), rows.time(row, 2), rows.text(row, 3)});
  }
  return events;
}

PgQuery missed_events(UserId user, const std::string& device, bool since_ever, std::int64_t max) {
  return {&missed_events_statement,
          std::move(PgParams{}.int8(user.value).text(device).boolean(since_ever).int8(max))};
}

PgQuery place_device(UserId user, const std::string& device, const std::vector<std::string>& convs,
                     const std::vector<std::int64_t>& revs) {
  return {&place_device_statement,
          std::move(PgParams{}.int8(user.value).text(device).texts(convs).int8s(revs))};
}

std::vector<Placed> placed_of(const PgRows& rows) {
  std::vector<Placed> placed;
  placed.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    placed.push_back(
        {ConversationId{rows.integer(row, 0)}, rows.uint32(row, 1), rows.uint32(row, 2)});
  }
  return placed;
}

PgQuery conversations_of(UserId user) {
  return {&conversations_statement, std::move(PgParams{}.int8(user.value))};
}

std::vector<ConversationRow> conversations_of(const PgRows& rows) {
  constexpr int first_of_message = 4;
  std::vector<ConversationRow> conversations;
  conversations.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    ConversationRow conversation{ConversationId{rows.integer(row, 0)},
                                 rows.text(row, 1),
                                 rows.text(row, 2),
                                 rows.uint32(row, 3),
                                 {}};
    if (!rows.is_null(row, first_of_message))
      conversation.last = message_at(rows, row, first_of_message);
    conversations.push_back(std::move(conversation));
  }
  return conversations;
}

PgQuery readers_told(const std::vector<MovedCursor>& moved, const std::vector<Listener>& listeners,
                     std::int64_t max) {
  std::vector<std::int64_t> conversations, users, after, up_to;
  std::set<ConversationId> wide;
  for (const auto& one : moved) {
    conversations.push_back(one.conversation.value);
    users.push_back(one.user.value);
    after.push_back(std::min(one.got > one.old_got ? one.old_got : one.got,
                             one.read > one.old_read ? one.old_read : one.read));
    up_to.push_back(std::max(one.got, one.read));
    if (up_to.back() - after.back() > max) wide.insert(one.conversation);
  }
  std::vector<std::int64_t> places, names;
  std::vector<bool> has_wide;
  for (const auto& one : listeners) {
    places.push_back(one.conversation.value);
    names.push_back(one.user.value);
    has_wide.push_back(wide.contains(one.conversation));
  }
  return {&readers_told_statement, std::move(PgParams{}
                                                 .int8s(conversations)
                                                 .int8s(users)
                                                 .int8s(after)
                                                 .int8s(up_to)
                                                 .int8s(places)
                                                 .int8s(names)
                                                 .booleans(has_wide)
                                                 .int8(max))};
}

PgQuery members_of_small(const std::vector<ConversationId>& conversations,
                         std::int64_t members_max) {
  std::vector<std::int64_t> ids;
  ids.reserve(conversations.size());
  for (const auto conversation : conversations) ids.push_back(conversation.value);
  return {&members_of_small_statement, std::move(PgParams{}.int8s(ids).int8(members_max))};
}

std::vector<ReaderRow> readers_of(const PgRows& rows) {
  std::vector<ReaderRow> readers;
  readers.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    readers.push_back({static_cast<std::size_t>(rows.integer(row, 0) - 1), rows.text(row, 1),
                       rows.text(row, 2), rows.text(row, 3)});
  }
  return readers;
}

}  // namespace parley::sql
