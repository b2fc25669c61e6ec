#include "tools/load/message_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <random>

namespace parley::load {
namespace {

constexpr std::size_t run_at = 1;
constexpr std::size_t run_digits = 8;  // hex
constexpr std::size_t writer_at = 10;
constexpr std::size_t writer_digits = 6;
constexpr std::size_t number_at = 17;
constexpr std::size_t number_digits = 10;

constexpr std::array<std::string_view, 48> words{
    "about", "after", "again", "always", "back",  "before", "both",  "bring", "call",  "come",
    "day",   "down",  "early", "end",    "every", "find",   "first", "for",   "from",  "good",
    "have",  "here",  "home",  "in",     "just",  "keep",   "know",  "last",  "later", "let",
    "long",  "make",  "next",  "night",  "now",   "only",   "over",  "right", "see",   "soon",
    "that",  "there", "think", "time",   "town",  "week",   "when",  "work"};

void put(char* at, std::size_t digits, std::uint32_t value, unsigned base) {
  constexpr const char* figures = "0123456789abcdef";
  for (std::size_t i = digits; i > 0; --i) {
    at[i - 1] = figures[value % base];
    value /= base;
  }
}

bool get(std::string_view text, std::size_t at, std::size_t digits, int base,
         std::uint32_t& value) {
  const char* const begin = text.data() + at;
  const auto read = std::from_chars(begin, begin + digits, value, base);
  return read.ec == std::errc{} && read.ptr == begin + digits;
}

}  // namespace

std::string numbered_text(const Numbered& numbered, std::size_t bytes) {
  std::string text(text_bytes_min, ' ');
  text[0] = '#';
  put(text.data() + run_at, run_digits, numbered.run, 16);
  put(text.data() + writer_at, writer_digits, numbered.writer, 10);
  set_number(text.data(), numbered.number);
  std::mt19937 chance{numbered.run ^ (numbered.writer * 2'654'435'761U)};
  while (text.size() < bytes) {
    text += words[chance() % words.size()];
    text += ' ';
  }
  text.resize(std::max(bytes, text_bytes_min));
  return text;
}

void set_number(char* text, std::uint32_t number) {
  put(text + number_at, number_digits, number, 10);
}

std::optional<Numbered> read_numbered(std::string_view text) {
  const auto begin = text.find('#');
  if (begin == std::string_view::npos || text.size() - begin < text_bytes_min) return std::nullopt;
  text.remove_prefix(begin);
  Numbered numbered;
  if (!get(text, run_at, run_digits, 16, numbered.run) ||
      !get(text, writer_at, writer_digits, 10, numbered.writer) ||
      !get(text, number_at, number_digits, 10, numbered.number)) {
    return std::nullopt;
  }
  return numbered;
}

}  // namespace parley::load
