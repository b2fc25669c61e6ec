// What is text: UTF-8 in its strict form (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace parley {

/// Whether `bytes` is UTF-8 without overlong forms, surrogates and code points beyond U+10FFFF.
bool is_utf8(std::string_view bytes);

/// The longest start of `text` of at most `bytes_max` bytes that does not cut a character in two.
/// @param text  UTF-8
std::string_view utf8_start(std::string_view text, std::size_t bytes_max);

}  // namespace parley
