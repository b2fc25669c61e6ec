// Who is connected with what, as the plugin told it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ids.hpp"
#include "core/link.hpp"

namespace parley {

class Sessions {
 public:
  void clear();
  /// A new session, or a change of a known one: replaces it.
  void up(link::Session session);
  void down(SessionNo session_no);
  /// The session has caught up: live messages reach it now.
  void synced(SessionNo session_no);
  /// From now on they do not.
  void hold(SessionNo session_no);

  [[nodiscard]] const link::Session* find(SessionNo session_no) const;
  /// Session numbers of one user; empty if he is not connected.
  [[nodiscard]] const std::vector<SessionNo>& of(std::string_view user) const;
  /// Everything that any session of the user subscribed.
  [[nodiscard]] std::uint32_t feeds_of(std::string_view user) const;
  [[nodiscard]] std::vector<SessionNo> all() const;
  [[nodiscard]] std::size_t count() const { return sessions_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct User {
    std::vector<SessionNo> sessions;
    std::uint32_t feeds = 0;
  };
  void recount(User& user) const;

  std::unordered_map<SessionNo, link::Session> sessions_;
  std::unordered_map<std::string, User, Hash, std::equal_to<>> users_;
};

/// Whether a session's inbox filters cover this conversation.
bool covers(const link::Session& session, std::string_view conv);

/// What one message of another user is to this session: a packet for each format.
std::uint32_t packets_of(const link::Session& session);

}  // namespace parley
