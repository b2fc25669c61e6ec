#include "worker/conversations.hpp"

#include <chrono>
#include <utility>

namespace parley {
namespace {
constexpr std::size_t members_max = 2'000'000;
constexpr std::size_t known_max = 200'000;
constexpr std::size_t ask_max = 256;
constexpr auto retry_after = std::chrono::milliseconds{200};
}  // namespace

MembersCache::Entry MembersCache::find(ConversationId conversation) const {
  const auto found = conversations_.find(conversation);
  return found == conversations_.end() ? nullptr : found->second;
}

void MembersCache::update(const std::vector<sql::MemberRow>& rows) {
  if (members_ + rows.size() > members_max) {
    conversations_.clear();
    members_ = 0;
  }
  std::shared_ptr<Conversation> current;
  bool newer_known = false;
  for (const auto& row : rows) {
    if (current == nullptr || current->conversation != row.conversation) {
      auto& entry = conversations_[row.conversation];
      current = std::make_shared<Conversation>(
          Conversation{row.conversation, row.is_room, row.room, row.members_version, {}});
      // Answers of several connections come in any order.
      newer_known = entry != nullptr && entry->members_version > row.members_version;
      if (!newer_known) {
        if (entry != nullptr) members_ -= entry->members.size();
        entry = current;
      }
    }
    if (newer_known) continue;
    if (row.user.value == 0) continue;  // nobody is in it any more
    current->members.push_back({row.user, row.name, row.may_write});
    ++members_;
  }
}

void Resolver::resolve(UserId sender, const std::string& to, bool make, Done done) {
  if (const auto* const found = known(sender, to)) {
    done(*found);
    return;
  }
  auto& entry = waiting_[{sender, to}];
  // One that is asked for without making stays so; the answer of the maker's question serves it
  // too.
  entry.make = entry.make || make;
  entry.done.push_back(std::move(done));
  news_ = true;
}

const sql::Resolved* Resolver::known(UserId sender, const std::string& to) const {
  const Key key{sender, to};
  if (!waiting_.empty() && waiting_.contains(key)) return nullptr;
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : &found->second;
}

void Resolver::resolve_member(UserId user, const std::string& to, Done done) {
  resolve(user, to, false, [this, user, to, done = std::move(done)](sql::Resolved found) {
    if (found.kind == "room") {
      const auto known = members_.find(found.conversation);
      if (known != nullptr) found.member = known->has(user);
    }
    if (found.kind != "room" || found.member) {
      done(found);
      return;
    }
    // Both may be older than what the operator or another request has done.
    known_.erase({user, to});
    resolve(user, to, false, done);
  });
}

void Resolver::flush() {
  if (!std::exchange(news_, false)) return;
  std::vector<Key> make;
  std::vector<Key> look;
  for (auto& [key, waiting] : waiting_) {
    if (waiting.asked) continue;
    waiting.asked = true;
    auto& keys = waiting.make ? make : look;
    keys.push_back(key);
    if (keys.size() == ask_max) ask(std::exchange(keys, {}), waiting.make);
  }
  if (!make.empty()) ask(std::move(make), true);
  if (!look.empty()) ask(std::move(look), false);
}

void Resolver::ask(std::vector<Key> keys, bool make) {
  std::vector<sql::Target> targets;
  targets.reserve(keys.size());
  for (const auto& key : keys) targets.push_back({key.sender, key.to});
  std::vector<PgQuery> queries;
  if (make) {
    queries.push_back(sql::lock_new_pairs(targets));
    queries.push_back(sql::make_direct(targets));
  }
  queries.push_back(sql::resolve(targets));
  database_.submit(std::move(queries), [this, keys = std::move(keys)](auto result) {
    if (result) {
      answered(keys, sql::resolved_of(result->back()));
      return;
    }
    timer_.expires_after(retry_after);
    for (const auto& key : keys) waiting_[key].asked = false;
    timer_.async_wait([this](const asio::error_code& error) {
      if (error) return;
      news_ = true;
      flush();
    });
  });
}

void Resolver::answered(const std::vector<Key>& keys, const std::vector<sql::Resolved>& resolved) {
  if (known_.size() > known_max) known_.clear();
  for (std::size_t i = 0; i < keys.size() && i < resolved.size(); ++i) {
    auto node = waiting_.extract(keys[i]);
    if (node.empty()) continue;
    const bool nothing_yet = resolved[i].kind == "direct" && resolved[i].conversation.value == 0;
    if (nothing_yet && node.mapped().make && resolved[i].sender_known) {
      // A `send` joined a question that only looked: ask again, and make it.
      node.mapped().asked = false;
      waiting_.insert(std::move(node));
      news_ = true;
      continue;
    }
    if (resolved[i].conversation.value != 0 && resolved[i].sender_known)
      known_[keys[i]] = resolved[i];
    for (const auto& done : node.mapped().done) done(resolved[i]);
  }
  flush();
}

}  // namespace parley
