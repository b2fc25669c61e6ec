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

/// The cluster: on a unix socket only, fsync on.
class Postgres {
 public:
  /// The one of this process, running.
  static Postgres& shared();

  void start();
  enum class Stop { fast, immediate };
  void stop(Stop how);
  /// SIGKILL to each of its processes.
  void kill();
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

 private:
  Postgres();
  void initialise() const;
  void migrate_template();
  Database& admin();

  TemporaryFolder folder_;
  std::optional<Process> server_;
  std::unique_ptr<Database> admin_;
  bool template_ready_ = false;
  int databases_ = 0;
};

}  // namespace parley::test
