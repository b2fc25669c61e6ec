// The command line's database connection: blocking, one statement after the other.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/parley/outcome.hpp"

namespace parley::cli {

/// The rows of one result.
class Rows {
 public:
  explicit Rows(PGresult* result) : result_{result, &PQclear} {}
  [[nodiscard]] int count() const { return PQntuples(result_.get()); }
  [[nodiscard]] bool is_null(int row, int column) const {
    return PQgetisnull(result_.get(), row, column) != 0;
  }
  [[nodiscard]] std::string text(int row, int column) const {
    return PQgetvalue(result_.get(), row, column);
  }
  [[nodiscard]] std::int64_t integer(int row, int column) const;
  /// How many rows an INSERT, UPDATE or DELETE touched.
  [[nodiscard]] std::int64_t touched() const;
  [[nodiscard]] const PGresult* get() const { return result_.get(); }

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

class Database {
 public:
  /// @param uri  libpq's
  static Outcome<Database> open(const std::string& uri);
  /// As `open`, and the schema is the one that this program knows.
  static Outcome<Database> open_migrated(const std::string& uri);

  using Params = std::vector<std::optional<std::string>>;
  Outcome<Rows> run(const char* sql, const Params& params = {});
  /// Commits if `work` succeeds, else rolls back.
  Outcome<void> transact(const std::function<Outcome<void>()>& work);

  [[nodiscard]] PGconn* get() const { return connection_.get(); }

 private:
  explicit Database(PGconn* connection) : connection_{connection, &PQfinish} {}
  [[nodiscard]] std::string error() const;

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

}  // namespace parley::cli
