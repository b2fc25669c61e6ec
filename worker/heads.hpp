// Where a lane's conversations stand, as far as it knows: what lets it store without asking first
// (docs/adr/0009). Never the truth: the statement that uses it says what is no longer so.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/fan_out.hpp"
#include "worker/statements.hpp"

namespace parley {

class Heads {
 public:
  /// What is known of one when its newest message is stored: nothing has happened to it since.
  void learn(ConversationId conversation, const sql::Append::Place& newest);
  void forget(ConversationId conversation);
  [[nodiscard]] std::size_t size() const { return heads_.size(); }

  /// Where these messages go: each conversation is known, with its members, and every sender may
  /// write there. Else nothing: then the database has to be asked.
  /// @param members_of  what is remembered of a conversation; null: nothing
  using MembersOf = std::function<const Conversation*(ConversationId)>;
  [[nodiscard]] std::optional<sql::Append> plan(const std::vector<sql::NewMessage>& messages,
                                                const MembersOf& members_of) const;

 private:
  // When there are too many everything is forgotten.
  std::unordered_map<ConversationId, sql::Append::Place> heads_;
};

}  // namespace parley
