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
    Seq seq = 0;  // 0: no message
    Rev rev = 0;  // 0: no event
  };

  /// Begins to follow a session, or goes on; without it `published` and `told` do nothing.
  /// @param confirms  its device says itself which messages it holds
  void follow(SessionNo session_no, UserId user, std::string device, std::int64_t after_ms,
              bool confirms);
  /// Whether its messages are taken for got.
  [[nodiscard]] bool follows(SessionNo session_no) const;
  void published(SessionNo session_no, ConversationId conversation, Seq seq, MonoMillis now);
  /// The same for an event. No client confirms those.
  void told(SessionNo session_no, ConversationId conversation, Rev rev, MonoMillis now);
  /// From here on its device says itself what it holds: messages that are not due yet are
  /// forgotten.
  void set_confirms(SessionNo session_no);
  /// What is not due yet is forgotten: the device has said where it is.
  void forget(SessionNo session_no);
  /// The session ended: what is not due yet is forgotten.
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
    std::unordered_map<ConversationId, Rev> revs;
  };
  struct Session {
    UserId user;
    std::string device;
    std::int64_t after_ms = 0;
    bool confirms = false;
    std::deque<Bucket> buckets;  // some seconds each: bounded in number
  };
  static Bucket& bucket(Session& session, MonoMillis now);

  std::unordered_map<SessionNo, Session> sessions_;
};

}  // namespace parley
