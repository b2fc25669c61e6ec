// Tells senders how far the others have got and read what they said (docs/protocol.md, "Got"): when
// a cursor has moved over messages of theirs, once for each move and never for each message.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

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
  Receipts(asio::io_context& loop, Needs needs) : needs_{std::move(needs)}, timer_{loop} {}

  /// Cursors that have risen, committed. Costs nothing when nobody who could be told listens.
  void moved(const std::vector<sql::MovedCursor>& moved);
  void stop() { timer_.cancel(); }

 private:
  [[nodiscard]] bool anybody_listens(const sql::MovedCursor& moved);
  void later();
  void add(const sql::MovedCursor& moved);
  void ask();
  void tell(const std::vector<sql::MovedCursor>& moved, const std::vector<sql::ReaderRow>& rows);

  Needs needs_;
  asio::steady_timer timer_;
  std::map<std::pair<ConversationId, UserId>, sql::MovedCursor> waiting_;  // bounded
  bool asking_ = false;
};

}  // namespace parley
