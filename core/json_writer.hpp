// Writes JSON by hand: what we send most often must not go through reflection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace parley {

/// Appends to a string. The caller opens and closes objects and arrays in pairs; commas come by
/// themselves. Strings must be UTF-8; only what JSON requires is escaped.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_{out} {}

  JsonWriter& open_object();
  JsonWriter& close_object();
  JsonWriter& open_array();
  JsonWriter& close_array();
  /// The name of a member; its value follows.
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(std::uint32_t number);
  JsonWriter& flag(bool yes);
  JsonWriter& null();
  /// As standard base64 with padding.
  JsonWriter& bytes(std::string_view bytes);

 private:
  void comma();

  std::string& out_;
  bool first_ = true;  // of an object, of an array, or after a key: no comma
};

}  // namespace parley
