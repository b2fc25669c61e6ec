// Who has come and who is gone, as events to their contacts (docs/protocol.md, "Presence").
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "core/presence.hpp"
#include "worker/pg_link.hpp"
#include "worker/publisher.hpp"

namespace parley {

class PresenceEvents {
 public:
  /// @param database  no message waits for it
  /// @param turn      something was delivered outside a turn: end it
  PresenceEvents(PgLink& database, Publisher& publisher, std::function<void()> turn)
      : database_{database}, publisher_{publisher}, turn_{std::move(turn)} {}

  void add(const std::vector<Presence::Change>& changes);
  /// Asks who is to be told, and tells them. Call it every second.
  void tell();

 private:
  using Changes = std::map<UserId, Presence::Change>;
  void told(const Changes& changes, const PgRows& rows);
  void failed(Changes& changes, const PgFault& fault);

  PgLink& database_;
  Publisher& publisher_;
  std::function<void()> turn_;
  Changes waiting_;  // of each user the last one; bounded
  bool busy_ = false;
  static constexpr std::size_t at_once_max = 200;  // users whose contacts are asked for together
  std::size_t at_once_ = at_once_max;              // fewer after a timeout
};

}  // namespace parley
