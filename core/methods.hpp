// The methods of `do`: what each needs before it is carried out (docs/protocol.md, "Requests").
// Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace parley {

/// What a request is about, as far as that decides where it is carried out.
enum class MethodTarget {
  none,      // the asker, or other people
  conv,      // a conversation that exists: the peer's name or the room's
  room,      // a room that exists
  new_room,  // one that is made
};

/// How a request is carried out.
enum class MethodWay {
  reads,    // changes nothing that others see: at once
  changes,  // a conversation: in the order of its messages, with what follows for its members
  special,  // not by the database alone
};

struct Method {
  std::string_view name;
  std::uint8_t scope = 0;  // what the token must have (core/token.hpp)
  MethodTarget target = MethodTarget::none;
  MethodWay way = MethodWay::reads;
  bool revokes = false;  // tokens: live connections may have to end behind its answer
};

/// Null for a method that there is not.
const Method* find_method(std::string_view name);
const std::vector<Method>& methods();

}  // namespace parley
