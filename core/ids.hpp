// Integers that mean one thing each.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace parley {

/// Comparable, no arithmetic, no implicit conversion.
template <class Tag>
struct Id {
  std::int64_t value = 0;
  auto operator<=>(const Id&) const = default;
};
using UserId = Id<struct UserTag>;                  // 1 … 2^63-1; 0 for services
using ConversationId = Id<struct ConversationTag>;  // 1 … 2^63-1
using UnixMillis = Id<struct UnixMillisTag>;        // wall clock, UTC
using MonoMillis = Id<struct MonoMillisTag>;        // monotonic clock of this process

using Seq = std::uint32_t;        // position in one conversation, from 1, without gaps
using Rev = std::uint32_t;        // counts every change of one conversation, from 1
using IngestNo = std::uint64_t;   // position in one spool, from 1
using SessionNo = std::uint64_t;  // one connection's life, unique per plugin start

/// Both clocks, read once per turn of a loop.
struct Now {
  UnixMillis wall;
  MonoMillis mono;
};

}  // namespace parley

template <class Tag>
struct std::hash<parley::Id<Tag>> {
  std::size_t operator()(const parley::Id<Tag>& id) const noexcept {
    return std::hash<std::int64_t>{}(id.value);
  }
};
