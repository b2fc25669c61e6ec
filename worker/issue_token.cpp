#include "worker/issue_token.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/code.hpp"
#include "core/keyring.hpp"
#include "core/names.hpp"
#include "core/token.hpp"
#include "core/wire.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

using Json = nlohmann::json;

/// What is asked for; the claims lack the generation and the key.
struct Wanted {
  TokenClaims claims;
  std::string device;
};

std::uint8_t scope_of(const std::string& word) {
  if (word == "send") return scope::send;
  if (word == "receive") return scope::receive;
  if (word == "manage") return scope::manage;
  if (word == "admin") return scope::admin;
  return word == "service" ? scope::service : 0;
}

/// Nobody gives what he has not: neither scope nor time nor other devices.
Result<Wanted, sql::Outcome> judge(const sql::Asker& asker, const Json& request,
                                   std::int64_t now_s) {
  const auto refuse = [](Code code, std::string detail) {
    return failed(sql::refusal(code, std::move(detail)));
  };
  Wanted wanted;
  wanted.claims.user_id = asker.user;
  for (const auto& word : request.value("scope", std::vector<std::string>{})) {
    const auto bit = scope_of(word);
    if (bit == 0) return refuse(Code::bad_payload, "scope is send, receive, manage");
    wanted.claims.scope |= bit;
  }
  if (wanted.claims.scope == 0) return refuse(Code::bad_payload, "scope is empty");
  if ((wanted.claims.scope & ~asker.scope) != 0 || (wanted.claims.scope & scope::service) != 0) {
    return refuse(Code::forbidden, "your own token does not have this scope");
  }
  wanted.device = request.value("device", std::string{});
  if (!wanted.device.empty() && !is_device(wanted.device)) {
    return refuse(Code::bad_name, "a device is 1 to 32 of A-Z a-z 0-9 _ -");
  }
  if (asker.bound && wanted.device != asker.device) {
    return refuse(Code::forbidden, "your own token is good for " + asker.device + " only");
  }
  const std::int64_t expires_in_s = request.value("expires_in_s", std::int64_t{0});
  std::int64_t expires_at = expires_in_s == 0 ? 0 : now_s + expires_in_s;
  const std::int64_t own = asker.token_expires_at;
  if (own != 0 && (expires_at == 0 || expires_at > own)) expires_at = own;
  wanted.claims.expires_at = static_cast<std::uint32_t>(
      std::min<std::int64_t>(expires_at, std::numeric_limits<std::uint32_t>::max()));
  return wanted;
}

sql::Outcome sign(const BrokerConfig& broker, const sql::Asker& asker, Wanted wanted) {
  const auto keys = load_key_file(broker.key_file);
  const Key* const key = keys ? keys->newest(false) : nullptr;
  if (key == nullptr) {
    log::error(
        "event=no_user_key file={} err={}", broker.key_file,
        log::quoted(keys ? "it holds no active key for users; run: parley key new" : keys.error()));
    return sql::refusal(Code::unavailable, "the server has no key to sign with");
  }
  wanted.claims.key_id = key->key_id;
  Json result{{"token",
               mint_token(wanted.claims, {broker.prefix, asker.name, wanted.device}, key->secret)}};
  if (wanted.claims.expires_at != 0) {
    result["expires_time"] = format_time(UnixMillis{std::int64_t{wanted.claims.expires_at} * 1000});
  }
  return {"", "", result.dump()};
}

}  // namespace

void issue_token(PgLink& database, const BrokerConfig& broker, const sql::Asker& asker,
                 const std::string& request, sql::OutcomeDone done) {
  auto wanted = judge(asker, Json::parse(request), wall_now().value / 1000);
  if (!wanted) {
    done(wanted.error());
    return;
  }
  std::vector<PgQuery> queries;
  queries.push_back(sql::token_generation(asker, wanted->device));
  database.submit(std::move(queries), [&broker, asker, wanted = std::move(*wanted),
                                       done = std::move(done)](auto result) mutable {
    if (!result) {
      log::error("event=request_failed method=token.issue err={}",
                 log::quoted(result.error().what));
      done(sql::refusal(result.error()));
      return;
    }
    const auto present = sql::token_generation_of(result->at(0));
    if (!present.known) {
      done(sql::refusal(Code::forbidden, "no such user, or your own token is void by now"));
    } else if (present.too_many) {
      done(sql::refusal(Code::too_large, "too many devices: remove some"));
    } else {
      wanted.claims.generation = present.generation;
      done(sign(broker, asker, std::move(wanted)));
    }
  });
}

}  // namespace parley
