#include "tests/support/postgres.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "tests/support/worker.hpp"

namespace parley::test {

namespace {

constexpr const char* server_user = "postgres";
constexpr const char* template_name = "parley_template";

/// Where Debian keeps what is not in PATH.
std::string server_program(const std::string& name) {
  for (const char* folder : {"/usr/lib/postgresql/15/bin/", "/usr/local/bin/", "/usr/bin/"}) {
    if (::access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return name;
}

}  // namespace

Database::Database(const std::string& uri) : uri_{uri}, connection_{PQconnectdb(uri.c_str())} {
  if (PQstatus(connection_.get()) != CONNECTION_OK) {
    throw std::runtime_error(std::string("database: ") + PQerrorMessage(connection_.get()));
  }
  // A server that says goodbye is what many tests are about; it is no news for the terminal.
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
}

std::vector<Row> Database::query(const std::string& sql, const std::vector<std::string>& values) {
  std::vector<const char*> arguments;
  for (const std::string& value : values) arguments.push_back(value.c_str());
  const auto execute = [&] {
    return std::unique_ptr<PGresult, void (*)(PGresult*)>{
        PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                     arguments.data(), nullptr, nullptr, 0),
        &PQclear};
  };
  auto result = execute();
  const auto connection_lost = [&] {
    const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    return *PQresultErrorMessage(result.get()) != 0 &&
           (state == nullptr || std::string_view{state}.starts_with("57P"));
  };
  if (connection_lost() || PQstatus(connection_.get()) != CONNECTION_OK) {
    PQreset(connection_.get());  // the server was restarted meanwhile
    result = execute();
  }
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw std::runtime_error(sql + ": " + PQerrorMessage(connection_.get()));
  }
  std::vector<Row> rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    Row& cells = rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      cells.emplace_back(PQgetvalue(result.get(), row, column),
                         static_cast<std::size_t>(PQgetlength(result.get(), row, column)));
    }
  }
  return rows;
}

std::string Database::value(const std::string& sql, const std::vector<std::string>& values) {
  const auto rows = query(sql, values);
  if (rows.empty()) throw std::runtime_error("no row: " + sql);
  return rows[0].at(0);
}

std::int64_t Database::number(const std::string& sql, const std::vector<std::string>& values) {
  return std::stoll(value(sql, values));
}

Postgres& Postgres::shared() {
  static Postgres postgres;
  return postgres;
}

Postgres::Postgres(PostgresOptions options) : options_{std::move(options)} {
  initialise();
  start();
}

std::string Postgres::data_folder() const {
  return options_.folder.empty() ? folder_.file("data") : options_.folder;
}

void Postgres::initialise() const {
  if (::getuid() == 0) {
    const passwd* user = ::getpwnam(server_user);
    if (user == nullptr) throw std::runtime_error("no user postgres to run the server");
    for (const std::string& folder : {folder_.path(), options_.folder}) {
      if (!folder.empty() && ::chown(folder.c_str(), user->pw_uid, user->pw_gid) != 0) {
        throw std::runtime_error("chown " + folder);
      }
    }
  }
  const Ran ran =
      run(Command{.argv = {server_program("initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8",
                           "--locale=C.UTF-8", "--username=parley", "-D", data_folder()},
                  .env = options_.environment,
                  .as_user = server_user,
                  .folder = folder_.path()},
          {}, Deadline{slowed(Milliseconds{60'000})});
  if (ran.code != 0) throw std::runtime_error("initdb: " + ran.err);
}

void Postgres::start() {
  Command command{.argv = {server_program("postgres"), "-D", data_folder(), "-k", folder_.path(),
                           "-c", "listen_addresses=", "-c", "shared_buffers=64MB", "-c",
                           "max_connections=60", "-c", "log_min_messages=warning", "-c",
                           "timezone=UTC", "-c", "min_wal_size=64MB", "-c", "max_wal_size=512MB"},
                  .env = options_.environment,
                  .log_path = folder_.file("log"),
                  .as_user = server_user,
                  .folder = folder_.path(),
                  .death_signal = SIGQUIT};
  for (const std::string& setting : options_.settings) {
    command.argv.insert(command.argv.end(), {"-c", setting});
  }
  server_.emplace(command);
  eventually(
      "PostgreSQL answers",
      [&] {
        if (!server_->running()) {
          throw std::runtime_error("PostgreSQL ended: " + read_file(folder_.file("log")));
        }
        return PQping(uri("postgres").c_str()) == PQPING_OK;
      },
      Deadline{slowed(Milliseconds{30'000})});
}

void Postgres::stop(Stop how) {
  admin_.reset();
  server_->signal(how == Stop::fast ? SIGINT : SIGQUIT);
  if (!server_->wait()) throw std::runtime_error("PostgreSQL does not stop");
  server_.reset();
}

void Postgres::signal_all(int number) const {
  // The server's children are in process groups of their own. The parent goes first: it starts no
  // others then.
  server_->signal(number);
  for (const pid_t child : children_of(server_->pid())) ::kill(child, number);
}

void Postgres::kill() {
  admin_.reset();
  // Its processes have sessions of their own; they would end by themselves, but not at once, and
  // until then no other server may begin. Stopped first, so that it starts no others.
  server_->signal(SIGSTOP);
  const std::vector<pid_t> children = children_of(server_->pid());
  server_->kill();
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    eventually("a process of PostgreSQL is gone",
               [&] { return ::kill(child, 0) != 0 && errno == ESRCH; });
  }
  server_.reset();
}

std::string Postgres::uri_through(std::uint16_t port, const std::string& uri) {
  return with_number("postgresql://parley@127.0.0.1:", port) + uri.substr(uri.rfind('/'));
}

std::string Postgres::uri(const std::string& database) const {
  std::string host;
  for (const char c : folder_.path()) host += c == '/' ? "%2F" : std::string(1, c);
  return "postgresql://parley@" + host + "/" + database;
}

Database& Postgres::admin() {
  if (!admin_) admin_ = std::make_unique<Database>(uri("postgres"));
  return *admin_;
}

void Postgres::migrate_template() {
  if (template_ready_) return;
  admin().query(std::string("CREATE DATABASE ") + template_name);
  const TemporaryFolder folder;
  write_file(folder.file("parley.toml"),
             "[broker]\nkey_file = \"keys\"\n[database]\nuri = \"" + uri(template_name) + "\"\n");
  const Ran ran = run(Command{.argv = {cli_program(), "migrate"},
                              .env = {{"PARLEY_CONFIG", folder.file("parley.toml")}}});
  if (ran.code != 0) throw std::runtime_error("parley migrate: " + ran.out + ran.err);
  template_ready_ = true;
}

std::string Postgres::create_database() {
  if (!server_) start();  // a test that stopped it has failed before it could start it again
  migrate_template();
  const std::string name = with_number("parley_", ++databases_);
  admin().query("CREATE DATABASE " + name + " TEMPLATE " + template_name);
  return uri(name);
}

std::string Postgres::create_empty_database() {
  const std::string name = with_number("parley_", ++databases_);
  admin().query("CREATE DATABASE " + name);
  return uri(name);
}

void Postgres::drop_database(const std::string& uri) {
  admin().query("DROP DATABASE " + uri.substr(uri.rfind('/') + 1) + " WITH (FORCE)");
}

}  // namespace parley::test
