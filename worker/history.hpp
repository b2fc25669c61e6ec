// The request `history`: a page of a conversation's messages (docs/protocol.md, "Requests").
#pragma once

#include <functional>
#include <string>

#include "core/wire.hpp"
#include "worker/conversations.hpp"
#include "worker/pg_link.hpp"

namespace parley {

/// Answers one `history` request of `user`. `done` is called once; with Code::unavailable when the
/// database failed (the caller's deadline may have answered before).
using HistoryDone = std::function<void(std::variant<ReplyFailed, HistoryResult>)>;
void read_history(PgLink& database, Resolver& resolver, UserId user, HistoryRequest request,
                  HistoryDone done);

}  // namespace parley
