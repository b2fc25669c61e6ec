#include "core/sessions.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/topic.hpp"

namespace parley {

void Sessions::clear() {
  sessions_.clear();
  users_.clear();
}

void Sessions::up(link::Session session) {
  auto& user = users_[session.user];
  if (std::find(user.sessions.begin(), user.sessions.end(), session.session_no) ==
      user.sessions.end()) {
    user.sessions.push_back(session.session_no);
  }
  sessions_[session.session_no] = std::move(session);
  recount(user);
}

void Sessions::down(SessionNo session_no) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end()) return;
  const auto user = users_.find(found->second.user);
  sessions_.erase(found);
  if (user == users_.end()) return;
  std::erase(user->second.sessions, session_no);
  if (user->second.sessions.empty()) {
    users_.erase(user);
  } else {
    recount(user->second);
  }
}

void Sessions::synced(SessionNo session_no) {
  const auto found = sessions_.find(session_no);
  if (found != sessions_.end()) found->second.syncing = false;
}

void Sessions::hold(SessionNo session_no) {
  const auto found = sessions_.find(session_no);
  if (found != sessions_.end()) found->second.syncing = true;
}

const link::Session* Sessions::find(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  return found == sessions_.end() ? nullptr : &found->second;
}

const std::vector<SessionNo>& Sessions::of(std::string_view user) const {
  static const std::vector<SessionNo> none;
  const auto found = users_.find(user);
  return found == users_.end() ? none : found->second.sessions;
}

std::uint32_t Sessions::feeds_of(std::string_view user) const {
  const auto found = users_.find(user);
  return found == users_.end() ? 0 : found->second.feeds;
}

std::vector<SessionNo> Sessions::all() const {
  std::vector<SessionNo> all;
  all.reserve(sessions_.size());
  for (const auto& [session_no, session] : sessions_) all.push_back(session_no);
  return all;
}

void Sessions::recount(User& user) const {
  user.feeds = 0;
  for (const auto session_no : user.sessions) {
    const auto found = sessions_.find(session_no);
    if (found != sessions_.end()) user.feeds |= found->second.feeds;
  }
}

bool covers(const link::Session& session, std::string_view conv) {
  if ((session.feeds & feed::inbox_any) == 0) return false;
  return session.inbox_all || std::find(session.inbox_convs.begin(), session.inbox_convs.end(),
                                        conv) != session.inbox_convs.end();
}

std::uint32_t packets_of(const link::Session& session) {
  return static_cast<std::uint32_t>(std::popcount(session.feeds & feed::inbox_any));
}

}  // namespace parley
