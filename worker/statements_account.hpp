// The statements about somebody's whole account: taking it along, and erasing it.
#pragma once

#include <string>
#include <vector>

#include "core/ids.hpp"
#include "worker/pg_link.hpp"

namespace parley::sql {

/// Lines of JSON about the user himself: profile, contacts, blocks, devices, invitations.
PgQuery export_account(UserId user);
PgQuery export_people(UserId user);
/// Lines about one conversation that are no messages; none if he is not in there any more.
PgQuery export_conversation(ConversationId conversation, UserId user);
std::vector<std::string> lines_of(const PgRows& rows);

/// The conversations that he is in.
PgQuery export_conversations(UserId user);
struct ExportedConversation {
  ConversationId conversation;
  std::string conv;  // as he calls it
};
std::vector<ExportedConversation> exported_of(const PgRows& rows);

}  // namespace parley::sql
