#include "worker/statements_requests.hpp"

#include <nlohmann/json.hpp>
#include <utility>

namespace parley::sql {
namespace {

const PgStatement carry_out_statement{"carry_out", R"sql(
SELECT code, detail, result::text
FROM carry_out($1::int, $2, $3, ROW($4, $5, $6, $7, $8, $9, $10, $11::jsonb)::asker, $12, $13::jsonb))sql"};

// A message of kind system has the rev of its change; another message that the change is about has
// not. It may be older than what a member sees (who joined later, where the history begins with
// that).
const PgStatement changes_of_statement{"changes_of", R"sql(
SELECT c.conversation_id, c.rev, c.created_at, c.event::text, told.name,
       x.seq, x.rev, x.sender_id, u.name, x.received_at, x.request_id, x.kind, x.body, x.extra, x.expires_at,
       x.edited_at, x.deleted, NULL, hidden.names::text
FROM changes c
LEFT JOIN users told ON told.user_id = c.also_to
LEFT JOIN messages x ON x.conversation_id = c.conversation_id AND x.seq = c.seq AND x.rev = c.rev
LEFT JOIN users u ON u.user_id = x.sender_id
LEFT JOIN LATERAL (
  SELECT jsonb_agg(late.name) AS names
  FROM membership_periods p JOIN users late ON late.user_id = p.user_id
  WHERE c.seq IS NOT NULL AND x.seq IS NULL AND p.conversation_id = c.conversation_id AND p.left_seq IS NULL
    AND p.joined_seq > 0 AND p.joined_seq >= c.seq
    AND NOT EXISTS (SELECT FROM membership_periods q
                    WHERE q.conversation_id = p.conversation_id AND q.user_id = p.user_id
                      AND c.seq > q.joined_seq AND c.seq <= q.left_seq)) AS hidden ON true
WHERE c.origin_spool = $1 AND c.ingest_no = $2 AND c.event IS NOT NULL
ORDER BY c.conversation_id, c.rev)sql"};

const PgStatement invitations_of_statement{"invitations_of", R"sql(
SELECT u.name, i.invited_at, jsonb_build_object('invited', jsonb_build_object('room', c.name, 'by', b.name))::text
FROM invitations i
JOIN users u ON u.user_id = i.user_id
JOIN users b ON b.user_id = i.invited_by
JOIN conversations c ON c.conversation_id = i.conversation_id
WHERE i.origin_spool = $1 AND i.ingest_no = $2)sql"};

const PgStatement members_of_changed_statement{"members_of_changed", R"sql(
SELECT h.conversation_id, h.members_version, c.kind = 'room', c.name, m.user_id, u.name,
       m.role IN ('owner', 'admin', 'member')
FROM (SELECT DISTINCT conversation_id FROM changes WHERE origin_spool = $1 AND ingest_no = $2
                                                  AND conversation_id <> $3) AS k
JOIN conversation_heads h ON h.conversation_id = k.conversation_id
JOIN conversations c ON c.conversation_id = h.conversation_id
LEFT JOIN members m ON m.conversation_id = h.conversation_id
LEFT JOIN users u ON u.user_id = m.user_id
ORDER BY h.conversation_id, m.user_id)sql"};

const PgStatement token_generation_statement{
    "token_generation", "SELECT token_generation($1, $2, $3, $4, $5::boolean, $6, $7)"};

const PgStatement user_last_seen_statement{"user_last_seen", R"sql(
UPDATE users u SET last_seen_at = GREATEST(u.last_seen_at, i.seen_at), told_until = GREATEST(u.told_until, i.told_until)
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[]) AS i(user_id, device, seen_at, told_until)
WHERE i.device = '' AND u.user_id = i.user_id)sql"};
const PgStatement device_last_seen_statement{"device_last_seen", R"sql(
UPDATE devices d SET last_seen_at = GREATEST(d.last_seen_at, i.seen_at), told_until = GREATEST(d.told_until, i.told_until)
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[]) AS i(user_id, device, seen_at, told_until)
WHERE d.user_id = i.user_id AND d.device = i.device)sql"};

std::vector<std::string> names_of(const std::string& json) {
  return nlohmann::json::parse(json).get<std::vector<std::string>>();
}

PgParams params_of(const Origin& origin) {
  return std::move(PgParams{}
                       .int8(static_cast<std::int64_t>(origin.spool_id))
                       .int8(static_cast<std::int64_t>(origin.ingest_no)));
}

}  // namespace

PgQuery carry_out(std::optional<InLane> lane, std::string_view method, const Asker& asker,
                  ConversationId conversation, std::string_view request) {
  PgParams params;
  params.int8(lane ? std::int64_t{lane->lane} : -1)
      .int8(lane ? static_cast<std::int64_t>(lane->epoch) : 0)
      .text(method);
  params.int8(asker.user.value).text(asker.name).text(asker.device).int8(asker.scope);
  params.int8(static_cast<std::int64_t>(asker.origin.spool_id))
      .int8(static_cast<std::int64_t>(asker.origin.ingest_no))
      .time(asker.received_at)
      .text(asker.limits);
  params.int8(conversation.value).text(request);
  return {&carry_out_statement, std::move(params)};
}

Outcome refusal(Code code, std::string detail) {
  return {std::string{to_string(code)}, std::move(detail), "{}"};
}

Code code_of(const PgFault& fault) {
  // 57014, 55P03: it took too long, or waited too long for a lock.
  const bool too_late = fault.sqlstate == "57014" || fault.sqlstate == "55P03";
  return fault.kind == PgFault::Kind::in_doubt || too_late ? Code::timeout : Code::unavailable;
}

Outcome refusal(const PgFault& fault) {
  const auto code = code_of(fault);
  return refusal(code, code == Code::timeout ? "the database did not answer in time"
                                             : "the database did not carry it out");
}

std::optional<Outcome> outcome_of(const PgRows& rows) {
  if (rows.count() == 0) return std::nullopt;
  return Outcome{rows.text(0, 0), rows.text(0, 1), rows.text(0, 2)};
}

PgQuery changes_of(const Origin& origin) { return {&changes_of_statement, params_of(origin)}; }

std::vector<Change> changes_of(const PgRows& rows) {
  constexpr int first_of_message = 5;
  constexpr int hidden_column = 18;
  std::vector<Change> changes;
  for (int row = 0; row < rows.count(); ++row) {
    Change change{ConversationId{rows.integer(row, 0)},
                  rows.uint32(row, 1),
                  rows.time(row, 2),
                  rows.text(row, 3),
                  rows.text(row, 4),
                  {},
                  {}};
    if (!rows.is_null(row, first_of_message))
      change.message = message_at(rows, row, first_of_message);
    if (!rows.is_null(row, hidden_column))
      change.hidden_from = names_of(rows.text(row, hidden_column));
    changes.push_back(std::move(change));
  }
  return changes;
}

PgQuery invitations_of(const Origin& origin) {
  return {&invitations_of_statement, params_of(origin)};
}

std::vector<Invitation> invitations_of(const PgRows& rows) {
  std::vector<Invitation> invitations;
  invitations.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    invitations.push_back({rows.text(row, 0), rows.time(row, 1), rows.text(row, 2)});
  }
  return invitations;
}

PgQuery members_of_changed(const Origin& origin, ConversationId known) {
  return {&members_of_changed_statement, std::move(params_of(origin).int8(known.value))};
}

PgQuery token_generation(const Asker& asker, const std::string& device) {
  return {
      &token_generation_statement,
      std::move(PgParams{}
                    .int8(asker.user.value)
                    .text(asker.name)
                    .text(device)
                    .text(asker.device)
                    .text(asker.bound ? "true" : "false")
                    .int8(asker.token_generation)
                    .int8(asker.device_generation ? std::int64_t{*asker.device_generation} : -1))};
}

TokenGeneration token_generation_of(const PgRows& rows) {
  if (rows.is_null(0, 0)) return {};
  const auto generation = rows.integer(0, 0);
  return {true, generation < 0, static_cast<std::uint32_t>(generation)};
}

std::vector<PgQuery> set_last_seen(const std::vector<LastSeen>& seen) {
  std::vector<std::int64_t> users;
  std::vector<std::string> devices;
  std::vector<std::optional<UnixMillis>> times, told_until;
  for (const auto& one : seen) {
    users.push_back(one.user.value);
    devices.push_back(one.device);
    times.push_back(one.time);
    told_until.push_back(one.told_until);
  }
  const auto params = [&] {
    return std::move(PgParams{}.int8s(users).texts(devices).times(times).times(told_until));
  };
  return {{&user_last_seen_statement, params()}, {&device_last_seen_statement, params()}};
}

}  // namespace parley::sql
