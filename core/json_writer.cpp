#include "core/json_writer.hpp"

#include <sodium.h>

#include <cstddef>

namespace parley {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

bool needs_escape(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += hex_digits[static_cast<unsigned char>(c) >> 4];
      out += hex_digits[static_cast<unsigned char>(c) & 0xF];
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;  // start of what has not been appended
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!needs_escape(text[i])) continue;
    out.append(text, plain, i - plain);
    append_escaped(out, text[i]);
    plain = i + 1;
  }
  out.append(text, plain);
  out += '"';
}

}  // namespace

void JsonWriter::comma() {
  if (!first_) out_ += ',';
  first_ = false;
}

JsonWriter& JsonWriter::open_object() {
  comma();
  out_ += '{';
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::close_object() {
  out_ += '}';
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::open_array() {
  comma();
  out_ += '[';
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::close_array() {
  out_ += ']';
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  comma();
  append_quoted(out_, name);
  out_ += ':';
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  comma();
  append_quoted(out_, text);
  return *this;
}

JsonWriter& JsonWriter::value(std::uint32_t number) {
  comma();
  out_ += std::to_string(number);
  return *this;
}

JsonWriter& JsonWriter::flag(bool yes) {
  comma();
  out_ += yes ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::null() {
  comma();
  out_ += "null";
  return *this;
}

JsonWriter& JsonWriter::bytes(std::string_view bytes) {
  comma();
  constexpr int variant = sodium_base64_VARIANT_ORIGINAL;
  out_ += '"';
  if (!bytes.empty()) {
    const std::size_t start = out_.size();
    const std::size_t length = sodium_base64_encoded_len(bytes.size(), variant);
    out_.resize(start + length);  // with the NUL that libsodium appends
    sodium_bin2base64(out_.data() + start, length,
                      reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), variant);
    out_.pop_back();
  }
  out_ += '"';
  return *this;
}

}  // namespace parley
