#include "core/revocations.hpp"

#include <charconv>

#include "core/crc32c.hpp"
#include "core/names.hpp"

namespace parley {
namespace {

constexpr std::string_view end_word = "end ";

/// Takes the next word of a line; nothing if it is not a number that fits.
template <class Number>
bool take_number(std::string_view& line, Number& number) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc{}) return false;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  if (!line.empty()) {
    if (line.front() != ' ') return false;
    line.remove_prefix(1);
  }
  return true;
}

}  // namespace

void Revocations::put(List& list, const link::Generation& one) {
  list[{one.user_id.value, one.device}] = {one.generation, one.disabled};
}

void Revocations::update(const std::vector<link::Generation>& some, bool first, bool last) {
  if (first) coming_.emplace();
  for (const auto& one : some) {
    put(list_, one);  // holds at once, also while the rest of a list is on its way
    if (coming_) put(*coming_, one);
  }
  if (!last || !coming_) return;
  list_ = std::move(*coming_);
  coming_.reset();
  known_ = true;
}

bool Revocations::allows(const Login& login) const {
  if (!known_ && login.generation > 0) return false;
  const auto find = [&](std::string_view device) {
    const auto found = list_.find(std::pair{login.user_id.value, std::string{device}});
    return found == list_.end() ? Least{} : found->second;
  };
  const Least user = find({});
  if (user.disabled) return false;
  if (login.device.empty()) return login.generation >= user.generation;
  const Least device = find(login.device);
  if (device.disabled) return false;
  return login.generation >= (login.bound ? device : user).generation;
}

std::uint32_t Revocations::device_generation(UserId user_id, std::string_view device) const {
  const auto found = list_.find(std::pair{user_id.value, std::string{device}});
  return found == list_.end() ? 0 : found->second.generation;
}

std::string Revocations::render() const {
  std::string text;
  for (const auto& [key, least] : list_) {
    text += std::to_string(key.first) + ' ' + std::to_string(least.generation) + ' ' +
            (least.disabled ? '1' : '0') + ' ' + key.second + '\n';
  }
  text += end_word;
  text += std::to_string(crc32c(text)) + '\n';
  return text;
}

std::optional<Revocations> Revocations::parse(std::string_view text) {
  Revocations parsed;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t newline = text.find('\n', at);
    if (newline == std::string_view::npos) return std::nullopt;
    std::string_view line = text.substr(at, newline - at);
    if (line.starts_with(end_word)) {
      line.remove_prefix(end_word.size());
      std::uint32_t crc = 0;
      if (!take_number(line, crc) || !line.empty() || newline + 1 != text.size())
        return std::nullopt;
      if (crc != crc32c(text.substr(0, at + end_word.size()))) return std::nullopt;
      parsed.known_ = true;
      return parsed;
    }
    std::int64_t user_id = 0;
    std::uint32_t generation = 0;
    std::uint32_t disabled = 0;
    if (!take_number(line, user_id) || !take_number(line, generation) ||
        !take_number(line, disabled)) {
      return std::nullopt;
    }
    if (!line.empty() && !is_device(line)) return std::nullopt;
    put(parsed.list_, {UserId{user_id}, std::string{line}, generation, disabled != 0});
    at = newline + 1;
  }
  return std::nullopt;
}

}  // namespace parley
