// The keys that sign tokens, and the file that holds them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace parley {

inline constexpr std::size_t secret_bytes = 32;
using Secret = std::array<unsigned char, secret_bytes>;

/// A retired key verifies nothing; its line stays so that its id is never used again.
struct Key {
  std::uint8_t key_id = 0;  // 1 … 255
  Secret secret{};          // zeros when retired
  bool service = false;     // may sign scope `service`
  bool retired = false;
  std::int64_t created_at_s = 0;  // unix seconds
};

class Keyring {
 public:
  /// Reads the text of a key file: one line per key, `<id> <64 hex digits|-> <user|service>
  /// <active|retired> <created, unix s>`; `#` starts a comment line.
  /// @return or what is wrong, with the line's number, never with the secret
  static Result<Keyring, std::string> parse(std::string_view text);
  [[nodiscard]] std::string render() const;

  /// The key if it may verify tokens; null if unknown or retired.
  [[nodiscard]] const Key* find(std::uint8_t key_id) const;
  /// The newest active key of that sort; null if there is none.
  [[nodiscard]] const Key* newest(bool service) const;
  [[nodiscard]] const std::vector<Key>& keys() const { return keys_; }

  /// Adds a key with the next free id.
  /// @return or why not (255 ids are used up)
  Result<std::uint8_t, std::string> add(const Secret& secret, bool service, std::int64_t now_s);
  /// @return false if there is no such active key
  bool retire(std::uint8_t key_id);

 private:
  std::vector<Key> keys_;
};

/// Reads a key file. It must be a regular file that only its owner may read (mode 0600 or
/// stricter).
Result<Keyring, std::string> load_key_file(const std::string& path);
/// Replaces a key file atomically, mode 0600, fsynced.
Result<void, std::string> save_key_file(const std::string& path, const Keyring& keys);
/// 32 bytes from the operating system's generator.
Secret random_secret();

}  // namespace parley
