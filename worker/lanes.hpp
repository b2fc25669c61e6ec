// Ingest: messages to the database in batches, one batch in flight per lane, so that a failed batch
// is never overtaken (docs/ARCHITECTURE.md, "Lanes").
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/answer.hpp"
#include "core/send_message.hpp"
#include "worker/conversations.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/statements.hpp"
#include "worker/statements_requests.hpp"

namespace parley {

/// A message on its way into the database, with what its answer needs.
struct PendingSend {
  Origin origin;
  link::InboundRecord record;
  SendMessage send;
  ConversationId conversation;
};

/// What a request has changed, when it is committed.
struct Changed {
  std::optional<sql::Outcome> outcome;  // nothing: it was not carried out now
  std::vector<sql::Change> changes;
  std::vector<sql::Invitation> invitations;
  /// With their members as of now.
  std::unordered_map<ConversationId, MembersCache::Entry> conversations;
};

/// From when on stored messages are looked through for a repeat. Ids are unique in each month's
/// partition: so it is the beginning of a month (UTC), at least eight days back.
/// @param oldest  the earliest receipt of what is to be stored
UnixMillis repeat_probe_from(UnixMillis now, UnixMillis oldest);
/// Whether all of that is in the partition of now, whose index refuses repeats by itself.
bool repeats_are_refused(UnixMillis now, UnixMillis oldest);

/// A request that changes a conversation, between its messages (docs/adr/0006).
struct PendingChange {
  ConversationId conversation;  // 0: it makes one
  std::string_view method;
  sql::Asker asker;
  std::string request;  // JSON
  /// Whether it is still to be carried out; else only looks what it did when it was tried before.
  std::function<bool()> wanted;
  /// Called once. A fault is the request's own; others are tried again.
  std::function<void(const Result<Changed, PgFault>&)> done;
};

class Lanes {
 public:
  struct Handlers {
    /// Committed, or refused by the statement. The conversation is null if it has no members. The
    /// contents may be taken.
    std::function<void(PendingSend&, const sql::StoreOutcome&, const Conversation*)> settled;
    /// The database refuses this one message: answered with a code, not stored.
    std::function<void(const PendingSend&, Code, const std::string& detail)> refused;
    /// Something of the conversation has been committed; once for each in a batch.
    std::function<void(ConversationId)> touched;
    /// Another worker owns the lane.
    std::function<void()> superseded;
    /// There may be no partition for now.
    std::function<void()> partition_missing;
    /// Whether batches may start, or be tried again (the plugin keeps up, the clocks are good).
    std::function<bool()> may_start;
    /// Whether the record has never been offered to a worker before this one.
    std::function<bool(const Origin&)> is_new;
    /// A lane's connection to the database is gone; it is there (again).
    std::function<void()> lost;
    std::function<void()> connected;
  };
  Lanes(asio::io_context& loop, const std::string& uri, std::uint32_t lanes, std::uint64_t epoch,
        MembersCache& members, Handlers handlers);
  ~Lanes();

  void start();
  void push(PendingSend pending);
  /// Comes after everything of its conversation that was pushed before.
  void push(PendingChange change);
  /// Starts a batch on every lane that is idle. Call it at the end of each turn of the loop.
  void pump();
  /// Calls back once every batch that is in flight now has been settled or is known not to be in
  /// the database; at once if there is none.
  void after_in_flight(std::function<void()> fn);

  [[nodiscard]] std::size_t waiting() const;
  /// Whether a batch waits because there is no partition for now.
  [[nodiscard]] bool no_partition() const;

 private:
  class Lane;
  const Handlers handlers_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace parley
