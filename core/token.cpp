#include "core/token.hpp"

#include <sodium.h>

#include <algorithm>

#include "core/names.hpp"

namespace parley {
namespace {

constexpr unsigned char version = 1;
constexpr std::size_t claims_bytes = 19;
constexpr std::size_t mac_bytes = crypto_auth_hmacsha256_BYTES;
constexpr int base64_variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
static_assert(claims_bytes + mac_bytes == token_bytes);
static_assert(sodium_base64_ENCODED_LEN(token_bytes, base64_variant) == token_text_bytes + 1);
static_assert(crypto_auth_hmacsha256_KEYBYTES == secret_bytes);

using TokenBytes = std::array<unsigned char, token_bytes>;
using Mac = std::array<unsigned char, mac_bytes>;

/// Writes the lowest `bytes` bytes of `value`, the highest first. @return behind what was written
unsigned char* put_big_endian(unsigned char* to, std::uint64_t value, unsigned bytes) {
  for (unsigned i = bytes; i > 0; --i) *to++ = static_cast<unsigned char>(value >> (8 * (i - 1)));
  return to;
}

std::uint64_t take_big_endian(const unsigned char*& from, unsigned bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value = value << 8 | *from++;
  return value;
}

void put_claims(const TokenClaims& claims, TokenBytes& into) {
  unsigned char* to = into.data();
  *to++ = version;
  *to++ = claims.key_id;
  *to++ = claims.scope;
  to = put_big_endian(to, static_cast<std::uint64_t>(claims.user_id.value), 8);
  to = put_big_endian(to, claims.expires_at, 4);
  put_big_endian(to, claims.generation, 4);
}

TokenClaims take_claims(const TokenBytes& bytes) {
  const unsigned char* from = bytes.data() + 1;
  TokenClaims claims;
  claims.key_id = *from++;
  claims.scope = *from++;
  claims.user_id = UserId{static_cast<std::int64_t>(take_big_endian(from, 8))};
  claims.expires_at = static_cast<std::uint32_t>(take_big_endian(from, 4));
  claims.generation = static_cast<std::uint32_t>(take_big_endian(from, 4));
  return claims;
}

/// The alphabet is that of a device's name. libsodium takes some bytes above 127 for letters of it.
bool is_base64url(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_device({&c, 1}); });
}

/// The bytes of a token of our version; nothing if `text` has another form.
std::optional<TokenBytes> decode(std::string_view text) {
  TokenBytes bytes{};
  std::size_t length = 0;
  if (text.size() != token_text_bytes || !is_base64url(text)) return std::nullopt;
  if (sodium_base642bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &length,
                        nullptr, base64_variant) != 0) {
    return std::nullopt;
  }
  if (length != token_bytes || bytes[0] != version) return std::nullopt;
  return bytes;
}

void update(crypto_auth_hmacsha256_state& state, std::string_view text) {
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()),
                                text.size());
}

Mac mac_of(const TokenBytes& bytes, const TokenSubject& subject, const Secret& secret) {
  constexpr std::string_view nul{"\0", 1};
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, secret.data(), secret.size());
  update(state, "parley/token/1");
  update(state, nul);
  update(state, subject.prefix);
  update(state, nul);
  crypto_auth_hmacsha256_update(&state, bytes.data(), claims_bytes);
  update(state, subject.name);
  if (!subject.device.empty()) {
    update(state, ".");
    update(state, subject.device);
  }
  Mac mac{};
  crypto_auth_hmacsha256_final(&state, mac.data());
  return mac;
}

bool verifies(const TokenBytes& bytes, const TokenSubject& subject, const Secret& secret) {
  const Mac mac = mac_of(bytes, subject, secret);
  return sodium_memcmp(mac.data(), bytes.data() + claims_bytes, mac.size()) == 0;
}

/// Whether a name may carry these claims when signed by that key.
bool may_claim(const TokenClaims& claims, std::string_view name, const Key& key) {
  const bool service_scope = (claims.scope & scope::service) != 0;
  if (is_service_name(name)) return service_scope && key.service && claims.user_id.value == 0;
  return is_name(name) && !service_scope && claims.user_id.value > 0;
}

}  // namespace

std::string mint_token(const TokenClaims& claims, const TokenSubject& subject,
                       const Secret& secret) {
  TokenBytes bytes{};
  put_claims(claims, bytes);
  const Mac mac = mac_of(bytes, subject, secret);
  std::copy(mac.begin(), mac.end(), bytes.begin() + claims_bytes);
  std::array<char, token_text_bytes + 1> text{};
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), base64_variant);
  return {text.data(), token_text_bytes};
}

Result<TokenChecked, Code> check_token(std::string_view text, std::string_view prefix,
                                       std::string_view name, std::string_view client_id,
                                       const Keyring& keys, std::int64_t now_s) {
  const auto bytes = decode(text);
  if (!bytes) return failed(Code::bad_token);
  TokenChecked checked{take_claims(*bytes), false};
  const Key* key = keys.find(checked.claims.key_id);
  if (key == nullptr || !may_claim(checked.claims, name, *key)) return failed(Code::bad_token);
  if (!verifies(*bytes, TokenSubject{prefix, name, {}}, key->secret)) {
    const auto named = parse_device_client_id(client_id);
    if (!named || named->name != name) return failed(Code::bad_token);
    if (!verifies(*bytes, TokenSubject{prefix, name, named->device}, key->secret)) {
      return failed(Code::bad_token);
    }
    checked.bound_to_device = true;
  }
  const std::int64_t expires_at = checked.claims.expires_at;
  if (expires_at != 0 && now_s >= expires_at) return failed(Code::token_expired);
  return checked;
}

std::optional<TokenClaims> read_claims(std::string_view text) {
  const auto bytes = decode(text);
  if (!bytes) return std::nullopt;
  return take_claims(*bytes);
}

bool looks_like_token(std::string_view password) {
  // What a careless copy adds is damage, not another alphabet.
  while (!password.empty() &&
         std::string_view{" \t\r\n="}.find(password.back()) != std::string_view::npos) {
    password.remove_suffix(1);
  }
  if (password.size() + 4 < token_text_bytes || password.size() > token_text_bytes + 4)
    return false;
  if (!is_base64url(password)) return false;
  // The first byte 0x01: six bits of zero, then 01 and four bits of the key id.
  return password[0] == 'A' &&
         ((password[1] >= 'Q' && password[1] <= 'Z') || (password[1] >= 'a' && password[1] <= 'f'));
}

}  // namespace parley
