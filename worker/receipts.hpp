// Tells senders how far the others have got and read what they said (docs/protocol.md, "Got"): when
// a cursor has moved over messages of theirs, once for each move and never for each message.
#pragma once

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
  explicit Receipts(Needs needs) : needs_{std::move(needs)} {}

  /// Cursors that have risen, committed. Costs nothing when nobody who could be told listens.
  void moved(const std::vector<sql::MovedCursor>& moved);

 private:
  [[nodiscard]] bool anybody_listens(const sql::MovedCursor& moved);
  void add(const sql::MovedCursor& moved);
  void ask();
  void tell(const std::vector<sql::MovedCursor>& moved, const std::vector<sql::ReaderRow>& rows);

  Needs needs_;
  std::map<std::pair<ConversationId, UserId>, sql::MovedCursor> waiting_;  // bounded
  bool asking_ = false;
};

}  // namespace parley
