// The statements behind the state topics and events of presence: their parameters and their rows
// as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements.hpp"

namespace parley::sql {

/// A conversation that a user sees.
struct SeenConversation {
  ConversationId conversation;
  std::int64_t members_version = 0;
};
/// The newest ones, newest first.
PgQuery newest_conversations(UserId user, std::int64_t max);
/// Those that the user calls so.
PgQuery conversations_named(UserId user, const std::vector<std::string>& names);
std::vector<SeenConversation> seen_conversations_of(const PgRows& rows);

/// Names of those whom a user has to do with: his contacts, peers and co-members, in this order.
PgQuery people_of(UserId user, std::int64_t max);
std::vector<std::string> names_of(const PgRows& rows);

/// The total unread of each; rows in their order.
PgQuery unread_totals(const std::vector<UserId>& users);
std::vector<std::int64_t> unread_totals_of(const PgRows& rows);

/// What the members of conversations see of them. No row where one is no member.
PgQuery conversation_states(const std::vector<MemberOf>& wanted);
struct StateRow {
  std::size_t index = 0;  // in `wanted`
  std::string conv;       // as this user calls it
  Seq seq = 0;
  Seq read_seq = 0;
  std::uint32_t unread = 0;
  std::optional<UnixMillis> muted_until;
  /// The newest message that he may still see, of the newest hundred: as far as it is shown.
  std::optional<MessageRow> last;
};
std::vector<StateRow> state_rows_of(const PgRows& rows);

struct PresenceOf {
  UserId viewer;
  std::string name;
};
/// No row for whom the viewer may not see.
PgQuery presences(const std::vector<PresenceOf>& wanted);
struct PresenceRow {
  std::size_t index = 0;  // in `wanted`
  UserId user;
  UnixMillis last_seen;  // 0: never
};
std::vector<PresenceRow> presence_rows_of(const PgRows& rows);

/// The contacts of each of these who may see his presence.
PgQuery presence_audience(const std::vector<UserId>& users);
struct Watcher {
  UserId of;
  std::string name;
};
std::vector<Watcher> watchers_of(const PgRows& rows);

}  // namespace parley::sql
