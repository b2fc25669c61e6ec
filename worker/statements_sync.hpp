// The statements behind backlogs and `sync`: their parameters and their rows as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements.hpp"

namespace parley::sql {

/// Conversations in which there is more than the device (or, without one, the user) has got.
/// @param from_nothing  as if it had got nothing
PgQuery behind(UserId user, const std::string& device, bool from_nothing);
struct Behind {
  ConversationId conversation;
  std::string conv;  // as this user calls it
  bool is_room = false;
  Seq got_seq = 0;
  Seq last_seq = 0;
  Rev last_rev = 0;
  Rev got_rev = 0;   // events up to it
  bool cut = false;  // what lies between what it has got and that is not kept any more
};
std::vector<Behind> behind_of(const PgRows& rows);

/// Events of a conversation that `user` may see, with after < rev ≤ up_to; the first `max` of them.
struct EventRange {
  ConversationId conversation;
  UserId user;
  Rev after = 0;
  Rev up_to = 0;
  std::int64_t max = 0;
};
PgQuery event_range(const EventRange& range);
struct EventRow {
  std::string conv;  // empty: not said
  Rev rev = 0;
  UnixMillis time;
  std::string what;  // JSON, see core/request_wire.hpp
};
std::vector<EventRow> events_of(const PgRows& rows);

/// What has no rev that the user could have missed, since the device (or, without one, he) was told
/// everything for sure: others' cursors, invitations, and that he was removed. Some of it may have
/// been told before. At most `max`, oldest first.
/// @param since_ever  cursors and invitations of whatever age
PgQuery missed_events(UserId user, const std::string& device, bool since_ever, std::int64_t max);

/// `sync`: where a device says that it is. It confirms from now on; a row for each conversation
/// that it named and is in.
/// @param revs  as many as convs
PgQuery place_device(UserId user, const std::string& device, const std::vector<std::string>& convs,
                     const std::vector<std::int64_t>& revs);
struct Placed {
  ConversationId conversation;
  Seq got_seq = 0;
  Rev got_rev = 0;
};
std::vector<Placed> placed_of(const PgRows& rows);

/// All conversations of a user, the newest first, with the last message of each.
PgQuery conversations_of(UserId user);
struct ConversationRow {
  ConversationId conversation;
  std::string conv;     // as this user calls it
  std::string summary;  // JSON of a SyncResult.Conversation, without `last`
  std::uint32_t unread = 0;
  std::optional<MessageRow> last;
};
std::vector<ConversationRow> conversations_of(const PgRows& rows);

/// Somebody who could be told what happens in a conversation.
struct Listener {
  ConversationId conversation;
  UserId user;
};
/// Those of the listeners whose messages somebody has got or read now, if he may be told of (nobody
/// of the two has blocked the other).
/// @param max  of a move over more messages those are told who ever said something there
PgQuery readers_told(const std::vector<MovedCursor>& moved, const std::vector<Listener>& listeners,
                     std::int64_t max);
struct ReaderRow {
  std::size_t moved = 0;  // its index
  std::string reader;
  std::string to;
  std::string conv;  // as he calls it
};
std::vector<ReaderRow> readers_of(const PgRows& rows);  // ordered by `moved`
/// The members of those among these conversations that have at most so many; rows as of
/// members_of_stale.
PgQuery members_of_small(const std::vector<ConversationId>& conversations,
                         std::int64_t members_max);

}  // namespace parley::sql
