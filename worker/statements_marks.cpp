// Users' and devices' cursors (worker/statements.hpp).

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/statements.hpp"

namespace parley::sql {
namespace {

// A session without a device moves the user's `got` by itself only while there is no named device.
const PgStatement raise_user_marks_statement{"raise_user_marks", R"sql(
UPDATE members m
SET got_seq = GREATEST(m.got_seq, LEAST(GREATEST(i.got_seq, i.read_seq), h.last_seq)),
    read_seq = GREATEST(m.read_seq, LEAST(GREATEST(i.read_seq, i.said_seq), h.last_seq)),
    cursor_at = statement_timestamp()
FROM (SELECT user_id, conversation_id, max(GREATEST(got_seq, stored_until(conversation_id, got_before))) AS got_seq,
             max(GREATEST(read_seq, stored_until(conversation_id, read_before))) AS read_seq, max(said_seq) AS said_seq
      FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::bigint[],
                  $8::timestamptz[], $9::timestamptz[])
           AS u(user_id, device, conversation_id, got_seq, read_seq, published, said_seq, got_before, read_before)
      WHERE published OR device <> '' OR NOT EXISTS (SELECT FROM devices d WHERE d.user_id = u.user_id)
      GROUP BY user_id, conversation_id ORDER BY conversation_id, user_id) i
JOIN conversation_heads h ON h.conversation_id = i.conversation_id
JOIN members old ON old.conversation_id = i.conversation_id AND old.user_id = i.user_id
WHERE m.conversation_id = i.conversation_id AND m.user_id = i.user_id
  AND (m.got_seq < LEAST(GREATEST(i.got_seq, i.read_seq), h.last_seq)
       OR m.read_seq < LEAST(GREATEST(i.read_seq, i.said_seq), h.last_seq))
RETURNING m.conversation_id, m.user_id, old.got_seq, m.got_seq, old.read_seq, m.read_seq)sql"};

const PgStatement raise_device_marks_statement{"raise_device_marks", R"sql(
INSERT INTO device_marks AS d (user_id, device, conversation_id, got_seq, got_rev)
SELECT i.user_id, i.device, i.conversation_id,
       LEAST(GREATEST(i.got_seq, i.read_seq, stored_until(i.conversation_id, GREATEST(i.got_before, i.read_before))), h.last_seq),
       LEAST(i.got_rev, h.last_rev)
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::timestamptz[])
     AS i(user_id, device, conversation_id, got_seq, read_seq, got_rev, got_before, read_before)
JOIN conversation_heads h ON h.conversation_id = i.conversation_id
JOIN members m ON m.conversation_id = i.conversation_id AND m.user_id = i.user_id
JOIN users u ON u.user_id = i.user_id AND u.disabled_at IS NULL
WHERE i.device <> ''
  AND (GREATEST(i.got_seq, i.read_seq, i.got_rev) > 0 OR i.got_before IS NOT NULL OR i.read_before IS NOT NULL)
ORDER BY i.user_id, i.device, i.conversation_id
ON CONFLICT (user_id, device, conversation_id) DO UPDATE
SET got_seq = GREATEST(d.got_seq, EXCLUDED.got_seq), got_rev = GREATEST(d.got_rev, EXCLUDED.got_rev))sql"};

const PgStatement set_confirms_statement{"set_confirms", R"sql(
UPDATE devices d SET confirms = true
FROM unnest($1::bigint[], $2::text[]) AS i(user_id, device)
WHERE d.user_id = i.user_id AND d.device = i.device AND NOT d.confirms)sql"};

struct MarkArrays {
  std::vector<std::int64_t> users, conversations, got, read, said, got_rev;
  std::vector<std::string> devices;
  std::vector<bool> published;
  std::vector<std::optional<UnixMillis>> got_before, read_before;
};

std::optional<UnixMillis> time_or_null(UnixMillis time) {
  if (time.value == 0) return std::nullopt;
  return time;
}

MarkArrays arrays_of(const std::vector<MarkUpdate>& updates) {
  MarkArrays arrays;
  for (const auto& update : updates) {
    arrays.users.push_back(update.user.value);
    arrays.devices.push_back(update.device);
    arrays.conversations.push_back(update.conversation.value);
    arrays.got.push_back(update.got_seq);
    arrays.read.push_back(update.read_seq);
    arrays.said.push_back(update.said_seq);
    arrays.got_rev.push_back(update.got_rev);
    arrays.published.push_back(update.published);
    arrays.got_before.push_back(time_or_null(update.got_before));
    arrays.read_before.push_back(time_or_null(update.read_before));
  }
  return arrays;
}

}  // namespace

PgQuery raise_user_marks(const std::vector<MarkUpdate>& updates) {
  const auto arrays = arrays_of(updates);
  PgParams params;
  params.int8s(arrays.users).texts(arrays.devices).int8s(arrays.conversations);
  params.int8s(arrays.got).int8s(arrays.read).booleans(arrays.published).int8s(arrays.said);
  params.times(arrays.got_before).times(arrays.read_before);
  return {&raise_user_marks_statement, std::move(params)};
}

std::vector<MovedCursor> moved_of(const PgRows& rows) {
  std::vector<MovedCursor> moved;
  moved.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    moved.push_back({ConversationId{rows.integer(row, 0)}, UserId{rows.integer(row, 1)},
                     rows.uint32(row, 2), rows.uint32(row, 3), rows.uint32(row, 4),
                     rows.uint32(row, 5)});
  }
  return moved;
}

PgQuery raise_device_marks(const std::vector<MarkUpdate>& updates) {
  const auto arrays = arrays_of(updates);
  PgParams params;
  params.int8s(arrays.users).texts(arrays.devices).int8s(arrays.conversations);
  params.int8s(arrays.got).int8s(arrays.read).int8s(arrays.got_rev);
  params.times(arrays.got_before).times(arrays.read_before);
  return {&raise_device_marks_statement, std::move(params)};
}

PgQuery set_confirms(const std::vector<MarkUpdate>& updates) {
  std::vector<std::int64_t> users;
  std::vector<std::string> devices;
  for (const auto& update : updates) {
    if (!update.confirms) continue;
    users.push_back(update.user.value);
    devices.push_back(update.device);
  }
  return {&set_confirms_statement, std::move(PgParams{}.int8s(users).texts(devices))};
}

}  // namespace parley::sql
