// The text of a message that says which one it is: "#<run> <writer> <number> words words …".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace parley::load {

/// Smaller texts cannot carry their numbers.
inline constexpr std::size_t text_bytes_min = 28;

struct Numbered {
  std::uint32_t run = 0;     // tells messages of different runs apart
  std::uint32_t writer = 0;  // 0 … 999,999
  std::uint32_t number = 0;  // 1, 2, 3 … of each writer
};

/// @param bytes  its size, at least text_bytes_min: filled with words that depend on the writer and
/// the run
std::string numbered_text(const Numbered& numbered, std::size_t bytes);
/// Puts another number into such a text, in place.
void set_number(char* text, std::uint32_t number);
/// Finds it also behind what the server puts before it ("alice: "); nothing if it is another sort
/// of text.
std::optional<Numbered> read_numbered(std::string_view text);

}  // namespace parley::load
