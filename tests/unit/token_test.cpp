#include "core/token.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <sstream>
#include <string>

#include "tests/unit/golden.hpp"

namespace parley {
namespace {

constexpr std::int64_t now_s = 1'800'000'000;

Secret filled(unsigned char byte) {
  Secret secret{};
  secret.fill(byte);
  return secret;
}

/// Key 1 for users, key 2 for services, key 3 retired.
Keyring keys() {
  Keyring keyring;
  (void)keyring.add(filled(1), false, 0);
  (void)keyring.add(filled(2), true, 0);
  (void)keyring.add(filled(3), false, 0);
  (void)keyring.retire(3);
  return keyring;
}

TokenClaims alice() { return {1, scope::ordinary, UserId{7}, 0, 0}; }

Result<TokenChecked, Code> check(std::string_view text, std::string_view name = "alice",
                                 std::string_view client_id = "alice.phone") {
  return check_token(text, "im", name, client_id, keys(), now_s);
}

}  // namespace

TEST_CASE("token: golden vectors") {
  std::istringstream lines{test::golden("tokens.txt")};
  int vectors = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields{line};
    std::string secret_hex, prefix, name, device, token;
    unsigned key_id = 0, scope_bits = 0;
    TokenClaims claims;
    fields >> secret_hex >> prefix >> name >> device >> key_id >> scope_bits >>
        claims.user_id.value >> claims.expires_at >> claims.generation >> token;
    REQUIRE(fields);
    if (device == "-") device.clear();
    claims.key_id = static_cast<std::uint8_t>(key_id);
    claims.scope = static_cast<std::uint8_t>(scope_bits);
    CAPTURE(line);
    Secret secret{};
    const std::string bytes = test::from_hex(secret_hex);
    REQUIRE(bytes.size() == secret.size());
    std::copy(bytes.begin(), bytes.end(), secret.begin());
    CHECK(mint_token(claims, {prefix, name, device}, secret) == token);
    ++vectors;
  }
  CHECK(vectors == 5);
}

TEST_CASE("token: what was minted is accepted with its claims") {
  const TokenClaims claims{1, 0xEF, UserId{std::numeric_limits<std::int64_t>::max()}, 0xFFFFFFFF,
                           0x80000001};
  const std::string text = mint_token(claims, {"im", "alice", ""}, filled(1));
  CHECK(text.size() == token_text_bytes);
  const auto checked = check(text, "alice", "whatever");
  REQUIRE(checked);
  CHECK(checked->claims.key_id == 1);
  CHECK(checked->claims.scope == 0xEF);
  CHECK(checked->claims.user_id == claims.user_id);
  CHECK(checked->claims.expires_at == 0xFFFFFFFF);
  CHECK(checked->claims.generation == 0x80000001);
  CHECK_FALSE(checked->bound_to_device);
  const auto read = read_claims(text);
  REQUIRE(read);
  CHECK(read->generation == 0x80000001);
}

TEST_CASE("token: every changed character is noticed") {
  const std::string good = mint_token(alice(), {"im", "alice", ""}, filled(1));
  REQUIRE(check(good));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'A', 'B', 'z', '-', '_', '+', '/', '=', ' ', '\n', '\0', '\xff'}) {
      std::string bad = good;
      bad[i] = c;
      if (bad == good) continue;
      CAPTURE(i);
      const auto checked = check(bad);
      REQUIRE_FALSE(checked);
      CHECK(checked.error() == Code::bad_token);
    }
  }
}

TEST_CASE("token: another length or alphabet is no token") {
  const std::string good = mint_token(alice(), {"im", "alice", ""}, filled(1));
  for (const std::string& bad :
       {std::string{}, good.substr(1), good + "A", good.substr(0, 67), good + "=", " " + good,
        good + "\n", std::string(68, 'A'), std::string(68, '\0'), std::string(1000, 'A')}) {
    CAPTURE(bad);
    const auto checked = check(bad);
    REQUIRE_FALSE(checked);
    CHECK(checked.error() == Code::bad_token);
    CHECK_FALSE(read_claims(bad));
  }
}

TEST_CASE("token: no byte beyond ASCII stands for a letter") {
  const std::string token = mint_token(alice(), {"im", "alice", ""}, filled(1));
  REQUIRE(check(token));
  for (std::size_t at = 0; at < token.size(); ++at) {
    for (int byte = 128; byte < 256; ++byte) {
      std::string changed = token;
      changed[at] = static_cast<char>(byte);
      CAPTURE(at);
      CAPTURE(byte);
      CHECK_FALSE(check(changed));
    }
  }
}

TEST_CASE("token: bound to prefix, name and key") {
  const auto refused = [](const TokenSubject& subject, const Secret& secret) {
    const auto checked = check(mint_token(alice(), subject, secret));
    return !checked && checked.error() == Code::bad_token;
  };
  CHECK_FALSE(refused({"im", "alice", ""}, filled(1)));
  CHECK(refused({"im2", "alice", ""}, filled(1)));
  CHECK(refused({"", "alice", ""}, filled(1)));
  CHECK(refused({"im", "bob", ""}, filled(1)));
  CHECK(refused({"im", "alicea", ""}, filled(1)));
  CHECK(refused({"im", "alice", ""}, filled(2)));
  TokenClaims claims = alice();
  for (const int key_id : {0, 3, 4, 255}) {  // 3 is retired: zeros must not verify either
    claims.key_id = static_cast<std::uint8_t>(key_id);
    CHECK_FALSE(check(mint_token(claims, {"im", "alice", ""}, filled(3))));
    CHECK_FALSE(check(mint_token(claims, {"im", "alice", ""}, Secret{})));
  }
}

TEST_CASE("token: one bound to a device is good with its client id only") {
  const std::string text = mint_token(alice(), {"im", "alice", "phone"}, filled(1));
  const auto bound = check(text, "alice", "alice.phone");
  REQUIRE(bound);
  CHECK(bound->bound_to_device);
  for (const std::string_view client_id : {"", "phone", "alice", "alice.", "alice.phone2",
                                           "alice.Phone", "bob.phone", "alice.phone.x"}) {
    CAPTURE(client_id);
    CHECK_FALSE(check(text, "alice", client_id));
  }
  CHECK_FALSE(check(text, "bob", "bob.phone"));
  // The subject of a bound token must not pass as a name.
  CHECK_FALSE(check(text, "alice.phone", "alice.phone"));
}

TEST_CASE("token: expiry is told only to who holds a genuine token") {
  struct Row {
    std::int64_t expires_at;
    bool good;
  };
  for (const Row row : {Row{0, true}, Row{1, false}, Row{now_s - 1, false}, Row{now_s, false},
                        Row{now_s + 1, true}}) {
    CAPTURE(row.expires_at);
    TokenClaims claims = alice();
    claims.expires_at = static_cast<std::uint32_t>(row.expires_at);
    const auto checked = check(mint_token(claims, {"im", "alice", ""}, filled(1)));
    CHECK(checked.has_value() == row.good);
    if (!row.good) CHECK(checked.error() == Code::token_expired);
    const auto forged = check(mint_token(claims, {"im", "alice", ""}, filled(9)));
    REQUIRE_FALSE(forged);
    CHECK(forged.error() == Code::bad_token);
  }
}

TEST_CASE("token: scope service needs a service key and a service name, and the other way round") {
  struct Row {
    std::string name;
    std::uint8_t key_id;
    std::uint8_t scope;
    std::int64_t user_id;
    bool good;
  };
  for (const Row& row :
       {Row{"_parley", 2, 16, 0, true}, Row{"_parley", 1, 16, 0, false},
        Row{"_parley", 2, 7, 0, false}, Row{"_parley", 2, 16, 7, false},
        Row{"alice", 2, 16, 0, false}, Row{"alice", 1, 23, 7, false}, Row{"alice", 2, 23, 7, false},
        Row{"alice", 1, 7, 7, true}, Row{"alice", 1, 7, 0, false}, Row{"alice", 1, 7, -1, false},
        Row{"Alice", 1, 7, 7, false}, Row{"", 1, 7, 7, false}}) {
    CAPTURE(row.name);
    CAPTURE(row.scope);
    const TokenClaims claims{row.key_id, row.scope, UserId{row.user_id}, 0, 0};
    const auto text = mint_token(claims, {"im", row.name, ""}, filled(row.key_id));
    CHECK(check(text, row.name, "x").has_value() == row.good);
  }
}

TEST_CASE("token: another version is not read") {
  std::string text = mint_token(alice(), {"im", "alice", ""}, filled(1));
  REQUIRE(text.substr(0, 2) == "AQ");
  text[1] = 'g';  // version 2
  CHECK_FALSE(read_claims(text));
  CHECK_FALSE(check(text));
}

TEST_CASE("token: a damaged one still looks like one") {
  const std::string good = mint_token(alice(), {"im", "alice", ""}, filled(1));
  for (const std::string& text : {good, good.substr(0, 67), good.substr(0, 64), good + "A",
                                  good + "\n", good + "=", good + "\r\n"}) {
    CAPTURE(text);
    CHECK(looks_like_token(text));
  }
  for (const std::string& text :
       {std::string{}, std::string{"secret"}, good.substr(0, 40), good + good, std::string(68, 'A'),
        std::string(68, 'x'), " " + good, "hunter2 " + good.substr(8)}) {
    CAPTURE(text);
    CHECK_FALSE(looks_like_token(text));
  }
}

}  // namespace parley
