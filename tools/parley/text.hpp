// Text for people and from people: times, spans, and what is safe to show on a terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace parley::cli {

/// "2026-11-21", UTC.
std::string format_day(std::int64_t unix_s);
/// "2026-11-21T23:01:02Z", UTC.
std::string format_second(std::int64_t unix_s);

/// "30d", "12h", "5m" or "90s" in seconds, "never" as 0; nothing for anything else and for a span
/// of nothing or of more than 100 years.
std::optional<std::int64_t> parse_span(std::string_view text);

/// A message for a terminal: no control characters (they could rewrite what stands there), and
/// further lines indented, so that none of them looks like a message of its own.
std::string for_terminal(std::string_view text);

}  // namespace parley::cli
