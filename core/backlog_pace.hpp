// How fast a backlog goes out that nobody confirms (docs/protocol.md, "Got"). Pure.
#pragma once

#include <cstdint>

#include "core/rate.hpp"

namespace parley {

class BacklogPace {
 public:
  /// @param at_once  packets with which it begins
  BacklogPace(std::uint32_t packets_per_s, std::uint32_t at_once)
      : bucket_{packets_per_s, at_once} {}
  /// How many packets may be sent now; negative while more was sent than that.
  std::int64_t room(MonoMillis now) { return bucket_.level(now); }
  void sent(std::uint32_t packets) { bucket_.spend(packets); }
  /// So many were stored that lie behind it now: they are not to keep it from coming nearer to the
  /// present.
  void stored(std::uint32_t packets) { bucket_.add(packets); }

 private:
  TokenBucket bucket_;
};

}  // namespace parley
