#include "tools/parley/database.hpp"

#include <array>
#include <charconv>
#include <string_view>

#include "worker/migrations.hpp"

namespace parley::cli {
namespace {

std::int64_t parse_integer(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::int64_t Rows::integer(int row, int column) const {
  return parse_integer(PQgetvalue(result_.get(), row, column));
}

std::int64_t Rows::touched() const { return parse_integer(PQcmdTuples(result_.get())); }

Outcome<Database> Database::open(const std::string& uri) {
  // What stands later in these lists overrides what stands before, so the URI may set its own.
  const std::array<const char*, 4> keywords{"connect_timeout", "application_name", "dbname",
                                            nullptr};
  const std::array<const char*, 4> values{"10", "parley", uri.c_str(), nullptr};
  Database database{PQconnectdbParams(keywords.data(), values.data(), 1)};
  if (PQstatus(database.get()) != CONNECTION_OK) {
    return fail(Exit::unreachable, "the database cannot be reached: " + database.error() +
                                       " (database.uri in the configuration says where it is)");
  }
  return database;
}

Outcome<Database> Database::open_migrated(const std::string& uri) {
  auto database = open(uri);
  if (!database) return database;
  if (auto fits = check_schema(database->get()); !fits) return fail(Exit::failed, fits.error());
  return database;
}

Outcome<Rows> Database::run(const char* sql, const Params& params) {
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const auto& param : params) values.push_back(param ? param->c_str() : nullptr);
  Rows rows{PQexecParams(connection_.get(), sql, static_cast<int>(values.size()), nullptr,
                         values.data(), nullptr, nullptr, 0)};
  const auto status = PQresultStatus(rows.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    const bool lost = PQstatus(connection_.get()) != CONNECTION_OK;
    return fail(lost ? Exit::unreachable : Exit::failed, "the database says: " + error());
  }
  return rows;
}

Outcome<void> Database::transact(const std::function<Outcome<void>()>& work) {
  if (auto begun = run("BEGIN"); !begun) return failed(begun.error());
  if (auto done = work(); !done) {
    (void)run("ROLLBACK");  // the connection may be gone; the first error is what counts
    return done;
  }
  if (auto committed = run("COMMIT"); !committed) return failed(committed.error());
  return {};
}

std::string Database::error() const {
  std::string text = PQerrorMessage(connection_.get());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace parley::cli
