// Small pieces of text that tests are made of.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace parley::test {

std::string with_decimal(std::string_view text, std::int64_t number);
/// "m17" of "m" and 17.
std::string with_number(std::string_view text, std::integral auto number) {
  return with_decimal(text, static_cast<std::int64_t>(number));
}
/// What stands before each newline; an unfinished last line is not one.
std::vector<std::string> lines_of(std::string_view text);

}  // namespace parley::test
