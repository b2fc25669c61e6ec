#include "worker/statements_account.hpp"

#include <utility>

namespace parley::sql {
namespace {

const PgStatement export_account_statement{"export_account", "SELECT * FROM export_account($1)"};
const PgStatement export_people_statement{"export_people", "SELECT * FROM export_people($1)"};
const PgStatement export_conversation_statement{"export_conversation",
                                                "SELECT * FROM export_conversation($1, $2)"};
const PgStatement export_conversations_statement{"export_conversations",
                                                 "SELECT * FROM export_conversations($1)"};

const PgStatement erasure_room_statement{"erasure_room", "SELECT * FROM erasure_room()"};
const PgStatement erase_contents_statement{"erase_contents", "SELECT * FROM erase_contents($1)"};
const PgStatement postpone_erasure_statement{"postpone_erasure", "SELECT postpone_erasure($1, $2)"};
const PgStatement retention_step_statement{"retention_step",
                                           "SELECT * FROM retention_step($1, $2, $3, $4)"};

/// Of the one row.
std::optional<ConversationId> conversation_at(const PgRows& rows, int column) {
  if (rows.is_null(0, column)) return std::nullopt;
  return ConversationId{rows.integer(0, column)};
}

}  // namespace

const PgStatement limit_chores{"limit_chores", "SET statement_timeout = '20s'"};

PgQuery erasure_room() { return {&erasure_room_statement, {}}; }

std::optional<ErasureRoom> erasure_room_of(const PgRows& rows) {
  if (rows.count() == 0) return std::nullopt;
  return ErasureRoom{UserId{rows.integer(0, 0)}, rows.text(0, 1),
                     ConversationId{rows.integer(0, 2)}};
}

PgQuery erase_contents(std::int64_t max) {
  return {&erase_contents_statement, std::move(PgParams{}.int8(max))};
}

ErasureStep erase_contents_of(const PgRows& rows) {
  return {rows.boolean(0, 0), conversation_at(rows, 1)};
}

PgQuery postpone_erasure(UserId user, ConversationId room) {
  return {&postpone_erasure_statement, std::move(PgParams{}.int8(user.value).int8(room.value))};
}

PgQuery retention_step(const char* phase, std::uint32_t days, std::int64_t after,
                       std::int64_t max) {
  return {&retention_step_statement,
          std::move(PgParams{}.text(phase).int8(days).int8(after).int8(max))};
}

RetentionStep retention_step_of(const PgRows& rows) {
  return {rows.integer(0, 0), conversation_at(rows, 1)};
}

PgQuery export_account(UserId user) {
  return {&export_account_statement, std::move(PgParams{}.int8(user.value))};
}

PgQuery export_people(UserId user) {
  return {&export_people_statement, std::move(PgParams{}.int8(user.value))};
}

PgQuery export_conversation(ConversationId conversation, UserId user) {
  return {&export_conversation_statement,
          std::move(PgParams{}.int8(conversation.value).int8(user.value))};
}

std::vector<std::string> lines_of(const PgRows& rows) {
  std::vector<std::string> lines;
  lines.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) lines.push_back(rows.text(row, 0));
  return lines;
}

PgQuery export_conversations(UserId user) {
  return {&export_conversations_statement, std::move(PgParams{}.int8(user.value))};
}

std::vector<ExportedConversation> exported_of(const PgRows& rows) {
  std::vector<ExportedConversation> conversations;
  conversations.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    conversations.push_back({ConversationId{rows.integer(row, 0)}, rows.text(row, 1)});
  }
  return conversations;
}

}  // namespace parley::sql
