#include "worker/audience.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace parley {
namespace {

/// Who has come or gone with a change; empty: nobody.
std::string who(const sql::Change& change, const char* kind) {
  const auto event = nlohmann::json::parse(change.event, nullptr, false);
  if (!event.is_object() || !event.contains(kind)) return {};
  return event[kind].value("user", std::string{});
}

/// @return the one that was taken out, if he was there
std::optional<Member> take(std::vector<Member>& members, const std::string& name) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const Member& member) { return member.name == name; });
  if (found == members.end()) return std::nullopt;
  auto member = std::move(*found);
  members.erase(found);
  return member;
}

}  // namespace

Audiences::Audiences(const Changed& changed) {
  for (const auto& [id, conversation] : changed.conversations) {
    if (conversation == nullptr) continue;
    conversations_[id] = std::make_shared<Conversation>(*conversation);
  }
  // Back to before the first one: who has come is not there yet, who is gone still is.
  for (auto change = changed.changes.rbegin(); change != changed.changes.rend(); ++change) {
    const auto found = conversations_.find(change->conversation);
    if (found == conversations_.end()) continue;
    auto& members = found->second->members;
    if (const auto come = who(*change, "joined"); !come.empty()) {
      if (auto member = take(members, come)) to_come_[{change->conversation, come}] = *member;
    }
    if (const auto gone = who(*change, "left"); !gone.empty()) {
      take(members, gone);  // who has come again since
      members.push_back({{}, gone, true});
    }
  }
}

std::shared_ptr<const Conversation> Audiences::of(const sql::Change& change) {
  const auto found = conversations_.find(change.conversation);
  if (found == conversations_.end()) return nullptr;
  auto& members = found->second->members;
  if (const auto come = who(change, "joined"); !come.empty()) {
    const auto member = to_come_.find({change.conversation, come});
    if (member != to_come_.end()) members.push_back(member->second);
  }
  if (const auto gone = who(change, "left"); !gone.empty()) take(members, gone);
  if (change.hidden_from.empty()) return found->second;
  auto seeing = std::make_shared<Conversation>(*found->second);
  for (const auto& name : change.hidden_from) take(seeing->members, name);
  return seeing;
}

}  // namespace parley
