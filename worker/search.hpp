// `search` and `mentions` (docs/protocol.md, "Search").
#pragma once

#include <string>

#include "worker/conversations.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements_requests.hpp"

namespace parley {

/// @param configuration  of the text search
/// @param request        JSON of a SearchRequest
void search(PgLink& database, Resolver& resolver, const std::string& configuration,
            const sql::Asker& asker, const std::string& request, sql::OutcomeDone done);
/// @param request  JSON of a MentionsRequest
void mentions(PgLink& database, const sql::Asker& asker, const std::string& request,
              sql::OutcomeDone done);

}  // namespace parley
