#include "worker/heads.hpp"

#include <algorithm>

namespace parley {
namespace {

constexpr std::size_t heads_max = 100'000;

}  // namespace

void Heads::learn(ConversationId conversation, const sql::Append::Place& newest) {
  if (heads_.size() >= heads_max && !heads_.contains(conversation)) heads_.clear();
  heads_[conversation] = newest;
}

void Heads::forget(ConversationId conversation) { heads_.erase(conversation); }

std::optional<sql::Append> Heads::plan(const std::vector<sql::NewMessage>& messages,
                                       const MembersOf& members_of) const {
  struct Known {
    std::size_t head;
    const Conversation* members;
  };
  sql::Append append;
  append.places.reserve(messages.size());
  std::unordered_map<ConversationId, Known> known;
  for (const auto& message : messages) {
    auto found = known.find(message.conversation);
    if (found == known.end()) {
      const auto head = heads_.find(message.conversation);
      const auto* const members = members_of(message.conversation);
      if (head == heads_.end() || members == nullptr) return std::nullopt;
      found = known.emplace(message.conversation, Known{append.heads.size(), members}).first;
      append.heads.push_back(
          {message.conversation, head->second.seq, head->second.rev, members->members_version, 0});
    }
    const auto* const sender = found->second.members->find(message.sender);
    if (sender == nullptr || !sender->may_write) return std::nullopt;
    auto& head = append.heads[found->second.head];
    const auto n = static_cast<Seq>(++head.messages);
    append.places.push_back({head.last_seq + n, head.last_rev + n});
  }
  // The order in which everybody locks heads.
  std::sort(append.heads.begin(), append.heads.end(), [](const auto& one, const auto& other) {
    return one.conversation < other.conversation;
  });
  return append;
}

}  // namespace parley
