#include "core/names.hpp"

#include <algorithm>

namespace parley {
namespace {

// Not <cctype>: its answers depend on the locale.
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_name_start(char c) { return is_lower(c) || is_digit(c); }
constexpr bool is_name_char(char c) { return is_name_start(c) || c == '_' || c == '-'; }
constexpr bool is_device_char(char c) { return is_name_char(c) || is_upper(c); }
constexpr bool is_id_char(char c) { return is_device_char(c) || c == '.' || c == ':'; }

bool fits(std::string_view text, std::size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max;
}

}  // namespace

bool is_name(std::string_view text) {
  return fits(text, name_bytes_max) && is_name_start(text.front()) &&
         std::all_of(text.begin() + 1, text.end(), is_name_char);
}

bool is_service_name(std::string_view text) {
  return fits(text, name_bytes_max) && text.size() >= 2 && text.front() == '_' &&
         std::all_of(text.begin() + 1, text.end(), is_name_char);
}

bool is_device(std::string_view text) {
  return fits(text, name_bytes_max) && std::all_of(text.begin(), text.end(), is_device_char);
}

bool is_request_id(std::string_view text) {
  return fits(text, request_id_bytes_max) && text != "-" &&
         std::all_of(text.begin(), text.end(), is_id_char);
}

bool is_prefix(std::string_view text) {
  return fits(text, name_bytes_max) && std::all_of(text.begin(), text.end(), is_device_char);
}

std::optional<DeviceClientId> parse_device_client_id(std::string_view client_id) {
  const std::size_t dot = client_id.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const DeviceClientId parts{client_id.substr(0, dot), client_id.substr(dot + 1)};
  if (!is_name(parts.name) || !is_device(parts.device)) return std::nullopt;
  return parts;
}

}  // namespace parley
