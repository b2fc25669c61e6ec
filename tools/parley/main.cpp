// parley: the command line of operators and of anybody who has a token.
#include <sodium.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>

#include "tools/parley/commands.hpp"

namespace parley::cli {
namespace {

constexpr const char* exit_codes =
    "Exit codes:\n"
    "  0 done   1 failed   2 wrong usage   3 refused by the server, or a token that is not good\n"
    "  4 no answer in time, outcome unknown   5 broker or database not reachable\n"
    "  6 the broker does not take the token\n"
    "Each command explains itself: parley send --help";

int code(Exit exit) { return static_cast<int>(exit); }

int report(const Failure& failure) {
  std::string text = failure.what;
  if (!failure.code.empty()) {
    std::cout << (failure.json.empty() ? "refused " + failure.code : failure.json) << '\n'
              << std::flush;
    text = failure.code + (text.empty() ? "" : ": " + text);
  }
  std::cerr << "parley: " << text << '\n';
  return code(failure.exit);
}

int run(int argc, char** argv) {
  if (sodium_init() < 0) {
    std::cerr << "parley: libsodium does not start\n";
    return code(Exit::failed);
  }
  CLI::App app{"Parley: a messenger inside Mosquitto, with PostgreSQL"};
  app.name("parley");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", std::string{"parley "} + PARLEY_VERSION);
  Setup setup = from_environment();
  Ending ending;
  app.add_option("--config", setup.config_path,
                 "Configuration file; default $PARLEY_CONFIG, else /etc/parley/parley.toml")
      ->type_name("FILE");
  add_send_command(app, setup, ending);
  add_tail_command(app, setup, ending);
  add_history_command(app, setup, ending);
  add_read_commands(app, setup, ending);
  add_who_command(app, setup, ending);
  add_user_commands(app, setup, ending);
  add_token_commands(app, setup, ending);
  add_room_commands(app, setup, ending);
  add_request_commands(app, setup, ending);
  add_key_commands(app, setup, ending);
  add_bench_command(app, setup, ending);
  add_migrate_command(app, setup, ending);
  add_completion_command(app, ending);
  app.footer(exit_codes);  // here, as a command takes over the footer that stands when it is added
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto unknown = app.remaining();
    if (app.get_subcommands().empty() && !unknown.empty()) {
      std::cerr << "parley: there is no command " << unknown.front() << "; see: parley --help\n";
      return code(Exit::usage);
    }
    return app.exit(error) == 0 ? code(Exit::done) : code(Exit::usage);
  }
  return ending ? code(Exit::done) : report(ending.error());
}

}  // namespace
}  // namespace parley::cli

int main(int argc, char** argv) {
  try {
    return parley::cli::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "parley: " << error.what() << '\n';
    return 1;
  }
}
