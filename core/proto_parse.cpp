#include "core/proto_parse.hpp"

#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include <exception>
#include <limits>
#include <utility>

#include "core/utf8.hpp"

namespace parley {
namespace {

constexpr std::size_t detail_bytes_max = 200;
constexpr std::size_t json_depth_max = 32;

WireError bad(std::string detail) { return {Code::bad_payload, std::move(detail)}; }

/// What the JSON parser says about an error, without the lines of payload that it quotes.
std::string first_line(std::string_view text) {
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  const std::string_view start = utf8_start(line, detail_bytes_max);
  return std::string{is_clean_text(start) ? start : std::string_view{"malformed"}};
}

/// Whether objects and arrays lie at most `depth_max` deep. Quotes are read as the library reads
/// them.
bool is_shallow(std::string_view json, std::size_t depth_max) {
  std::size_t depth = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '"' || c == '\'') {
      while (++i < json.size() && json[i] != c) {
        if (json[i] == '\\') ++i;
      }
    } else if (c == '{' || c == '[') {
      if (++depth > depth_max) return false;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return true;
}

Result<void, WireError> parse_json(std::string_view payload, google::protobuf::Message& into) {
  if (!is_utf8(payload)) return failed(bad("not UTF-8"));
  // The library needs minutes for deep arrays, and aborts on some: one message must not stop all.
  if (!is_shallow(payload, json_depth_max)) return failed(bad("JSON: nested too deep"));
  const std::size_t start = payload.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || payload[start] != '{') {
    return failed(bad("not a JSON object"));
  }
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  try {
    const auto status = google::protobuf::util::JsonStringToMessage(
        google::protobuf::StringPiece{payload.data(), payload.size()}, &into, options);
    if (!status.ok()) {
      const auto message = status.message();
      return failed(bad("JSON: " + first_line({message.data(), message.size()})));
    }
  } catch (const std::exception&) {
    return failed(bad("JSON: malformed"));
  }
  return {};
}

Result<void, WireError> parse_pb(std::string_view payload, google::protobuf::Message& into) {
  // The library logs every string that is not UTF-8: no client shall write our log.
  const google::protobuf::LogSilencer silence;
  if (payload.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !into.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return failed(bad("not a protobuf " + std::string{into.GetDescriptor()->full_name()}));
  }
  return {};
}

}  // namespace

Result<void, WireError> parse_message(Format format, std::string_view payload,
                                      google::protobuf::Message& into) {
  switch (format) {
    case Format::json:
      return parse_json(payload, into);
    case Format::pb:
      return parse_pb(payload, into);
    case Format::text:
      break;
  }
  return failed(bad("not possible as text"));
}

}  // namespace parley
