// `sync`: a device says what it holds, hears how its conversations are, and gets everything behind
// that on the usual topics (docs/protocol.md, "Sync").
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "core/wire.hpp"
#include "worker/backlog.hpp"
#include "worker/cursors.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements_requests.hpp"
#include "worker/statements_sync.hpp"

namespace parley {

class Syncs {
 public:
  struct Needs {
    PgLink& database;
    Cursors& cursors;
    Backlogs& backlogs;
  };
  /// @param epoch  of the server: positions of another one are void
  Syncs(std::string epoch, const Needs& needs) : epoch_{std::move(epoch)}, needs_{needs} {}

  /// @param request  JSON of a SyncRequest
  /// @param done     called once: JSON of a SyncResult, or what went wrong. What the device lacks
  /// is
  ///                 sent behind what is delivered within it
  using Done = std::function<void(std::variant<ReplyFailed, std::string>)>;
  void take(const sql::Asker& asker, SessionNo session_no, const std::string& request, Done done);

 private:
  struct Positions {
    std::vector<std::string> convs;
    std::vector<std::int64_t> revs;
  };
  [[nodiscard]] Positions positions_of(const std::string& request) const;
  [[nodiscard]] std::string result_of(const std::vector<sql::ConversationRow>& rows) const;

  const std::string epoch_;
  const Needs needs_;
};

}  // namespace parley
