#include "core/code.hpp"

#include <array>
#include <cstddef>

namespace parley {
namespace {

// In the order of the enumeration, whose first value is 1.
constexpr std::array<std::string_view, 20> words = {
    "BAD_TOKEN",      "TOKEN_EXPIRED", "BAD_CLIENT_ID", "FORBIDDEN",    "UNKNOWN_METHOD",
    "BAD_PAYLOAD",    "BAD_NAME",      "TOO_LARGE",     "RATE_LIMITED", "USER_NOT_FOUND",
    "ROOM_NOT_FOUND", "NOT_MEMBER",    "NAME_TAKEN",    "BLOCKED",      "ROOM_FULL",
    "NOT_FOUND",      "ID_CONFLICT",   "BUSY",          "TIMEOUT",      "UNAVAILABLE",
};
static_assert(static_cast<std::size_t>(Code::unavailable) == words.size());

}  // namespace

std::string_view to_string(Code code) {
  const auto index = static_cast<std::size_t>(code) - 1;
  return index < words.size() ? words[index] : std::string_view{};
}

std::optional<Code> code_from(std::string_view word) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return static_cast<Code>(i + 1);
  }
  return std::nullopt;
}

}  // namespace parley
