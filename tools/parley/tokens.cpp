// parley token: who someone is.
#include <algorithm>
#include <array>
#include <iostream>
#include <limits>
#include <memory>

#include "core/names.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/request.hpp"
#include "tools/parley/text.hpp"

namespace parley::cli {
namespace {

struct ScopeWord {
  std::uint8_t bit;
  std::string_view word;
};
constexpr std::array<ScopeWord, 5> scope_words{{{scope::send, "send"},
                                                {scope::receive, "receive"},
                                                {scope::manage, "manage"},
                                                {scope::admin, "admin"},
                                                {scope::service, "service"}}};

struct TokenRequest {
  std::string name;
  std::string scope;  // words with commas; empty: the usual
  std::string expires = "never";
  std::string device;
};

Outcome<std::uint8_t> parse_scope(std::string_view text) {
  unsigned bits = 0;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto word = text.substr(0, comma);
    const auto* const known = std::find_if(scope_words.begin(), scope_words.end(),
                                           [&](const ScopeWord& w) { return w.word == word; });
    if (known == scope_words.end()) {
      return fail(Exit::usage, "\"" + std::string{word} +
                                   "\" is no scope; there are send, receive, manage, admin "
                                   "(and service, for names that begin with _)");
    }
    bits |= known->bit;
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return static_cast<std::uint8_t>(bits);
}

std::string scope_text(std::uint8_t bits) {
  std::string text;
  for (const auto& [bit, word] : scope_words) {
    if ((bits & bit) == 0) continue;
    if (!text.empty()) text += ',';
    text += word;
  }
  return text.empty() ? "nothing" : text;
}

Outcome<std::uint32_t> parse_expiry(const std::string& text) {
  const auto span = parse_span(text);
  if (!span) {
    return fail(Exit::usage,
                "--expires takes a span such as 30d, 12h or 5m, or never; not \"" + text + "\"");
  }
  if (*span == 0) return 0;
  const std::int64_t at = now_s() + *span;
  if (at > std::numeric_limits<std::uint32_t>::max()) {
    return fail(Exit::usage, "--expires " + text + " is beyond the year 2106; use never");
  }
  return static_cast<std::uint32_t>(at);
}

/// What a token must carry not to count as revoked.
Outcome<std::uint32_t> present_generation(Database& database, const User& user,
                                          const std::string& device) {
  if (device.empty()) return user.generation;
  const auto rows =
      database.run("SELECT generation_of($1, $2)", {std::to_string(user.user_id.value), device});
  if (!rows) return failed(rows.error());
  return static_cast<std::uint32_t>(rows->integer(0, 0));
}

Outcome<TokenClaims> user_claims(const Config& config, const TokenRequest& request) {
  auto database = Database::open_migrated(config.database.uri);
  if (!database) return failed(database.error());
  const auto user = find_user(*database, request.name);
  if (!user) return failed(user.error());
  if (user->disabled) {
    return fail(Exit::failed,
                request.name +
                    " is disabled: no token of theirs is taken; to undo that: parley user enable " +
                    request.name);
  }
  // From here on the device is known, so that its tokens can be made void with all others.
  const auto rows =
      database->run("SELECT token_generation($1, $2, $3)",
                    {std::to_string(user->user_id.value), request.name, request.device});
  if (!rows) return failed(rows.error());
  if (rows->integer(0, 0) < 0) return fail(Exit::failed, request.name + " has too many devices");
  TokenClaims claims;
  claims.user_id = user->user_id;
  claims.generation = static_cast<std::uint32_t>(rows->integer(0, 0));
  return claims;
}

Outcome<void> issue_token(const Setup& setup, const TokenRequest& request) {
  const bool service = is_service_name(request.name);
  if (!service && !is_name(request.name)) {
    return fail(Exit::usage, "\"" + request.name + "\" cannot be a user's name");
  }
  if (!request.device.empty() && (service || !is_device(request.device))) {
    return fail(Exit::usage, "--device takes 1 to 32 of A-Z a-z 0-9 _ - (and is for users only)");
  }
  std::uint8_t bits = service ? scope::service : scope::ordinary;
  if (!request.scope.empty()) {
    const auto asked = parse_scope(request.scope);
    if (!asked) return failed(asked.error());
    bits = *asked;
  }
  if (service != ((bits & scope::service) != 0)) {
    return fail(Exit::usage, "the scope service is for names that begin with _, and they have it");
  }
  const auto expires_at = parse_expiry(request.expires);
  if (!expires_at) return failed(expires_at.error());
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  auto claims = service ? Outcome<TokenClaims>{TokenClaims{}} : user_claims(*config, request);
  if (!claims) return failed(claims.error());
  claims->scope = bits;
  claims->expires_at = *expires_at;
  const auto token = sign_token(*config, *claims, request.name, request.device);
  if (!token) return failed(token.error());
  std::cout << *token << '\n';
  return {};
}

/// The user's own: asked of the server, which gives no more than he has.
Outcome<void> ask_token(const Setup& setup, const TokenRequest& request, const Manner& manner) {
  const auto bits =
      request.scope.empty() ? Outcome<std::uint8_t>{scope::ordinary} : parse_scope(request.scope);
  if (!bits) return failed(bits.error());
  const auto span = parse_span(request.expires);
  if (!span) return failed(parse_expiry(request.expires).error());
  Json what{{"scope", Json::array()}};
  for (const auto& [bit, word] : scope_words) {
    if ((*bits & bit) != 0) what["scope"].push_back(word);
  }
  if (*span > 0) what["expires_in_s"] = *span;
  if (!request.device.empty()) what["device"] = request.device;
  return run_request(setup, "token.issue", what, manner);
}

struct VerifyRequest {
  std::string token;
  std::string user;  // whom it should be good for; empty: any
  std::string device;
};

void explain(const TokenClaims& claims) {
  std::cout << "key:        " << static_cast<int>(claims.key_id) << '\n'
            << "scope:      " << scope_text(claims.scope) << '\n'
            << "user id:    " << claims.user_id.value << '\n'
            << "expires:    "
            << (claims.expires_at == 0 ? "never" : format_second(claims.expires_at)) << '\n'
            << "generation: " << claims.generation << '\n';
}

Outcome<std::string> name_of(Database& database, UserId user_id) {
  const auto rows =
      database.run("SELECT name FROM users WHERE user_id = $1", {std::to_string(user_id.value)});
  if (!rows) return failed(rows.error());
  if (rows->count() == 0) {
    return refuse(Code::bad_token, "there is no user with its id in this database");
  }
  return rows->text(0, 0);
}

Outcome<void> check_not_revoked(Database& database, const TokenChecked& checked,
                                const VerifyRequest& request) {
  const auto user = find_user(database, request.user);
  if (!user) return failed(user.error());
  if (user->user_id != checked.claims.user_id) {
    return refuse(Code::bad_token, "it was made for another server's " + request.user);
  }
  if (user->disabled) return refuse(Code::bad_token, "" + request.user + " is disabled");
  const auto generation =
      present_generation(database, *user, checked.bound_to_device ? request.device : "");
  if (!generation) return failed(generation.error());
  if (checked.claims.generation < *generation) {
    return refuse(Code::bad_token,
                  "it was revoked (the present generation is " + std::to_string(*generation) + ")");
  }
  return {};
}

Outcome<void> verify_token(const Setup& setup, VerifyRequest request) {
  const auto claims = read_claims(request.token);
  if (!claims) {
    return refuse(Code::bad_token, "this is not a token: one has " +
                                       std::to_string(token_text_bytes) +
                                       " characters of base64url");
  }
  explain(*claims);
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  const auto keys = load_key_file(config->broker.key_file);
  if (!keys) return fail(Exit::failed, keys.error());
  auto database = Database::open_migrated(config->database.uri);
  if (!database) return failed(database.error());
  const bool service = (claims->scope & scope::service) != 0;
  if (request.user.empty() && service) {
    return fail(Exit::usage, "whose is it? A service's token needs --user _NAME to be checked");
  }
  if (request.user.empty()) {
    auto name = name_of(*database, claims->user_id);
    if (!name) return failed(name.error());
    request.user = std::move(*name);
  }
  const std::string client_id =
      request.device.empty() ? std::string{} : request.user + "." + request.device;
  const auto checked =
      check_token(request.token, config->broker.prefix, request.user, client_id, *keys, now_s());
  if (!checked) {
    std::string why = "it is not good for " + request.user;
    if (checked.error() == Code::token_expired) why = "it has expired";
    if (checked.error() == Code::bad_token) {
      why +=
          " (signed for another name, device or prefix, or with a key that is not active here; "
          "one bound to a device needs --device)";
    }
    return refuse(checked.error(), why);
  }
  std::cout << "user:       " << request.user << '\n'
            << "device:     " << (checked->bound_to_device ? request.device : "any") << '\n';
  if (!service) {
    if (auto live = check_not_revoked(*database, *checked, request); !live) return live;
  }
  std::cout << "good\n";
  return {};
}

Outcome<void> revoke_rows(Database& database, const User& user, const std::string& device) {
  const std::string user_id = std::to_string(user.user_id.value);
  const auto revoked = device.empty()
                           ? database.run("SELECT revoke_tokens($1)", {user_id})
                           : database.run("SELECT revoke_device($1, $2)", {user_id, device});
  if (!revoked) return failed(revoked.error());
  return {};
}

Outcome<void> revoke_tokens(const Setup& setup, const std::string& name,
                            const std::string& device) {
  if (!device.empty() && !is_device(device)) {
    return fail(Exit::usage, "\"" + device + "\" cannot be a device");
  }
  auto database = open_database(setup);
  if (!database) return failed(database.error());
  auto done = database->transact([&]() -> Outcome<void> {
    const auto user = find_user(*database, name);
    if (!user) return failed(user.error());
    if (auto revoked = revoke_rows(*database, *user, device); !revoked) return revoked;
    if (auto told = database->run("NOTIFY parley_users"); !told) return failed(told.error());
    return {};
  });
  if (done) std::cout << name << (device.empty() ? "" : "." + device) << ": tokens revoked\n";
  return done;
}

void add_token_options(CLI::App& command, const std::shared_ptr<TokenRequest>& request) {
  command
      .add_option("--scope", request->scope,
                  "What it allows, with commas: send, receive, manage, admin; "
                  "default send,receive,manage")
      ->type_name("SCOPE");
  command.add_option("--expires", request->expires, "30d, 12h, 5m or never")
      ->capture_default_str()
      ->type_name("SPAN");
  command.add_option("--device", request->device, "Good only with client id NAME.DEVICE")
      ->type_name("DEVICE");
}

void add_issue_command(CLI::App& token, Setup& setup, Ending& ending) {
  auto* const issue = token.add_subcommand(
      "issue", "With a NAME the same as `parley token NAME`; without, ask for one of one's own");
  issue->footer(
      "With a NAME it is the operator, who signs with the key file. Without, the user of --as (or\n"
      "PARLEY_USER) asks the server for another token; it says at most what his own says.\n"
      "Examples:\n"
      "  parley token issue alice                                        # the operator\n"
      "  parley token issue --device phone --expires 30d --as alice      # alice herself");
  const auto request = std::make_shared<TokenRequest>();
  const auto manner = std::make_shared<Manner>();
  issue->add_option("NAME", request->name, "Make a token for this user");
  add_token_options(*issue, request);
  add_manner_options(*issue, setup, manner);
  issue->callback([&setup, &ending, request, manner] {
    ending =
        request->name.empty() ? ask_token(setup, *request, *manner) : issue_token(setup, *request);
  });
}

}  // namespace

void add_token_commands(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const token = app.add_subcommand("token", "Who someone is: the MQTT password");
  token->require_subcommand(0, 1);
  token->footer(
      "Examples:\n"
      "  export T=$(parley token alice)\n"
      "  parley token pump7 --scope send --expires 365d\n"
      "  parley token bob --device phone\n"
      "  parley token verify \"$T\" --user alice\n"
      "  parley token revoke alice\n"
      "  parley token issue --as alice          # her own, from the server\n"
      "A user who is called like a subcommand: parley token issue verify");
  const auto request = std::make_shared<TokenRequest>();
  token->add_option("NAME", request->name, "Make a token for this user");
  add_token_options(*token, request);
  token->callback([token, &setup, &ending, request] {
    if (!token->get_subcommands().empty()) return;
    ending = request->name.empty() ? fail(Exit::usage, "for whom? See: parley token --help")
                                   : issue_token(setup, *request);
  });

  add_issue_command(*token, setup, ending);

  auto* const verify =
      token->add_subcommand("verify", "Explain a token; exit code 0 if it is good");
  const auto check = std::make_shared<VerifyRequest>();
  verify->add_option("TOKEN", check->token)->required();
  verify->add_option("--user", check->user, "Whether it is good for this user")->type_name("NAME");
  verify->add_option("--device", check->device, "… with this device")->type_name("DEVICE");
  verify->callback([&setup, &ending, check] { ending = verify_token(setup, *check); });

  auto* const revoke = token->add_subcommand(
      "revoke", "Make a user's tokens void, also those of all devices seen so far");
  const auto name = std::make_shared<std::string>();
  const auto device = std::make_shared<std::string>();
  revoke->add_option("NAME", *name)->required();
  revoke->add_option("--device", *device, "Only those bound to this device")->type_name("DEVICE");
  revoke->callback(
      [&setup, &ending, name, device] { ending = revoke_tokens(setup, *name, *device); });
}

}  // namespace parley::cli
