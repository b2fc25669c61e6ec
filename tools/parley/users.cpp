// parley user: who may take part.
#include <iostream>
#include <memory>

#include "core/names.hpp"
#include "tools/parley/commands.hpp"

namespace parley::cli {
namespace {

using Names = std::vector<std::string>;

Outcome<void> check_names(const Names& names) {
  for (const auto& name : names) {
    if (!is_name(name)) {
      return fail(Exit::usage, "\"" + name +
                                   "\" cannot be a name: 1 to 32 of a-z 0-9 _ -, beginning with a "
                                   "letter or digit");
    }
  }
  return {};
}

/// For a name that is in use already.
Outcome<std::string> explain_taken(Database& database, const std::string& name) {
  const auto rows = database.run(
      "SELECT n.kind, n.retired_at IS NOT NULL, u.disabled_at IS NOT NULL "
      "FROM names n LEFT JOIN users u ON n.kind = 'user' AND u.user_id = n.id WHERE n.name = $1",
      {name});
  if (!rows) return failed(rows.error());
  if (rows->count() == 0) return fail(Exit::failed, name + ": changed meanwhile; try again");
  if (rows->text(0, 1) == "t") {
    return fail(Exit::failed, name + ": was used before, and a name is never given again");
  }
  if (rows->text(0, 0) != "user") {
    return fail(Exit::failed, name + ": is a room; users and rooms share their names");
  }
  if (rows->text(0, 2) == "t") return name + ": exists, disabled (parley user enable " + name + ")";
  return name + ": exists";
}

/// @return what to tell about it
Outcome<std::string> add_user(Database& database, const std::string& name) {
  const auto named = database.run(
      "WITH named AS (INSERT INTO names (name, kind, id) VALUES ($1, 'user', nextval('user_ids')) "
      "               ON CONFLICT (name) DO NOTHING RETURNING name, id) "
      "INSERT INTO users (user_id, name) SELECT id, name FROM named",
      {name});
  if (!named) return failed(named.error());
  if (named->touched() == 0) return explain_taken(database, name);
  return name + ": added";
}

Outcome<void> add_users(const Setup& setup, const Names& names) {
  if (auto good = check_names(names); !good) return good;
  auto database = open_database(setup);
  if (!database) return failed(database.error());
  std::string report;
  auto done = database->transact([&]() -> Outcome<void> {
    for (const auto& name : names) {
      const auto added = add_user(*database, name);
      if (!added) return failed(added.error());
      report += *added + '\n';
    }
    if (auto told = database->run("NOTIFY parley_users"); !told) return failed(told.error());
    return {};
  });
  if (done) std::cout << report;
  return done;
}

Outcome<void> list_users(const Setup& setup) {
  auto database = open_database(setup);
  if (!database) return failed(database.error());
  const auto rows = database->run(
      "SELECT u.name, CASE WHEN n.retired_at IS NOT NULL THEN 'erased' "
      "WHEN u.disabled_at IS NULL THEN 'active' ELSE 'disabled' END, "
      "to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') "
      "FROM users u JOIN names n ON n.name = u.name ORDER BY u.name");
  if (!rows) return failed(rows.error());
  for (int row = 0; row < rows->count(); ++row) {
    std::cout << rows->text(row, 0) << '\t' << rows->text(row, 1) << '\t' << rows->text(row, 2)
              << '\n';
  }
  return {};
}

enum class Access { disabled, enabled };

Outcome<void> set_access(const Setup& setup, const std::string& name, Access access) {
  auto database = open_database(setup);
  if (!database) return failed(database.error());
  const char* const sql =
      access == Access::disabled
          ? "UPDATE users SET disabled_at = COALESCE(disabled_at, now()) "
            "WHERE user_id = $1"
          : "UPDATE users u SET disabled_at = NULL WHERE user_id = $1 AND NOT EXISTS "
            "(SELECT FROM names n WHERE n.name = u.name AND n.retired_at IS NOT NULL)";
  auto done = database->transact([&]() -> Outcome<void> {
    const auto user = find_user(*database, name);
    if (!user) return failed(user.error());
    const auto updated = database->run(sql, {std::to_string(user->user_id.value)});
    if (!updated) return failed(updated.error());
    // Just now: find_user has still seen it.
    if (updated->touched() == 0) return fail(Exit::failed, name + " has erased the account");
    if (auto told = database->run("NOTIFY parley_users"); !told) return failed(told.error());
    return {};
  });
  if (done) std::cout << name << (access == Access::disabled ? ": disabled\n" : ": enabled\n");
  return done;
}

}  // namespace

void add_user_commands(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const user = app.add_subcommand("user", "Who may take part");
  user->require_subcommand(1);
  user->footer(
      "A name is for ever: it can be disabled, but neither changed nor given to somebody else.\n"
      "Examples:\n"
      "  parley user add alice bob backup-server\n"
      "  parley user disable bob     # connections end, tokens are refused");

  auto* const add = user->add_subcommand("add", "Add users, bots or devices; all of them or none");
  const auto names = std::make_shared<Names>();
  add->add_option("NAME", *names, "1 to 32 of a-z 0-9 _ -")->required();
  add->callback([&setup, &ending, names] { ending = add_users(setup, *names); });

  auto* const list =
      user->add_subcommand("list", "Names, states (active, disabled, erased) and days of adding");
  list->callback([&setup, &ending] { ending = list_users(setup); });

  const auto name = std::make_shared<std::string>();
  auto* const disable = user->add_subcommand("disable", "Refuse a user until enabled again");
  disable->add_option("NAME", *name)->required();
  disable->callback(
      [&setup, &ending, name] { ending = set_access(setup, *name, Access::disabled); });

  auto* const enable = user->add_subcommand("enable", "Let a disabled user in again");
  enable->add_option("NAME", *name)->required();
  enable->callback([&setup, &ending, name] { ending = set_access(setup, *name, Access::enabled); });
}

}  // namespace parley::cli
