// A message of the database as it goes to clients.
#pragma once

#include "core/fan_out.hpp"
#include "core/ids.hpp"
#include "worker/statements.hpp"

namespace parley {

/// `conv` is not set: it depends on who reads it.
StoredMessage stored_message(ConversationId conversation, const sql::MessageRow& row);

}  // namespace parley
