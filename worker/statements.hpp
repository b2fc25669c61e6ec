// Every SQL statement of the worker: its parameters and its rows as values. Nothing else holds SQL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/link.hpp"
#include "core/request.hpp"
#include "worker/pg_link.hpp"

namespace parley::sql {

// ---- start and housekeeping (blocking connection at start, then the loop's) ----

/// Takes the lanes for a new worker. One row: (epoch int8, server epoch text).
PgQuery claim_lanes(std::uint32_t lanes);
struct Claim {
  std::uint64_t epoch = 0;
  std::string server_epoch;
};
Claim claim_of(const PgRows& rows);
extern const PgStatement listen_users;
extern const PgStatement limit_statements;  // their time

/// Makes the partitions of this and the next two months.
PgQuery make_partitions();
/// The time that messages are stored by.
PgQuery database_clock();
UnixMillis database_clock_of(const PgRows& rows);
/// When the newest message was stored. Reads the head of every conversation.
PgQuery newest_message();
UnixMillis newest_message_of(const PgRows& rows);
/// Takes the contents out of at most `max` messages that have expired, and what hangs on them.
PgQuery expire_messages(std::int64_t max);
struct Expired {
  std::vector<ConversationId> conversations;
  std::int64_t messages = 0;  // `max`: perhaps there are more
};
Expired expired_of(const PgRows& rows);
/// Which of these users are in which of the conversations.
PgQuery members_among(const std::vector<ConversationId>& conversations,
                      const std::vector<UserId>& users);
struct MemberOf {
  UserId user;
  ConversationId conversation;
};
std::vector<MemberOf> members_among_of(const PgRows& rows);

/// The revocation list, ordered; one page of at most `max` behind (user, device).
PgQuery generations_page(UserId after_user, const std::string& after_device, std::int64_t max);
std::vector<link::Generation> generations_of(const PgRows& rows);

// ---- conversations ----

/// Who talks to what: `send/<to>` of one sender.
struct Target {
  UserId sender;
  std::string to;
};
/// Holds the users of the 1:1 conversations that are missing among these targets, so that what they
/// let each other do stays as it is…
PgQuery lock_new_pairs(const std::vector<Target>& targets);
/// … makes these conversations…
PgQuery make_direct(const std::vector<Target>& targets);
/// … and says where each target leads. In the same job, in this order.
PgQuery resolve(const std::vector<Target>& targets);
struct Resolved {
  std::string kind;  // "direct", "room", "" (no such name)
  ConversationId conversation;
  bool sender_known = false;  // false: this database has no such user, or he is disabled
  bool member = false;        // the sender, of the conversation
};
std::vector<Resolved> resolved_of(const PgRows& rows);  // as many as targets, in their order

/// One row: may the user of that name, whether they ever spoke or not, see that the sender writes.
PgQuery may_see_typing(const Target& target);
bool may_see_typing_of(const PgRows& rows);

// ---- ingest: lock_heads, store_messages, members_of_stale as one job ----

/// Its texts are somebody else's: they must stay until the statement is made.
struct NewMessage {
  ConversationId conversation;
  UserId sender;
  UnixMillis received_at;
  std::uint64_t spool_id = 0;
  IngestNo ingest_no = 0;
  RequestKey request_key{};
  RequestHash request_hash{};
  std::string_view request_id;  // as the client wrote it; may be empty
  std::string_view kind;
  std::string_view text;
  std::string extra;  // empty: nothing
  std::optional<UnixMillis> expires_at;
};
/// Locks the heads of these conversations in id order; one row: does `epoch` own the lane.
PgQuery lock_heads(std::uint32_t lane, std::uint64_t epoch,
                   const std::vector<ConversationId>& conversations);
bool owns_lane(const PgRows& rows);

enum class StoreStatus {
  stored,
  replayed,
  repeated,
  id_conflict,
  not_member,
  read_only,
  blocked,
  stranger,  // the other one hears from his contacts only
};
struct StoreOutcome {
  StoreStatus status = StoreStatus::stored;
  Seq seq = 0;
  Rev rev = 0;
  UnixMillis time;
};
/// @param probe_from  repeats are looked for among messages stored since then
PgQuery store_messages(std::uint32_t lane, std::uint64_t epoch, UnixMillis probe_from,
                       const std::vector<NewMessage>& messages);
std::vector<StoreOutcome> outcomes_of(const PgRows& rows);  // as many as messages, in their order

// ---- the same in one statement, if the lane knows where it writes (docs/adr/0009) ----

/// Where the messages of a batch go.
struct Append {
  struct Head {
    ConversationId conversation;
    // As the lane knows it; one that is otherwise by now takes no message.
    Seq last_seq = 0;
    Rev last_rev = 0;
    std::int64_t members_version = 0;
    std::int64_t messages = 0;  // that it gets
  };
  struct Place {
    Seq seq = 0;
    Rev rev = 0;
  };
  std::vector<Head> heads;    // by conversation
  std::vector<Place> places;  // of each message
};
/// Stores the messages of those conversations that stand as `append` says, if the lane is ours. An
/// error 23505 says that there is a repeat among them, and that nothing was stored.
PgQuery append_messages(std::uint32_t lane, std::uint64_t epoch,
                        const std::vector<NewMessage>& messages, const Append& append);
/// The conversations whose messages are stored.
std::vector<ConversationId> appended_of(const PgRows& rows);

/// Members of those of the conversations whose version is not the one that the caller knows.
struct KnownVersion {
  ConversationId conversation;
  std::int64_t members_version = 0;
};
PgQuery members_of_stale(const std::vector<KnownVersion>& known);
struct MemberRow {
  ConversationId conversation;
  std::int64_t members_version = 0;
  bool is_room = false;
  std::string room;  // its name, if it is one
  UserId user;       // 0: nobody is in it
  std::string name;
  bool may_write = true;
};
std::vector<MemberRow> members_of(const PgRows& rows);  // ordered by conversation and user

PgQuery park(std::uint64_t spool_id, IngestNo ingest_no, const std::string& error,
             const std::string& record);

// ---- cursors ----

/// A mark as high as that means: everything there is.
constexpr Seq seq_of_all = 1U << 30U;

struct MarkUpdate {
  UserId user;
  std::string device;  // empty: not a named device
  ConversationId conversation;
  Seq got_seq = 0;
  Seq read_seq = 0;
  UnixMillis got_before;   // everything that was stored until then; 0: nothing
  UnixMillis read_before;  // the same
  Seq said_seq = 0;        // read by sending, though not all before it may have been delivered yet
  Rev got_rev = 0;         // of events that the device was told
  bool published = false;  // by the client itself; else concluded from its session staying up
  bool confirms = false;   // the device has published `got` or `sync`
};
/// Raises cursors, never beyond a conversation's end. At most one update per (user, device,
/// conversation) in one call.
PgQuery raise_user_marks(const std::vector<MarkUpdate>& updates);
/// What that has moved, and from where.
struct MovedCursor {
  ConversationId conversation;
  UserId user;
  Seq old_got = 0;
  Seq got = 0;
  Seq old_read = 0;
  Seq read = 0;
};
std::vector<MovedCursor> moved_of(const PgRows& rows);
PgQuery raise_device_marks(const std::vector<MarkUpdate>& updates);
PgQuery set_confirms(const std::vector<MarkUpdate>& updates);

// ---- backlog and history ----

/// Makes the device known (a new one begins at the user's `got`); no rows.
PgQuery add_device(UserId user, const std::string& device);
/// Whether the session observes only, and whether its device confirms. One row.
PgQuery session_kind(UserId user, const std::string& device);
struct SessionKind {
  bool observes = false;
  bool confirms = false;
};
SessionKind session_kind_of(const PgRows& rows);

struct MessageRow {
  Seq seq = 0;
  Rev rev = 0;
  UserId sender_id;
  std::string sender;
  UnixMillis received_at;
  std::string request_id;
  std::string kind;
  std::string text;
  std::optional<std::string> extra;
  std::optional<UnixMillis> expires_at;
  std::optional<UnixMillis> edited_at;
  bool deleted = false;
  std::optional<std::string> edited_mentions;  // JSON list; instead of those in `extra`
};
/// Messages that `user` may see with after < seq < before, always returned ascending.
struct MessageRange {
  ConversationId conversation;
  UserId user;
  Seq after = 0;
  Seq before = 0;  // exclusive
  std::int64_t max = 0;
  bool newest = false;  // of a page: the last ones instead of the first ones
};
/// The first `max` of them, of a range in which not much is missing: what a device has to get.
PgQuery message_range(const MessageRange& range);
std::vector<MessageRow> messages_of(const PgRows& rows);
/// The first or the last `max` of any range, of which at most `look_max` seqs are looked at: they
/// may have expired. So there may be fewer, or none, and more behind them.
PgQuery message_page(const MessageRange& range, std::int64_t look_max);
struct MessagePage {
  std::vector<MessageRow> messages;
  std::optional<Seq> next;  // `after` (of the newest `before`) for the rest, if they are fewer;
                            // none: there is no rest
};
MessagePage message_page_of(const PgRows& rows);
/// The message whose first column (seq) is `first`.
MessageRow message_at(const PgRows& rows, int row, int first);
/// One row if `user` is (or was) in the conversation: is he a member now.
PgQuery is_member(ConversationId conversation, UserId user);
bool is_member_of(const PgRows& rows);
/// One row: is there still a user of this number. One who is shut out is none.
PgQuery is_active(UserId user);
bool is_active_of(const PgRows& rows);

}  // namespace parley::sql
