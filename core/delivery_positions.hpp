// Up to where each session has been sent each conversation, and up to where it has confirmed: how
// much may still be sent to it, and what is to be sent again (docs/protocol.md, "Got";
// docs/adr/0007). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/ids.hpp"

namespace parley {

class DeliveryPositions {
 public:
  struct Settings {
    std::uint32_t unconfirmed_max = 400;  // packets on their way to a session that confirms
    std::int64_t redeliver_after_ms = 10'000;
    std::uint32_t redeliver_max = 3;
  };
  explicit DeliveryPositions(Settings settings) : settings_{settings} {}

  /// Begins to follow a session, or begins again: nothing of what was sent to it counts. It may
  /// still lie with the broker.
  void begin(SessionNo session_no);
  [[nodiscard]] bool follows(SessionNo session_no) const { return sessions_.contains(session_no); }
  void drop(SessionNo session_no) { sessions_.erase(session_no); }
  template <class IsUp>
  void keep_only(IsUp is_up) {
    std::erase_if(sessions_, [&](const auto& entry) { return !is_up(entry.first); });
  }

  /// The session's device confirms what it gets: from here on it is waited for.
  void set_confirms(SessionNo session_no, MonoMillis now);
  [[nodiscard]] bool confirms(SessionNo session_no) const;
  /// Whether it has not said `got` at all. (Perhaps it wants to have everything before it does.)
  [[nodiscard]] bool is_silent(SessionNo session_no) const;
  /// It has been given all the room there is and has not said `got` at all: so much more, until it
  /// does.
  void extend(SessionNo session_no, std::uint32_t packets);
  /// Whether that has ever been done.
  [[nodiscard]] bool was_extended(SessionNo session_no) const;
  /// It has been given all that the broker keeps, and nothing has been heard for very long: half a
  /// window more.
  void extend_queue(SessionNo session_no);

  struct Sent {
    ConversationId conversation;
    Seq seq = 0;
    std::uint32_t packets = 0;  // 0: nothing that the client would confirm (deleted, or its own)
  };
  void sent(SessionNo session_no, const Sent& sent, MonoMillis now);
  /// The session holds the conversation up to `seq`; beyond what was sent it means all of that.
  void got(SessionNo session_no, ConversationId conversation, Seq seq, MonoMillis now);

  /// Up to where the conversation has been sent. Nothing if the session holds all that was sent.
  [[nodiscard]] std::optional<Seq> position(SessionNo session_no,
                                            ConversationId conversation) const;
  /// How many packets more may be sent; for a session that does not confirm there is no such limit.
  /// Those that are waited for are at most unconfirmed_max, and those that the broker may still
  /// hold, repeats included, two and a half times as many.
  [[nodiscard]] std::uint32_t room(SessionNo session_no) const;
  /// Only the second limit.
  [[nodiscard]] std::uint32_t queue_room(SessionNo session_no) const;

  /// Sessions that have made no progress for too long in some conversation. Its position has gone
  /// back to what the session has confirmed: send everything from there on again. Each conversation
  /// at most redeliver_max times until there is progress, and not while the broker may hold more
  /// than a window beside it. What has been sent in vain so often is not waited for any more.
  /// @param busy  who is just being sent something is looked at when that is through; may be empty
  std::vector<SessionNo> due(MonoMillis now, const std::function<bool(SessionNo)>& busy = {});

 private:
  struct Conversation {
    Seq got = 0;      // confirmed
    Seq sent = 0;     // position
    Seq awaited = 0;  // the last one that the client should confirm; ≤ got: none
    std::uint32_t packets = 0;
    std::uint32_t per_message = 0;  // at most so many packets each
    std::uint32_t tries = 0;
    bool given_up = false;  // its packets are not waited for, until there is progress
    MonoMillis progress_at;
    [[nodiscard]] bool waits() const { return awaited > got; }
  };
  /// What was sent to a session has numbers, one for each packet. It gets them in that order: who
  /// confirms something has everything before the first time that it was sent.
  struct First {
    Seq seq;
    std::uint64_t number;  // of its last packet
  };
  struct Firsts {
    Seq newest = 0;
    std::deque<First> waiting;  // ascending; bounded
  };
  struct Session {
    bool confirms = false;
    bool said_got = false;          // in this session
    bool extended = false;          // ever
    std::uint32_t extra = 0;        // room beyond unconfirmed_max
    std::uint32_t packets = 0;      // waited for, of all conversations
    std::uint64_t sent = 0;         // packets, each time
    std::uint64_t taken = 0;        // of them: by what it confirmed
    std::uint64_t queue_extra = 0;  // room beyond what the broker keeps
    MonoMillis look_at;             // nothing is due before
    std::unordered_map<ConversationId, Conversation> conversations;  // that are not all confirmed
    std::unordered_map<ConversationId, Firsts> firsts;               // likewise; begin() keeps them
    [[nodiscard]] std::uint64_t queued() const { return sent - taken; }
  };
  static void count(Session& session, const Sent& sent);
  static void take(Session& session, ConversationId id, Seq seq);
  [[nodiscard]] std::uint64_t queue_max() const {
    return std::uint64_t{settings_.unconfirmed_max} * 5 / 2;
  }
  bool again(Session& session, Conversation& conversation, std::uint64_t planned,
             MonoMillis now) const;

  const Settings settings_;
  std::unordered_map<SessionNo, Session> sessions_;
};

}  // namespace parley
