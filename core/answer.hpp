// Where the answer to a `send` or `do` goes, and in which form (docs/protocol.md, "MQTT 5"). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/link.hpp"
#include "core/topic.hpp"
#include "core/wire.hpp"

namespace parley {

struct AnswerTo {
  std::string user;
  Format format = Format::text;  // of the request: the form on a response topic
  std::string response_rest;     // "rr/…" if the request named a response topic that is allowed
  std::optional<std::string> correlation_data;
};
AnswerTo answer_to(const link::InboundRecord& record, std::string_view prefix, Format format);

/// On the response topic if there is one; else on `ack` in each form that is subscribed.
/// @param feeds  what the user's sessions have subscribed
void ack_deliveries(const AnswerTo& to, const Ack& ack, std::uint32_t feeds,
                    const link::Deliver& deliver);
/// @param id       of the request; empty: none
/// @param payload  a Reply in the request's format
link::Delivery reply_delivery(const AnswerTo& to, std::string_view id, std::string payload);
/// "<CODE> <topic> <detail>" on `err`.
link::Delivery err_delivery(const std::string& user, Code code, std::string_view topic,
                            std::string_view detail);

}  // namespace parley
