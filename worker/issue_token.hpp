// `token.issue` (docs/protocol.md, "Tokens").
#pragma once

#include <string>

#include "worker/config.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements_requests.hpp"

namespace parley {

/// The token goes into the outcome and nowhere else.
/// @param request  JSON of a TokenIssueRequest
void issue_token(PgLink& database, const BrokerConfig& broker, const sql::Asker& asker,
                 const std::string& request, sql::OutcomeDone done);

}  // namespace parley
