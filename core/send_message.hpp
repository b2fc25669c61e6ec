// All that is decided about a `send` before the database is asked. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "core/code.hpp"
#include "core/limits.hpp"
#include "core/link.hpp"
#include "core/result.hpp"
#include "core/topic.hpp"
#include "core/wire.hpp"

namespace parley {

/// A message that disappears must do so within the life of the server.
inline constexpr std::uint32_t ttl_max_s = 3650U * 24 * 60 * 60;

struct SendMessage {
  std::string to;
  std::string id;  // may be empty: then QoS 1 and 2 are at least once
  Content content;
  std::uint32_t ttl_s = 0;  // 0 = for ever
  Format format = Format::text;
};

struct Refused {
  Code code = Code::unavailable;
  std::string id;      // as far as it could be found out; empty: none
  std::string detail;  // for people
  Format format = Format::text;
};

/// Decodes and checks a `send`.
/// @param topic   what parse_client_topic made of record.topic_rest, or a will's target as text
/// @param record  with `refused` set it is refused with that code, whatever it says
Result<SendMessage, Refused> admit_send(const link::InboundRecord& record, const SendTopic& topic,
                                        const Limits& limits);

}  // namespace parley
