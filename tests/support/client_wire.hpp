// What clients say and hear, from JSON to protobuf and back, by the schema's own library: tests
// write and compare JSON, whatever travels.
#pragma once

#include <string>

namespace parley::test {

/// @param rest  of a topic with JSON: "do.json/room.create/1", "send.json/bob"
/// @return the payload of the same topic with ".pb"
/// @throw std::runtime_error if it is none of the schema's, or the JSON does not fit
std::string pb_of(const std::string& rest, const std::string& json);

/// @param rest  of a topic with protobuf: "re.pb/1", "inbox.pb/alice"
/// @return the payload of the same topic with ".json"
/// @throw std::runtime_error if it is none of the schema's, or the bytes cannot be read
std::string json_of(const std::string& rest, const std::string& pb);

}  // namespace parley::test
