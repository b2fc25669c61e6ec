// Who is told of the changes of one request: of each those who were members then, although only the
// members after the last one are known; and of what was done to a message those who see it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "worker/lanes.hpp"

namespace parley {

class Audiences {
 public:
  /// @param changed  outlives it
  explicit Audiences(const Changed& changed);
  /// The conversation as it was when this change was made, with those members who are told. Call it
  /// for each, in their order. Null if it has no members.
  std::shared_ptr<const Conversation> of(const sql::Change& change);

 private:
  using Name = std::pair<ConversationId, std::string>;
  void rewind(ConversationId id, const Conversation& now);

  const Changed& changed_;
  std::map<ConversationId, std::shared_ptr<Conversation>> rewound_;  // with several changes
  std::map<Name, Member> to_come_;
};

}  // namespace parley
