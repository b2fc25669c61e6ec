// Limits of one messenger: configuration, published in `<prefix>/s/info` (docs/protocol.md, "Codes
// and limits").
#pragma once

#include <cstddef>
#include <cstdint>

namespace parley {

struct Limits {
  std::size_t text_bytes_max = 65'536;      // of a message's text, UTF-8
  std::size_t payload_bytes_max = 262'144;  // of a `send.json` or `send.pb` publish
  std::size_t attachments_max = 32;
  std::size_t mentions_max = 64;
  std::size_t room_members_max = 100'000;
  std::uint32_t publishes_per_s = 1'000;    // per user
  std::uint32_t publish_burst = 20'000;     // per user
  std::uint32_t typing_per_s = 10;          // per user
  std::uint32_t sync_messages_max = 1'000;  // backlog per conversation
};

}  // namespace parley
