#include "tools/parley/setup.hpp"

#include <sodium.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/names.hpp"

namespace parley::cli {
namespace {

constexpr const char* default_config = "/etc/parley/parley.toml";

/// Takes "host", "host:port" or "[v6 address]:port" apart.
bool apply_broker(std::string_view text, BrokerConfig& into) {
  const auto bracket = text.rfind(']');
  const auto colon = text.rfind(':');
  const bool has_port =
      colon != std::string_view::npos &&
      (bracket != std::string_view::npos ? colon > bracket : text.find(':') == colon);
  if (has_port) {
    const auto digits = text.substr(colon + 1);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), into.port);
    if (read.ec != std::errc{} || read.ptr != digits.data() + digits.size() || into.port == 0) {
      return false;
    }
    text = text.substr(0, colon);
  }
  into.host = text;
  return !into.host.empty();
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

/// The configuration if there is one; those who have only a token do without.
Outcome<BrokerConfig> find_broker(const Setup& setup) {
  BrokerConfig broker;
  if (!setup.config_path.empty() || std::filesystem::exists(default_config)) {
    const auto config = load_setup(setup);
    if (config) {
      broker = config->broker;
    } else if (setup.token.empty() || !setup.config_path.empty()) {
      return failed(config.error());
    }
  }
  if (!setup.broker.empty() && !apply_broker(setup.broker, broker)) {
    return fail(Exit::usage, "--broker takes a host or host:port, not \"" + setup.broker + "\"");
  }
  if (!setup.prefix.empty()) broker.prefix = setup.prefix;
  if (!is_prefix(broker.prefix)) {
    return fail(Exit::usage, "\"" + broker.prefix + "\" is no topic prefix");
  }
  return broker;
}

/// A token for the operator, who reads the key file: made on the spot.
Outcome<std::string> own_token(const Setup& setup, std::uint32_t valid_s) {
  const auto config = load_setup(setup);
  if (!config) {
    Failure failure = config.error();
    failure.what +=
        "\n(or, without access to the server's files, give a token: --token or "
        "PARLEY_TOKEN)";
    return failed(std::move(failure));
  }
  auto database = Database::open_migrated(config->database.uri);
  if (!database) return failed(database.error());
  const auto user = find_user(*database, setup.as);
  if (!user) return failed(user.error());
  if (user->disabled) {
    return fail(Exit::failed,
                setup.as + " is disabled; to undo that: parley user enable " + setup.as);
  }
  TokenClaims claims;
  claims.scope = scope::ordinary;
  claims.user_id = user->user_id;
  claims.expires_at = static_cast<std::uint32_t>(now_s() + valid_s);
  claims.generation = user->generation;
  return sign_token(*config, claims, setup.as, "");
}

}  // namespace

Outcome<Config> load_setup(const Setup& setup) {
  std::string path = setup.config_path;
  if (path.empty() && std::filesystem::exists(default_config)) path = default_config;
  if (path.empty()) {
    return fail(Exit::failed, std::string{"where is the configuration? Give --config FILE, set "
                                          "PARLEY_CONFIG, or write "} +
                                  default_config);
  }
  auto config = load_config(path);
  if (!config) return fail(Exit::failed, joined(config.error()));
  return std::move(*config);
}

Outcome<Database> open_database(const Setup& setup) {
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  return Database::open_migrated(config->database.uri);
}

Outcome<User> find_user(Database& database, const std::string& name) {
  const auto rows = database.run(
      "SELECT u.user_id, u.generation, u.disabled_at IS NOT NULL, n.retired_at IS NOT NULL "
      "FROM names n JOIN users u ON u.user_id = n.id WHERE n.name = $1 AND n.kind = 'user'",
      {name});
  if (!rows) return failed(rows.error());
  if (rows->count() == 0) {
    return fail(Exit::failed,
                "there is no user " + name + "; see: parley user list, parley user add");
  }
  if (rows->text(0, 3) == "t") return fail(Exit::failed, name + " has erased the account");
  User user;
  user.user_id = UserId{rows->integer(0, 0)};
  user.name = name;
  user.generation = static_cast<std::uint32_t>(rows->integer(0, 1));
  user.disabled = rows->text(0, 2) == "t";
  return user;
}

Outcome<Login> make_login(const Setup& setup, std::uint32_t valid_s) {
  if (setup.as.empty()) {
    return fail(Exit::usage, "who are you? Give --as NAME or set PARLEY_USER");
  }
  if (!is_name(setup.as)) {
    return fail(Exit::usage, "\"" + setup.as + "\" cannot be a user's name");
  }
  const auto broker = find_broker(setup);
  if (!broker) return failed(broker.error());
  std::string token = setup.token;
  if (token.empty()) {
    auto own = own_token(setup, valid_s);
    if (!own) return failed(own.error());
    token = std::move(*own);
  }
  return Login{broker->host, broker->port, broker->prefix, setup.as, std::move(token)};
}

Outcome<std::string> sign_token(const Config& config, TokenClaims claims, const std::string& name,
                                const std::string& device) {
  const bool service = (claims.scope & scope::service) != 0;
  const auto keys = load_key_file(config.broker.key_file);
  if (!keys) return fail(Exit::failed, keys.error());
  const Key* key = keys->newest(service);
  if (key == nullptr) {
    return fail(Exit::failed, config.broker.key_file + ": holds no active " +
                                  (service ? "service key; make one: parley key new --service"
                                           : "key; make one: parley key new"));
  }
  claims.key_id = key->key_id;
  return mint_token(claims, TokenSubject{config.broker.prefix, name, device}, key->secret);
}

std::int64_t now_s() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

std::string random_id(const std::string& prefix) {
  std::array<unsigned char, 8> bytes{};
  randombytes_buf(bytes.data(), bytes.size());
  std::array<char, 17> hex{};
  sodium_bin2hex(hex.data(), hex.size(), bytes.data(), bytes.size());
  return prefix + hex.data();
}

Setup from_environment() {
  const auto value = [](const char* name) -> std::string {
    const char* const text =
        std::getenv(name);  // NOLINT(concurrency-mt-unsafe): no thread runs yet
    return text == nullptr ? "" : text;
  };
  return {value("PARLEY_CONFIG"), value("PARLEY_USER"), value("PARLEY_TOKEN"),
          value("PARLEY_BROKER"), value("PARLEY_PREFIX")};
}

void add_login_options(CLI::App& command, Setup& setup) {
  command.add_option("--as", setup.as, "Speak as this user; default $PARLEY_USER")
      ->type_name("NAME");
  command
      .add_option("--token", setup.token,
                  "Log in with this token ($PARLEY_TOKEN) instead of making one with the key file")
      ->type_name("TOKEN");
  command
      .add_option("--broker", setup.broker,
                  "Where the broker is ($PARLEY_BROKER), instead of the configuration's")
      ->type_name("HOST[:PORT]");
  command
      .add_option("--prefix", setup.prefix,
                  "Topic prefix ($PARLEY_PREFIX), instead of the configuration's")
      ->type_name("PREFIX");
}

}  // namespace parley::cli
