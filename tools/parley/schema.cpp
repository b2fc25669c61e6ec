// parley migrate: bring the database to this program's schema.
#include <iostream>

#include "tools/parley/commands.hpp"
#include "worker/migrations.hpp"

namespace parley::cli {
namespace {

Outcome<void> run_migrate(const Setup& setup) {
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  auto database = Database::open(config->database.uri);
  if (!database) return failed(database.error());
  const auto applied = migrate(database->get());
  if (!applied) return fail(Exit::failed, applied.error());
  for (const auto& name : *applied) std::cout << "applied " << name << '\n';
  if (applied->empty()) std::cout << "nothing to do\n";
  return {};
}

}  // namespace

void add_migrate_command(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const command =
      app.add_subcommand("migrate", "Create the database's tables, or bring them up to date");
  command->footer(
      "Needs the right to create tables in the configured database. Safe to run again, and from "
      "two\n"
      "places at once. Stop the worker first when upgrading.");
  command->callback([&setup, &ending] { ending = run_migrate(setup); });
}

}  // namespace parley::cli
