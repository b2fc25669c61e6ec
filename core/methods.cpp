#include "core/methods.hpp"

#include <algorithm>

#include "core/token.hpp"

namespace parley {

const std::vector<Method>& methods() {
  using enum MethodTarget;
  using enum MethodWay;
  static const std::vector<Method> all{
      {"sync", scope::receive, none, special},
      {"history", scope::receive, conv, special},
      {"receipts", scope::receive, conv, reads},
      {"room.create", scope::manage, new_room, changes},
      {"room.add", scope::manage, room, changes},
      {"room.invite", scope::manage, room, changes},
      {"room.join", scope::manage, room, changes},
      {"room.leave", scope::manage, room, changes},
      {"room.kick", scope::manage, room, changes},
      {"room.role", scope::manage, room, changes},
      {"room.set", scope::manage, room, changes},
      {"room.get", scope::receive, room, reads},
      {"room.list", scope::receive, none, reads},
      {"room.find", scope::receive, none, reads},
      {"msg.edit", scope::send, conv, changes},
      {"msg.delete", scope::send, conv, changes},
      {"msg.react", scope::send, conv, changes},
      {"msg.pin", scope::send, conv, changes},
      {"conv.mute", scope::receive, conv, reads},
      {"conv.archive", scope::receive, conv, reads},
      {"contact.request", scope::manage, none, reads},
      {"contact.accept", scope::manage, none, reads},
      {"contact.decline", scope::manage, none, reads},
      {"contact.remove", scope::manage, none, reads},
      {"contact.list", scope::receive, none, reads},
      {"block.add", scope::manage, none, reads},
      {"block.remove", scope::manage, none, reads},
      {"block.list", scope::receive, none, reads},
      {"presence.get", scope::receive, none, reads},
      {"device.list", scope::receive, none, reads},
      {"me.get", scope::receive, none, reads},
      {"me.set", scope::manage, none, reads},
      {"user.search", scope::receive, none, reads},
  };
  return all;
}

const Method* find_method(std::string_view name) {
  const auto found = std::find_if(methods().begin(), methods().end(),
                                  [&](const Method& method) { return method.name == name; });
  return found == methods().end() ? nullptr : &*found;
}

}  // namespace parley
