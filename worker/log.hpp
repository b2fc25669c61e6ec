// Log lines in logfmt on stderr (docs/operations.md). Never a body, a token or a password.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>
#include <utility>

namespace parley::log {

/// @param level  debug, info, warn, error; false if it is none of these
bool start(std::string_view level);

/// A value in logfmt: quoted if it needs it, without line breaks.
std::string quoted(std::string_view value);

/// Whether debug lines are written: for those that cost something to put together.
inline bool debugs() { return spdlog::should_log(spdlog::level::debug); }

// `event` is a constant that can be searched for; the rest is already in logfmt.
template <class... Args>
void debug(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::debug(format, std::forward<Args>(args)...);
}
template <class... Args>
void info(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::info(format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::warn(format, std::forward<Args>(args)...);
}
template <class... Args>
void error(spdlog::format_string_t<Args...> format, Args&&... args) {
  spdlog::error(format, std::forward<Args>(args)...);
}

}  // namespace parley::log
