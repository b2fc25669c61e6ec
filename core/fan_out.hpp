// What a stored message becomes on the wire: which payloads, for whom. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/link.hpp"
#include "core/request_wire.hpp"
#include "core/wire.hpp"

namespace parley {

struct Member {
  UserId user;
  std::string name;
  bool may_write = true;
};

/// A conversation as far as sending to it needs to know.
struct Conversation {
  ConversationId conversation;
  bool is_room = false;
  std::string room;  // its name, if it is one
  std::int64_t members_version = 0;
  std::vector<Member> members;  // by user

  /// Null if he is not in it.
  [[nodiscard]] const Member* find(UserId user) const;
  [[nodiscard]] bool has(UserId user) const { return find(user) != nullptr; }
};

/// The name of the conversation for one of its members: the room, or the peer (himself, for notes).
std::string_view conv_for(const Conversation& conversation, UserId member);

struct StoredMessage {
  ConversationId conversation;
  UserId sender;
  Message message;  // `conv` is not set: it depends on who reads it
};

/// The deliveries of one message to everybody who has subscribed something for it.
/// @param feeds_of  what any session of a user has subscribed (core/topic.hpp, feed)
void fan_out(const StoredMessage& stored, const Conversation& conversation,
             const std::function<std::uint32_t(std::string_view)>& feeds_of,
             const link::Deliver& deliver);

/// The deliveries of one message to one session alone, in the formats that it subscribed.
std::vector<link::Delivery> deliver_to_session(const StoredMessage& stored, bool is_room,
                                               std::string_view conv, const link::Session& session);

/// One event to users who call its conversation alike, in each form that is among `feeds`. Empty if
/// there is none, or if the event cannot be told: a bug.
/// @param session_no  0: to all their sessions
std::vector<link::Delivery> deliver_event(const Event& event, std::uint32_t feeds,
                                          const std::vector<std::string>& to,
                                          SessionNo session_no = 0);

/// The user properties of a text delivery: from, seq, time, id.
std::vector<link::Property> text_properties(const Message& message);

}  // namespace parley
