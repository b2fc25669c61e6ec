// What strangers write, into messages of the schema; their bytes can neither stop nor flood us.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/topic.hpp"
#include "core/wire.hpp"

namespace google::protobuf {
class Message;
}

namespace parley {

/// Reads JSON or protobuf. Unknown fields are ignored. Text is refused with a detail for people.
Result<void, WireError> parse_message(Format format, std::string_view payload,
                                      google::protobuf::Message& into);

}  // namespace parley
