#include "tests/support/text.hpp"

namespace parley::test {

std::string with_decimal(std::string_view text, std::int64_t number) {
  std::string all{text};
  all += std::to_string(number);
  return all;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace parley::test
