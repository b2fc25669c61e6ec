// The statements about somebody's whole account: taking it along, and erasing it.
#pragma once

#include <cstdint>
#include <optional>
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

// ---- chores ----

extern const PgStatement limit_chores;  // the time of statements, on their connection

/// A room that somebody who erases himself has still to leave; no row: there is none.
PgQuery erasure_room();
struct ErasureRoom {
  UserId user;
  std::string name;
  ConversationId conversation;
};
std::optional<ErasureRoom> erasure_room_of(const PgRows& rows);
/// Takes contents of those who erased themselves away, looking at `max` messages. One row.
PgQuery erase_contents(std::int64_t max);
struct ErasureStep {
  bool more = false;                      // there is more to do
  std::optional<ConversationId> changed;  // in which contents are gone now
};
ErasureStep erase_contents_of(const PgRows& rows);

/// What failed is tried again later, and others first.
/// @param user  0: whose contents were next
PgQuery postpone_erasure(UserId user, ConversationId room);

/// Removes at most `max` messages that are too old. One row.
/// @param phase  "partitions", "rows", "rooms"
/// @param days   0: only rooms have theirs
PgQuery retention_step(const char* phase, std::uint32_t days, std::int64_t after, std::int64_t max);
struct RetentionStep {
  std::int64_t next = 0;                  // where the phase goes on; below 0: it is at its end
  std::optional<ConversationId> changed;  // in which messages are gone now
};
RetentionStep retention_step_of(const PgRows& rows);

}  // namespace parley::sql
