#include "worker/statements_state.hpp"

#include <utility>

namespace parley::sql {
namespace {

// A conversation of two in which nothing was said is known to nobody: whoever is refused would
// stand there.
const PgStatement newest_conversations_statement{"newest_conversations", R"sql(
SELECT h.conversation_id, h.members_version
FROM user_conversations uc
JOIN conversations c ON c.conversation_id = uc.conversation_id
JOIN conversation_heads h ON h.conversation_id = uc.conversation_id
WHERE uc.user_id = $1 AND (c.kind = 'room' OR h.last_seq > 0)
ORDER BY GREATEST(h.last_at, c.created_at) DESC, h.conversation_id DESC LIMIT $2)sql"};

const PgStatement conversations_named_statement{"conversations_named", R"sql(
SELECT h.conversation_id, h.members_version
FROM names n
LEFT JOIN direct_pairs p ON n.kind = 'user' AND p.user_lo = LEAST($1, n.id) AND p.user_hi = GREATEST($1, n.id)
JOIN conversation_heads h
  ON h.conversation_id = CASE WHEN n.kind = 'room' THEN n.id ELSE p.conversation_id END
WHERE n.name = ANY ($2::text[]) AND (n.kind = 'room' OR h.last_seq > 0)
  AND EXISTS (SELECT FROM user_conversations uc
              WHERE uc.user_id = $1 AND uc.conversation_id = h.conversation_id))sql"};

// Of rooms the hundred newest: more would be millions of rows to find a thousand names.
const PgStatement people_statement{"people_of", R"sql(
WITH mine AS MATERIALIZED (
  SELECT uc.conversation_id, c.kind, h.last_at
  FROM user_conversations uc
  JOIN conversations c ON c.conversation_id = uc.conversation_id
  JOIN conversation_heads h ON h.conversation_id = uc.conversation_id
  WHERE uc.user_id = $1 AND (c.kind = 'room' OR h.last_seq > 0)
), related AS (
  SELECT other_id AS id, 0 AS rank, 'infinity'::timestamptz AS at
  FROM contacts WHERE user_id = $1 AND state = 'friend'
  UNION ALL
  SELECT CASE WHEN p.user_lo = $1 THEN p.user_hi ELSE p.user_lo END, 1, mine.last_at
  FROM mine JOIN direct_pairs p ON p.conversation_id = mine.conversation_id
  WHERE mine.kind = 'direct'
  UNION ALL
  SELECT m.user_id, 2, rooms.last_at
  FROM (SELECT conversation_id, last_at FROM mine WHERE kind = 'room' ORDER BY last_at DESC LIMIT 100) AS rooms
  CROSS JOIN LATERAL (SELECT user_id FROM members WHERE conversation_id = rooms.conversation_id LIMIT $2) AS m
)
SELECT u.name
FROM (SELECT id, min(rank) AS rank, max(at) AS at FROM related WHERE id <> $1
      GROUP BY id ORDER BY 2, 3 DESC, 1 LIMIT $2) AS nearest
JOIN users u ON u.user_id = nearest.id
ORDER BY nearest.rank, nearest.at DESC, nearest.id)sql"};

const PgStatement unread_totals_statement{"unread_totals", R"sql(
SELECT COALESCE((SELECT sum(o.unread) FROM unread_of(i.user_id) AS o), 0)::bigint
FROM unnest($1::bigint[]) WITH ORDINALITY AS i(user_id, ord) ORDER BY i.ord)sql"};

// Of a message with words only these, and of long ones not more than is shown.
const PgStatement conversation_states_statement{"conversation_states", R"sql(
SELECT i.ord, CASE WHEN c.kind = 'room' THEN c.name ELSE peer.name END, h.last_seq, m.read_seq,
       CASE WHEN h.last_seq > m.read_seq THEN unread_in(i.conversation_id, i.user_id, m.read_seq) ELSE 0 END,
       m.muted_until,
       x.seq, x.rev, x.sender_id, sender.name, x.received_at, '', x.kind, left(x.body, 512),
       CASE WHEN x.body = '' THEN x.extra END, x.expires_at, x.edited_at, x.deleted, NULL::text
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS i(user_id, conversation_id, ord)
JOIN members m ON m.conversation_id = i.conversation_id AND m.user_id = i.user_id
JOIN conversations c ON c.conversation_id = i.conversation_id
JOIN conversation_heads h ON h.conversation_id = i.conversation_id
LEFT JOIN direct_pairs pair ON c.kind = 'direct' AND pair.conversation_id = i.conversation_id
LEFT JOIN users peer ON peer.user_id = CASE WHEN pair.user_lo = i.user_id THEN pair.user_hi ELSE pair.user_lo END
LEFT JOIN LATERAL (
  SELECT x.* FROM messages x
  WHERE x.conversation_id = i.conversation_id AND x.seq > h.last_seq - 100 AND x.seq >= h.first_seq AND x.seq <= h.last_seq
    AND NOT x.deleted AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())
    AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = i.conversation_id AND p.user_id = i.user_id
                AND x.seq > p.joined_seq AND (p.left_seq IS NULL OR x.seq <= p.left_seq))
  ORDER BY x.seq DESC LIMIT 1) AS x ON true
LEFT JOIN users sender ON sender.user_id = x.sender_id
WHERE c.kind = 'room' OR h.last_seq > 0)sql"};

const PgStatement presences_statement{"presences", R"sql(
SELECT i.ord, u.user_id, u.last_seen_at
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i(viewer_id, name, ord)
JOIN names n ON n.name = i.name AND n.kind = 'user' AND n.retired_at IS NULL
JOIN users u ON u.user_id = n.id
WHERE may_see_presence(i.viewer_id, u.user_id))sql"};

const PgStatement presence_audience_statement{"presence_audience", R"sql(
SELECT c.user_id, u.name
FROM contacts c JOIN users u ON u.user_id = c.other_id
WHERE c.user_id = ANY ($1::bigint[]) AND c.state = 'friend' AND may_see_presence(c.other_id, c.user_id)
ORDER BY c.user_id)sql"};

std::vector<std::int64_t> values_of(const std::vector<UserId>& users) {
  std::vector<std::int64_t> values;
  values.reserve(users.size());
  for (const auto user : users) values.push_back(user.value);
  return values;
}

std::size_t index_at(const PgRows& rows, int row) {
  return static_cast<std::size_t>(rows.integer(row, 0) - 1);
}

}  // namespace

PgQuery newest_conversations(UserId user, std::int64_t max) {
  return {&newest_conversations_statement, std::move(PgParams{}.int8(user.value).int8(max))};
}

PgQuery conversations_named(UserId user, const std::vector<std::string>& names) {
  return {&conversations_named_statement, std::move(PgParams{}.int8(user.value).texts(names))};
}

std::vector<SeenConversation> seen_conversations_of(const PgRows& rows) {
  std::vector<SeenConversation> seen;
  seen.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    seen.push_back({ConversationId{rows.integer(row, 0)}, rows.integer(row, 1)});
  }
  return seen;
}

PgQuery people_of(UserId user, std::int64_t max) {
  return {&people_statement, std::move(PgParams{}.int8(user.value).int8(max))};
}

std::vector<std::string> names_of(const PgRows& rows) {
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) names.push_back(rows.text(row, 0));
  return names;
}

PgQuery unread_totals(const std::vector<UserId>& users) {
  return {&unread_totals_statement, std::move(PgParams{}.int8s(values_of(users)))};
}

std::vector<std::int64_t> unread_totals_of(const PgRows& rows) {
  std::vector<std::int64_t> totals;
  totals.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) totals.push_back(rows.integer(row, 0));
  return totals;
}

PgQuery conversation_states(const std::vector<MemberOf>& wanted) {
  std::vector<std::int64_t> users;
  std::vector<std::int64_t> conversations;
  for (const auto& one : wanted) {
    users.push_back(one.user.value);
    conversations.push_back(one.conversation.value);
  }
  return {&conversation_states_statement, std::move(PgParams{}.int8s(users).int8s(conversations))};
}

std::vector<StateRow> state_rows_of(const PgRows& rows) {
  constexpr int first_of_message = 6;
  std::vector<StateRow> states;
  states.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    StateRow state;
    state.index = index_at(rows, row);
    state.conv = rows.text(row, 1);
    state.seq = rows.uint32(row, 2);
    state.read_seq = rows.uint32(row, 3);
    state.unread = rows.uint32(row, 4);
    if (!rows.is_null(row, 5)) state.muted_until = rows.time(row, 5);
    if (!rows.is_null(row, first_of_message)) state.last = message_at(rows, row, first_of_message);
    states.push_back(std::move(state));
  }
  return states;
}

PgQuery presences(const std::vector<PresenceOf>& wanted) {
  std::vector<std::int64_t> viewers;
  std::vector<std::string> names;
  for (const auto& one : wanted) {
    viewers.push_back(one.viewer.value);
    names.push_back(one.name);
  }
  return {&presences_statement, std::move(PgParams{}.int8s(viewers).texts(names))};
}

std::vector<PresenceRow> presence_rows_of(const PgRows& rows) {
  std::vector<PresenceRow> presences;
  presences.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    presences.push_back({index_at(rows, row), UserId{rows.integer(row, 1)}, rows.time(row, 2)});
  }
  return presences;
}

PgQuery presence_audience(const std::vector<UserId>& users) {
  return {&presence_audience_statement, std::move(PgParams{}.int8s(values_of(users)))};
}

std::vector<Watcher> watchers_of(const PgRows& rows) {
  std::vector<Watcher> watchers;
  watchers.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    watchers.push_back({UserId{rows.integer(row, 0)}, rows.text(row, 1)});
  }
  return watchers;
}

}  // namespace parley::sql
