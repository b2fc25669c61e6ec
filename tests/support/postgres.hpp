// A private PostgreSQL, one per test process, and one fresh database per test.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace parley::test {

using Row = std::vector<std::string>;

/// One connection. Errors are thrown.
class Database {
 public:
  explicit Database(const std::string& uri);
  /// @param values  $1, $2 …
  std::vector<Row> query(const std::string& sql, const std::vector<std::string>& values = {});
  /// The first value of the first row. @throw std::runtime_error if there is none
  std::string value(const std::string& sql, const std::vector<std::string>& values = {});
  std::int64_t number(const std::string& sql, const std::vector<std::string>& values = {});

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  std::string uri_;
  std::unique_ptr<PGconn, Finish> connection_;
};

struct PostgresOptions {
  std::vector<std::string> settings{};                             // "shared_buffers=64MB"
  std::vector<std::pair<std::string, std::string>> environment{};  // of the server
  std::string folder{};  // an existing empty one for the data; empty: a temporary one
};

/// The cluster: on a unix socket only, fsync on.
class Postgres {
 public:
  /// The one of this process, running.
  static Postgres& shared();
  /// One of one's own, running: for tests that would disturb the others. Takes a few seconds.
  explicit Postgres(PostgresOptions options = {});
  Postgres(const Postgres&) = delete;
  Postgres& operator=(const Postgres&) = delete;
  ~Postgres() = default;

  void start();
  enum class Stop { fast, immediate };
  void stop(Stop how);
  /// SIGKILL of the whole server: postmaster, then the processes of its sessions.
  void kill();
  [[nodiscard]] bool running() { return server_.has_value() && server_->running(); }
  [[nodiscard]] Process& process() { return *server_; }
  [[nodiscard]] std::string log() const { return read_file(folder_.file("log")); }
  /// A signal to each of its processes.
  void signal_all(int number) const;

  /// A new database with Parley's schema, as `parley migrate` makes it.
  /// @return its libpq URI
  std::string create_database();
  /// Throws away what create_database made.
  void drop_database(const std::string& uri);
  /// A database without any tables.
  std::string create_empty_database();
  [[nodiscard]] std::string uri(const std::string& database) const;
  /// The same database through a proxy on this port, which leads to socket_path().
  [[nodiscard]] static std::string uri_through(std::uint16_t port, const std::string& uri);
  [[nodiscard]] std::string socket_path() const { return folder_.file(".s.PGSQL.5432"); }

 private:
  void initialise() const;
  [[nodiscard]] std::string data_folder() const;
  void migrate_template();
  Database& admin();

  const PostgresOptions options_;
  TemporaryFolder folder_;
  std::optional<Process> server_;
  std::unique_ptr<Database> admin_;
  bool template_ready_ = false;
  int databases_ = 0;
};

}  // namespace parley::test
