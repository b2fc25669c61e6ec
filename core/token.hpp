// Tokens: who someone is, without asking a database (docs/protocol.md, "CONNECT").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/code.hpp"
#include "core/ids.hpp"
#include "core/keyring.hpp"
#include "core/result.hpp"

namespace parley {

/// Bits of a token's scope.
namespace scope {
inline constexpr std::uint8_t send = 1;
inline constexpr std::uint8_t receive = 2;
inline constexpr std::uint8_t manage = 4;
inline constexpr std::uint8_t admin = 8;
inline constexpr std::uint8_t service = 16;
inline constexpr std::uint8_t ordinary = send | receive | manage;
}  // namespace scope

inline constexpr std::size_t token_bytes = 51;
inline constexpr std::size_t token_text_bytes = 68;

struct TokenClaims {
  std::uint8_t key_id = 0;
  std::uint8_t scope = 0;
  UserId user_id;                // 0 for a service
  std::uint32_t expires_at = 0;  // unix seconds; 0 = never
  std::uint32_t generation = 0;
};

/// What the MAC is bound to besides the claims.
/// A token without `device` is good for every client id of `name`.
struct TokenSubject {
  std::string_view prefix;
  std::string_view name;
  std::string_view device;  // empty: not bound to one
};

/// The text of a token, 68 characters of base64url.
std::string mint_token(const TokenClaims& claims, const TokenSubject& subject,
                       const Secret& secret);

struct TokenChecked {
  TokenClaims claims;
  bool bound_to_device = false;
};

/// Checks form, key, MAC (constant time) and expiry. Generation and source address are the
/// caller's.
/// @param client_id  decides whether a token bound to `<name>.<device>` is good
/// @param now_s      unix seconds
/// @return Code::bad_token for anything that does not verify (also a service scope without a
/// service
///         key or a `_` name, and a `_` name without service scope), Code::token_expired
Result<TokenChecked, Code> check_token(std::string_view text, std::string_view prefix,
                                       std::string_view name, std::string_view client_id,
                                       const Keyring& keys, std::int64_t now_s);

/// Only the claims, nothing verified: for tools that explain a token.
std::optional<TokenClaims> read_claims(std::string_view text);

/// Whether somebody meant this password to be a token (right alphabet, version and about the right
/// length), so that a damaged one is refused instead of being left to the broker's other logins.
bool looks_like_token(std::string_view password);

}  // namespace parley
