// The requests and results of `do`, and events, between their written forms: what the database
// understands and says is the JSON form of the schema (docs/adr/0006); clients choose. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/topic.hpp"
#include "core/wire.hpp"

namespace parley {

/// A request in the JSON form of the schema: unknown fields gone, fields that were not set not
/// there (those that cannot tell have their default), all text UTF-8 without NUL.
/// @param method  one of core/methods.hpp with a request of its own
Result<std::string, WireError> request_json(std::string_view method, Format format,
                                            std::string_view payload);

/// A good answer, as it goes to the client.
/// @param result  JSON form of the method's result
/// @return nothing if `result` is not that: a bug
std::optional<std::string> encode_result(Format format, std::string_view method,
                                         const std::string& id, const std::string& result);

/// An event.
/// @param what  JSON object with one member, e.g. {"joined":{"user":"bob","by":"alice"}}
struct Event {
  std::string conv;  // empty: "-" on the wire
  Rev rev = 0;
  UnixMillis time;
  std::string what;
};
/// @param format  json or pb
/// @return nothing if `what` is not an event of the schema: a bug
std::optional<std::string> encode_event(Format format, const Event& event);

}  // namespace parley
