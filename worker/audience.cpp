#include "worker/audience.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <vector>

namespace parley {
namespace {

/// Who has come or gone with a change; empty: nobody.
std::string who(const sql::Change& change, const char* kind) {
  const auto event = nlohmann::json::parse(change.event, nullptr, false);
  if (!event.is_object() || !event.contains(kind)) return {};
  return event[kind].value("user", std::string{});
}

/// Takes out who went last of that name; those who come and go stand at the end.
void take(std::vector<Member>& members, const std::string& name) {
  const auto found = std::find_if(members.rbegin(), members.rend(),
                                  [&](const Member& member) { return member.name == name; });
  if (found != members.rend()) members.erase(std::next(found).base());
}

}  // namespace

Audiences::Audiences(const Changed& changed) : changed_{changed} {
  std::map<ConversationId, int> comings;
  for (const auto& change : changed.changes) {
    if (change.message) ++comings[change.conversation];
  }
  // After a single one its members are those of now.
  for (const auto& [id, count] : comings) {
    const auto& now = changed.conversations.at(id);
    if (count > 1 && now != nullptr) rewind(id, *now);
  }
}

/// Back to before the first change: who has come is not there yet, who is gone still is.
void Audiences::rewind(ConversationId id, const Conversation& now) {
  std::unordered_set<std::string> come;
  std::vector<std::string> gone;
  for (const auto& change : changed_.changes) {
    if (change.conversation != id) continue;
    if (auto name = who(change, "joined"); !name.empty()) come.insert(std::move(name));
    if (auto name = who(change, "left"); !name.empty()) gone.push_back(std::move(name));
  }
  auto before = std::make_shared<Conversation>(now);
  std::erase_if(before->members, [&](const Member& member) {
    if (!come.contains(member.name)) return false;
    to_come_[{id, member.name}] = member;
    return true;
  });
  for (const auto& name : gone) before->members.push_back({{}, name, true});
  rewound_[id] = std::move(before);
}

std::shared_ptr<const Conversation> Audiences::of(const sql::Change& change) {
  std::shared_ptr<const Conversation> then = changed_.conversations.at(change.conversation);
  if (const auto found = rewound_.find(change.conversation); found != rewound_.end()) {
    auto& members = found->second->members;
    if (const auto come = who(change, "joined"); !come.empty()) {
      const auto member = to_come_.find({change.conversation, come});
      if (member != to_come_.end()) members.push_back(member->second);
    }
    if (const auto gone = who(change, "left"); !gone.empty()) take(members, gone);
    then = found->second;
  }
  if (then == nullptr || change.hidden_from.empty()) return then;
  const std::unordered_set<std::string> hidden{change.hidden_from.begin(),
                                               change.hidden_from.end()};
  auto seeing = std::make_shared<Conversation>(*then);
  std::erase_if(seeing->members,
                [&](const Member& member) { return hidden.contains(member.name); });
  return seeing;
}

}  // namespace parley
