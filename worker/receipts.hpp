// Tells senders how far the others have got and read what they said (docs/protocol.md, "Got"): when
// a cursor has moved over messages of theirs, once for each move and never for each message.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "core/receipt_rounds.hpp"
#include "worker/conversations.hpp"
#include "worker/pg_link.hpp"
#include "worker/publisher.hpp"
#include "worker/statements_sync.hpp"

namespace parley {

class Receipts {
 public:
  struct Needs {
    PgLink& database;
    MembersCache& members;
    Publisher& publisher;
    std::function<void()> turn;
  };
  Receipts(asio::io_context& loop, Needs needs);

  /// Cursors that have risen, committed. Costs nothing when nobody who could be told listens.
  void moved(const std::vector<sql::MovedCursor>& moved);
  void stop() { timer_.cancel(); }

 private:
  using Key = ReceiptRounds::Key;
  struct Batch {
    std::vector<sql::MovedCursor> moved;
    std::vector<sql::Listener> listeners;
    std::vector<ConversationId> unknown;  // nobody remembers who is in there
  };
  [[nodiscard]] std::vector<UserId> listeners_of(const Conversation& conversation) const;
  [[nodiscard]] bool anybody_listens(const sql::MovedCursor& moved) const;
  void add(const sql::MovedCursor& moved);
  void ask();
  Batch gather();
  void answered(const Batch& batch, const std::vector<PgRows>& results);
  void forget_unknown(const std::vector<ConversationId>& unknown);
  void tell(const std::vector<sql::MovedCursor>& moved, const std::vector<sql::ReaderRow>& rows);
  void publish(const ReceiptRounds::Telling& telling);
  void arm();

  Needs needs_;
  asio::steady_timer timer_;
  bool armed_ = false;
  std::map<Key, sql::MovedCursor> waiting_;  // nobody has looked whom they concern; bounded
  Key last_;                                 // of those that were looked at
  bool asking_ = false;
  ReceiptRounds rounds_;
};

}  // namespace parley
