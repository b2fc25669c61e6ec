// Messages of the schema in our JSON: proto3 JSON with the original names, in which scalars and
// lists are always there and times always have three decimals (docs/protocol.md, "Formats").
#pragma once

#include <string>

#include "core/ids.hpp"

namespace google::protobuf {
class Message;
class Timestamp;
}  // namespace google::protobuf

namespace parley {

/// Appends `message` to `out`.
void append_json(const google::protobuf::Message& message, std::string& out);

void put_time(UnixMillis from, google::protobuf::Timestamp& to);

}  // namespace parley
