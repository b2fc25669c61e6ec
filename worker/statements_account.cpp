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

}  // namespace

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
  for (int row = 0; row < rows.count(); ++row) lines.push_back(rows.text(row, 0));
  return lines;
}

PgQuery export_conversations(UserId user) {
  return {&export_conversations_statement, std::move(PgParams{}.int8(user.value))};
}

std::vector<ExportedConversation> exported_of(const PgRows& rows) {
  std::vector<ExportedConversation> conversations;
  for (int row = 0; row < rows.count(); ++row) {
    conversations.push_back({ConversationId{rows.integer(row, 0)}, rows.text(row, 1)});
  }
  return conversations;
}

}  // namespace parley::sql
