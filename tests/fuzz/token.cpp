// Tokens: first what anybody may send as a password, then one of ours with a few bits changed.

#include "core/token.hpp"

#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;

const Keyring& keys() {
  static const Keyring ring = [] {
    Keyring made;
    Secret secret{};
    secret.fill(0x41);
    (void)made.add(secret, false, 1);
    secret.fill(0x42);
    (void)made.add(secret, true, 2);
    secret.fill(0x43);
    (void)made.add(secret, false, 3);
    (void)made.retire(3);
    return made;
  }();
  return ring;
}

void check_any(std::string_view text, std::string_view name, std::string_view client_id) {
  using fuzz::require;
  const auto checked = check_token(text, "im", name, client_id, keys(), 1'000);
  const auto claims = read_claims(text);
  if (!checked) {
    require(checked.error() == Code::bad_token || checked.error() == Code::token_expired,
            "a code of a login");
    return;
  }
  require(looks_like_token(text), "a good token looks like one");
  require(claims.has_value() && claims->key_id == checked->claims.key_id &&
              claims->user_id == checked->claims.user_id,
          "read_claims reads what was checked");
  const Key* const key = keys().find(checked->claims.key_id);
  require(key != nullptr, "no retired key verifies");
  const auto dot = client_id.find('.');
  const std::string_view device =
      checked->bound_to_device ? client_id.substr(dot + 1) : std::string_view{};
  require(mint_token(checked->claims, {"im", name, device}, key->secret) == text,
          "a token has one form only");
}

void check_own(fuzz::Input& input) {
  using fuzz::require;
  TokenClaims claims;
  claims.key_id = static_cast<std::uint8_t>(1 + input.byte() % 2);
  const bool service = claims.key_id == 2 && input.byte() % 2 == 0;
  claims.scope = service ? scope::service : input.byte() & 0x0F;
  claims.user_id = UserId{static_cast<std::int64_t>(input.number(8) >> 1U)};
  claims.expires_at = static_cast<std::uint32_t>(input.number(4));
  claims.generation = static_cast<std::uint32_t>(input.number(4));
  const std::string name = service ? "_worker" : "alice";
  const std::string device = input.byte() % 2 == 0 ? "" : "phone";
  const Key* const key = keys().find(claims.key_id);
  std::string text = mint_token(claims, {"im", name, device}, key->secret);
  require(text.size() == token_text_bytes, "68 characters");
  const auto good = check_token(text, "im", name, name + ".phone", keys(), 0);
  const std::size_t at = input.byte();
  const auto with = static_cast<char>(input.byte());
  if (good) {
    require(good->bound_to_device == !device.empty(), "bound as it was made");
    require(!check_token(text, "im", "bob", "bob.phone", keys(), 0), "nobody else's");
    require(!check_token(text, "ix", name, name + ".phone", keys(), 0), "of one prefix");
    require(device.empty() || !check_token(text, "im", name, name + ".desk", keys(), 0).has_value(),
            "of one device");
  }
  if (at >= text.size() || text[at] == with) return;
  text[at] = with;
  require(!check_token(text, "im", name, name + ".phone", keys(), 0), "no changed token is good");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  const auto sort = input.byte();
  if (sort % 2 == 0) {
    check_own(input);
  } else {
    const auto name = input.line();
    const auto client_id = input.line();
    check_any(input.rest(), name, client_id);
  }
  return 0;
}
