// What clients say and hear, from JSON to protobuf and back, by protobuf's own library and by
// nothing of the server's: tests write and compare JSON, whatever travels.
#pragma once

#include <string>

namespace parley::test {

/// @param rest  of a topic with JSON: "do.json/room.create/1", "send.json/bob"
/// @return the payload of the same topic with ".pb"
/// @throw std::runtime_error if it is none of the schema's, or the JSON does not fit or has a field
/// that is none
std::string pb_of(const std::string& rest, const std::string& json);

/// @param rest  of a topic with protobuf: "re.pb/1", "inbox.pb/alice"
/// @return the payload of the same topic with ".json"
/// @throw std::runtime_error if it is none of the schema's, or the bytes cannot be read
std::string json_of(const std::string& rest, const std::string& pb);

/// Reads both into the schema's message and compares them, field by field.
/// @param rest  of a topic with protobuf: "re.pb/1"
/// @return what `pb` says otherwise than `json`, the payload of the same topic with ".json"; empty:
/// nothing
/// @throw std::runtime_error if one of them cannot be read, or `json` has a field that is none
std::string differs(const std::string& rest, const std::string& json, const std::string& pb);

}  // namespace parley::test
