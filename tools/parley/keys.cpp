// parley key: the keys that sign tokens.
#include <filesystem>
#include <iostream>
#include <memory>

#include "core/keyring.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/text.hpp"

namespace parley::cli {
namespace {

Outcome<Keyring> load_keys(const std::string& path) {
  auto keys = load_key_file(path);
  if (!keys) return fail(Exit::failed, keys.error());
  return std::move(*keys);
}

Outcome<void> save_keys(const std::string& path, const Keyring& keys) {
  if (auto saved = save_key_file(path, keys); !saved) return fail(Exit::failed, saved.error());
  return {};
}

Outcome<void> make_key(const Setup& setup, bool service) {
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  const std::string& path = config->broker.key_file;
  Keyring keys;
  if (std::filesystem::exists(path)) {
    auto loaded = load_keys(path);
    if (!loaded) return failed(loaded.error());
    keys = std::move(*loaded);
  }
  const auto key_id = keys.add(random_secret(), service, now_s());
  if (!key_id) return fail(Exit::failed, key_id.error());
  if (auto saved = save_keys(path, keys); !saved) return saved;
  std::cout << "key " << static_cast<int>(*key_id) << '\n';
  std::cerr << "Written to " << path
            << ". The broker knows it after: kill -HUP <mosquitto's pid>, or a restart.\n";
  return {};
}

Outcome<void> list_keys(const Setup& setup) {
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  const auto keys = load_keys(config->broker.key_file);
  if (!keys) return failed(keys.error());
  for (const Key& key : keys->keys()) {
    std::cout << static_cast<int>(key.key_id) << '\t' << (key.service ? "service" : "user") << '\t'
              << (key.retired ? "retired" : "active") << '\t' << format_day(key.created_at_s)
              << '\n';
  }
  return {};
}

Outcome<void> retire_key(const Setup& setup, std::uint8_t key_id) {
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  const std::string& path = config->broker.key_file;
  auto keys = load_keys(path);
  if (!keys) return failed(keys.error());
  if (!keys->retire(key_id)) {
    return fail(Exit::failed,
                "there is no active key " + std::to_string(key_id) + "; see: parley key list");
  }
  if (auto saved = save_keys(path, *keys); !saved) return saved;
  std::cerr << "Its tokens are void once the broker has reread " << path
            << ": kill -HUP <mosquitto's pid>, or a restart.\n";
  return {};
}

}  // namespace

void add_key_commands(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const key = app.add_subcommand("key", "The keys that sign tokens");
  key->require_subcommand(1);
  key->footer(
      "Several keys are good at once: make a new one, issue new tokens with it, retire the old "
      "one.\n"
      "Examples:\n"
      "  parley key new              # the first one also creates the key file\n"
      "  parley key new --service    # for the worker\n"
      "  parley key retire 1");

  auto* const create = key->add_subcommand("new", "Make a key; tokens are signed with the newest");
  const auto service = std::make_shared<bool>(false);
  create->add_flag("--service", *service, "For services such as the worker, not for users");
  create->callback([&setup, &ending, service] { ending = make_key(setup, *service); });

  auto* const list = key->add_subcommand("list", "Ids, sorts, states and days of making");
  list->callback([&setup, &ending] { ending = list_keys(setup); });

  auto* const retire = key->add_subcommand("retire", "Make all tokens of a key void");
  const auto key_id = std::make_shared<int>(0);
  retire->add_option("ID", *key_id, "As `parley key list` shows it")
      ->required()
      ->check(CLI::Range(1, 255));
  retire->callback([&setup, &ending, key_id] {
    ending = retire_key(setup, static_cast<std::uint8_t>(*key_id));
  });
}

}  // namespace parley::cli
