#include "tests/walk/model.hpp"

#include <algorithm>

namespace parley::walk {

namespace {

constexpr std::size_t trace_max = 40;

std::pair<std::string, std::string> pair_of(const std::string& one, const std::string& other) {
  return {std::min(one, other), std::max(one, other)};
}

}  // namespace

bool Conversation::leads(const std::string& user) const {
  const auto found = roles.find(user);
  return found != roles.end() && (found->second == "owner" || found->second == "admin");
}

std::string Conversation::name_for(const std::string& user) const {
  if (!room.empty()) return room;
  return peers.first == user ? peers.second : peers.first;
}

bool Conversation::visible(const std::string& user, Seq seq) const {
  const auto found = stays.find(user);
  if (found == stays.end() || seq == 0 || seq > last_seq()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const Stay& stay) {
    return seq > stay.sees_after && (!stay.left || seq <= *stay.left);
  });
}

bool Conversation::tellable(const std::string& user, Seq change) const {
  const auto found = stays.find(user);
  if (found == stays.end() || change > rev) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const Stay& stay) {
    return change > stay.sees_after_rev && (!stay.left || change <= stay.left_rev);
  });
}

bool Conversation::is_goodbye(const std::string& user, Seq change) const {
  const auto found = stays.find(user);
  return found != stays.end() &&
         std::any_of(found->second.begin(), found->second.end(),
                     [&](const Stay& stay) { return stay.left && change == stay.left_rev + 1; });
}

Seq Conversation::stay_began_before(const std::string& user, Seq seq) const {
  Seq began = 0;
  for (const Stay& stay : stays.at(user)) {
    if (stay.since < seq) began = stay.since;
  }
  return began;
}

Seq Conversation::unread(const std::string& user) const {
  Seq count = 0;
  for (Seq seq = read.at(user) + 1; seq <= last_seq(); ++seq) {
    const Said& message = at(seq);
    if (message.from != user && message.kind != "system" && !message.deleted) ++count;
  }
  return count;
}

int Conversation::owners() const {
  return static_cast<int>(std::count_if(
      roles.begin(), roles.end(), [](const auto& member) { return member.second == "owner"; }));
}

void Conversation::say(Said message) {
  message.rev = ++rev;
  // Who writes has read what was there.
  if (message.kind != "system") read[message.from] = last_seq() + 1;
  said.push_back(std::move(message));
}

void Conversation::say_system(const std::string& by, const std::string& words) {
  say({.from = by, .kind = "system", .texts = {words}});
}

void Conversation::enter(const std::string& user, const std::string& role) {
  roles[user] = role;
  stays[user].push_back({.sees_after = history_all ? 0 : last_seq(),
                         .since = last_seq(),
                         .since_rev = rev,
                         .sees_after_rev = history_all ? 0 : rev});
  read[user] = last_seq();
  muted[user] = false;
}

void Conversation::quit(const std::string& user) {
  roles.erase(user);
  stays.at(user).back().left = last_seq();
  stays.at(user).back().left_rev = rev;
  read.erase(user);
}

void Conversation::note(std::string line) {
  trace.push_back(std::move(line));
  if (trace.size() > trace_max) trace.pop_front();
}

Conversation& Model::direct(const std::string& one, const std::string& other) {
  const auto key = pair_of(one, other);
  Conversation& conversation = directs_[key];
  if (conversation.roles.empty()) {
    conversation.peers = key;
    conversation.enter(key.first, "member");
    if (key.first != key.second) conversation.enter(key.second, "member");
  }
  return conversation;
}

Conversation* Model::find(const std::string& user, const std::string& conv) {
  if (const auto found = rooms_.find(conv); found != rooms_.end()) return &found->second;
  const auto found = directs_.find(pair_of(user, conv));
  return found == directs_.end() ? nullptr : &found->second;
}

std::map<std::string, Conversation*> Model::of(const std::string& user) {
  std::map<std::string, Conversation*> all;
  const auto add = [&](Conversation& one) {
    if (one.has(user) && one.rev > 0) all[one.name_for(user)] = &one;
  };
  for (auto& [name, one] : rooms_) add(one);
  for (auto& [peers, one] : directs_) add(one);
  return all;
}

}  // namespace parley::walk
