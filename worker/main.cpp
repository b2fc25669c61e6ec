// parleyd: the worker. Reads its configuration, checks the database, takes the lanes, runs.

#include <libpq-fe.h>

#include <CLI/CLI.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "core/keyring.hpp"
#include "worker/config.hpp"
#include "worker/log.hpp"
#include "worker/migrations.hpp"
#include "worker/statements.hpp"
#include "worker/statements_search.hpp"
#include "worker/worker.hpp"

namespace {

using parley::Ending;
using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;

// All that a signal handler may touch.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
volatile std::sig_atomic_t stop_asked = 0;

/// Waits for the database: at a common start of the machine it may come later than we do.
Connection connect(const std::string& uri) {
  bool reported = false;
  // Else libpq waits for a host that does not answer as long as TCP does.
  const char* const keys[] = {"connect_timeout", "dbname", nullptr};
  const char* const values[] = {"2", uri.c_str(), nullptr};
  while (stop_asked == 0) {
    Connection connection{PQconnectdbParams(keys, values, 1), &PQfinish};
    if (PQstatus(connection.get()) == CONNECTION_OK) return connection;
    if (!reported) {
      parley::log::warn("event=database_waiting err={}",
                        parley::log::quoted(PQerrorMessage(connection.get())));
      reported = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
  }
  return {nullptr, &PQfinish};
}

/// Whether somebody listens there. A host that does not answer at all must not keep us from hearing
/// that we are to stop.
asio::error_code try_connect(const asio::ip::tcp::endpoint& where) {
  asio::io_context loop;
  asio::ip::tcp::socket socket{loop};
  asio::error_code error = asio::error::timed_out;
  socket.async_connect(where, [&error](const asio::error_code& outcome) { error = outcome; });
  loop.run_for(std::chrono::seconds{1});
  return error;
}

/// Waits until somebody listens where the broker should be.
bool wait_for_broker(const parley::BrokerConfig& broker) {
  bool reported = false;
  while (stop_asked == 0) {
    asio::io_context loop;
    asio::ip::tcp::resolver resolver{loop};
    asio::error_code error;
    for (const auto& address : resolver.resolve(broker.host, std::to_string(broker.port), error)) {
      error = try_connect(address.endpoint());
      if (!error) return true;
      if (stop_asked != 0) return false;
    }
    if (!reported) {
      parley::log::warn("event=broker_waiting host={} port={} err={}", broker.host, broker.port,
                        parley::log::quoted(error.message()));
      reported = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
  }
  return false;
}

parley::PgRows ask(const Connection& connection, const parley::PgQuery& query) {
  const auto types = query.params.types();
  const auto values = query.params.values();
  const auto lengths = query.params.lengths();
  const std::vector<int> formats(query.params.count(), 1);
  return parley::PgRows{PQexecParams(connection.get(), query.statement->sql,
                                     static_cast<int>(types.size()), types.data(), values.data(),
                                     lengths.data(), formats.data(), 1)};
}

/// Whether the database knows how to search.
bool check_search(const Connection& connection, const std::string& configuration) {
  const auto rows = ask(connection, parley::sql::has_search_configuration(configuration));
  if (rows.count() == 1 && parley::sql::has_search_configuration_of(rows)) return true;
  parley::log::error(
      "event=search_configuration configuration={} err={}", configuration,
      parley::log::quoted(rows.count() == 1 ? "the database has no such one: see \\dF in psql"
                                            : PQerrorMessage(connection.get())));
  return false;
}

std::optional<parley::sql::Claim> claim_lanes(const Connection& connection, std::uint32_t lanes) {
  const auto rows = ask(connection, parley::sql::claim_lanes(lanes));
  if (rows.count() != 1) {
    parley::log::error("event=claim_failed err={}",
                       parley::log::quoted(PQerrorMessage(connection.get())));
    return std::nullopt;
  }
  return parley::sql::claim_of(rows);
}

int run(const parley::Config& config) {
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGPIPE, SIG_IGN);
  // What could never work must not take the lanes away from a worker that does.
  if (const auto keys = parley::load_key_file(config.broker.key_file);
      !keys || keys->newest(true) == nullptr) {
    parley::log::error("event=no_service_key file={} err={}", config.broker.key_file,
                       parley::log::quoted(keys ? "no active service key: parley key new --service"
                                                : keys.error()));
    return static_cast<int>(Ending::failed);
  }
  if (!wait_for_broker(config.broker)) return static_cast<int>(Ending::stopped);
  std::optional<parley::sql::Claim> claim;
  {
    const auto connection = connect(config.database.uri);
    if (connection == nullptr) return static_cast<int>(Ending::stopped);
    if (const auto fits = parley::check_schema(connection.get()); !fits) {
      parley::log::error("event=schema err={}", parley::log::quoted(fits.error()));
      return static_cast<int>(Ending::failed);
    }
    if (!check_search(connection, config.search.configuration)) {
      return static_cast<int>(Ending::failed);
    }
    claim = claim_lanes(connection, config.database.lanes);
    if (!claim) return static_cast<int>(Ending::failed);
  }
  parley::log::info("event=started version={} epoch={} lanes={}", PARLEY_VERSION, claim->epoch,
                    config.database.lanes);
  parley::Worker worker{config, *claim};
  return static_cast<int>(worker.run());
}

int start(int argc, char** argv) {
  CLI::App app{
      "parleyd: stores, numbers, delivers and acknowledges what the broker's plugin took in."};
  std::string path;
  bool check = false;
  app.add_option("--config", path, "Configuration file (TOML)")
      ->required()
      ->envname("PARLEY_CONFIG");
  app.add_flag("--check-config", check, "Print what is in force and stop");
  app.set_version_flag("--version", PARLEY_VERSION);
  app.footer(
      "Exit codes: 0 stopped, 1 could not start, 3 another worker has taken over, 4 the broker's "
      "size limits are too small.");
  CLI11_PARSE(app, argc, argv);
  const auto config = parley::load_config(path);
  if (!config) {
    for (const auto& error : config.error()) std::cerr << error << '\n';
    return static_cast<int>(Ending::failed);
  }
  if (check) {
    std::cout << parley::render_config(*config);
    return 0;
  }
  if (!parley::log::start(parley::to_string(config->log.level)))
    return static_cast<int>(Ending::failed);
  return run(*config);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return start(argc, argv);
  } catch (const std::exception& error) {
    // Not through the logger: it is what may have failed.
    std::fprintf(stderr, "level=error event=failed err=\"%s\"\n", error.what());
    return static_cast<int>(Ending::failed);
  }
}
