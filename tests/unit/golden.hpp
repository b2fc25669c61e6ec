// The files of tests/golden: bytes that every implementation must read and write.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace parley::test {

/// A file's content without its last line feed.
inline std::string golden(const std::string& name) {
  std::ifstream file{std::string{PARLEY_GOLDEN_DIR} + "/" + name, std::ios::binary};
  REQUIRE_MESSAGE(file.good(), name);
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

inline std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += digits[static_cast<unsigned char>(c) >> 4];
    hex += digits[static_cast<unsigned char>(c) & 0xF];
  }
  return hex;
}

inline std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string{hex.substr(i, 2)}, nullptr, 16));
  }
  return bytes;
}

/// Pseudo-random numbers that are the same in every run.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_{seed} {}
  std::size_t below(std::size_t bound) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::size_t>(state_ >> 33) % bound;
  }

 private:
  std::uint64_t state_;
};

/// `bytes` with up to four bytes changed, removed or inserted.
inline std::string damaged(std::string bytes, Chance& chance) {
  for (std::size_t i = 0; i <= chance.below(4); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(chance.below(bytes.size() + 1));
    const char c = static_cast<char>(chance.below(256));
    const std::size_t how = chance.below(3);
    if (how == 0 || bytes.empty()) {
      bytes.insert(bytes.begin() + at, c);
    } else if (how == 1) {
      bytes[static_cast<std::size_t>(at) % bytes.size()] = c;
    } else {
      bytes.erase(bytes.begin() + at % static_cast<std::ptrdiff_t>(bytes.size()));
    }
  }
  return bytes;
}

}  // namespace parley::test
