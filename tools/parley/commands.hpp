// The commands, by what they are about. Each adds its part of the command line; a chosen command
// puts its outcome into `ending`. Both references must live as long as `app`.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/parley/setup.hpp"

namespace parley::cli {

void add_key_commands(CLI::App& app, Setup& setup, Ending& ending);
void add_user_commands(CLI::App& app, Setup& setup, Ending& ending);
void add_token_commands(CLI::App& app, Setup& setup, Ending& ending);
void add_room_commands(CLI::App& app, Setup& setup, Ending& ending);
void add_bench_command(CLI::App& app, Setup& setup, Ending& ending);
void add_migrate_command(CLI::App& app, Setup& setup, Ending& ending);
void add_send_command(CLI::App& app, Setup& setup, Ending& ending);
void add_tail_command(CLI::App& app, Setup& setup, Ending& ending);
void add_history_command(CLI::App& app, Setup& setup, Ending& ending);
void add_read_commands(CLI::App& app, Setup& setup, Ending& ending);
void add_who_command(CLI::App& app, Setup& setup, Ending& ending);
/// What is one request each. Call after those above: `user`, `token` and `room` get more commands.
void add_request_commands(CLI::App& app, Setup& setup, Ending& ending);
/// Call last: what it completes are the commands that `app` has then.
void add_completion_command(CLI::App& app, Ending& ending);

}  // namespace parley::cli
