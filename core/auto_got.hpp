// What devices that never confirm are taken to have got: what was published for them while their
// session stayed up long enough (docs/protocol.md, "Got"). Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/ids.hpp"

namespace parley {

/// How long a session must stay up after a publish, in ms: 1.5 keep-alives, 90 s if it has none.
std::int64_t got_after_ms(std::uint32_t keep_alive_s);

class AutoGot {
 public:
  struct Due {
    SessionNo session_no = 0;
    UserId user;
    std::string device;
    ConversationId conversation;
    Seq seq = 0;
  };

  /// Begins to follow a session; without it `published` does nothing.
  void follow(SessionNo session_no, UserId user, std::string device, std::int64_t after_ms);
  [[nodiscard]] bool follows(SessionNo session_no) const { return sessions_.contains(session_no); }
  void published(SessionNo session_no, ConversationId conversation, Seq seq, MonoMillis now);
  /// The session ended, or its device confirms by itself: what is not due yet is forgotten.
  void drop(SessionNo session_no) { sessions_.erase(session_no); }
  void clear() { sessions_.clear(); }
  /// Drops those that are not up any more.
  template <class IsUp>
  void keep_only(IsUp is_up) {
    std::erase_if(sessions_, [&](const auto& entry) { return !is_up(entry.first); });
  }
  /// That much time does not count: nobody could have told whether sessions were up.
  void postpone(std::int64_t ms);
  /// What may be taken for got by now; each once.
  std::vector<Due> due(MonoMillis now);

 private:
  struct Bucket {
    MonoMillis begun_at;
    std::unordered_map<ConversationId, Seq> seqs;
  };
  struct Session {
    UserId user;
    std::string device;
    std::int64_t after_ms = 0;
    std::deque<Bucket> buckets;  // some seconds each: bounded in number
  };
  std::unordered_map<SessionNo, Session> sessions_;
};

}  // namespace parley
