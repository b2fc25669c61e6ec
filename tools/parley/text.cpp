#include "tools/parley/text.hpp"

#include <charconv>

#include "core/wire.hpp"

namespace parley::cli {
namespace {

constexpr std::int64_t span_s_max = 100LL * 366 * 24 * 3600;

std::optional<std::int64_t> unit_s(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 24 * 3600;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string format_day(std::int64_t unix_s) { return format_second(unix_s).substr(0, 10); }

std::string format_second(std::int64_t unix_s) {
  const std::string with_millis = format_time(UnixMillis{unix_s * 1000});
  return with_millis.substr(0, with_millis.find('.')) + "Z";
}

std::optional<std::int64_t> parse_span(std::string_view text) {
  if (text == "never") return 0;
  if (text.size() < 2) return std::nullopt;
  const auto unit = unit_s(text.back());
  text.remove_suffix(1);
  std::int64_t count = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), count);
  if (!unit || read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  if (count <= 0 || count > span_s_max / *unit) return std::nullopt;
  return count * *unit;
}

std::string for_terminal(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if (byte == '\n') {
      safe += "\n    ";
    } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {  // C1 controls in UTF-8
      safe += '?';
      ++i;
    } else if ((byte < 0x20 && byte != '\t') || byte == 0x7F) {
      safe += '?';
    } else {
      safe += text[i];
    }
  }
  return safe;
}

}  // namespace parley::cli
