#include "worker/stored_message.hpp"

#include <nlohmann/json.hpp>

#include "worker/log.hpp"

namespace parley {

StoredMessage stored_message(ConversationId conversation, const sql::MessageRow& row) {
  StoredMessage stored{conversation, row.sender_id, {}};
  auto& message = stored.message;
  message.id = row.request_id;
  message.from = row.sender;
  message.seq = row.seq;
  message.rev = row.rev;
  message.time = row.received_at;
  message.content.kind = row.kind;
  message.content.text = row.text;
  if (row.extra && !decode_content_rest(*row.extra, message.content)) {
    log::error("event=bad_extra conversation={} seq={}", conversation.value, row.seq);
  }
  if (row.edited_mentions) {
    message.content.mentions =
        nlohmann::json::parse(*row.edited_mentions).get<std::vector<std::string>>();
  }
  message.edited_time = row.edited_at;
  message.deleted = row.deleted;
  message.expires_time = row.expires_at;
  return stored;
}

}  // namespace parley
