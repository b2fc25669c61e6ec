#include "worker/migrations.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

namespace parley {
namespace {

using PgResult = std::unique_ptr<PGresult, decltype(&PQclear)>;

/// Held while migrating; any fixed number that nothing else in the database uses: "parley".
constexpr const char* lock_sql = "SELECT pg_advisory_lock(123563833845113)";
constexpr const char* unlock_sql = "SELECT pg_advisory_unlock(123563833845113)";
constexpr const char* create_table_sql =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "number int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, "
    "applied_at timestamptz NOT NULL DEFAULT now())";
constexpr const char* applied_sql =
    "SELECT number, name, sha256 FROM schema_migrations ORDER BY number";
constexpr const char* record_sql =
    "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)";

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
  std::array<char, 2 * crypto_hash_sha256_BYTES + 1> hex{};
  sodium_bin2hex(hex.data(), hex.size(), hash.data(), hash.size());
  return hex.data();
}

std::string error_of(PGconn* connection) {
  std::string text = PQerrorMessage(connection);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Result<PgResult, std::string> run(PGconn* connection, const char* sql) {
  PgResult result{PQexec(connection, sql), &PQclear};
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) return failed(error_of(connection));
  return result;
}

Result<void, std::string> record(PGconn* connection, const Migration& migration) {
  const std::string number = std::to_string(migration.number);
  const std::string hash = sha256_hex(migration.sql);
  const std::array<const char*, 3> values{number.c_str(), migration.name.c_str(), hash.c_str()};
  const PgResult result{PQexecParams(connection, record_sql, static_cast<int>(values.size()),
                                     nullptr, values.data(), nullptr, nullptr, 0),
                        &PQclear};
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return failed(error_of(connection));
  return {};
}

struct Applied {
  std::string number;
  std::string name;
  std::string sha256;
};

Result<std::vector<Applied>, std::string> read_applied(PGconn* connection) {
  const auto result = run(connection, applied_sql);
  if (!result) return failed(result.error());
  std::vector<Applied> applied;
  applied.reserve(static_cast<std::size_t>(PQntuples(result->get())));
  for (int row = 0; row < PQntuples(result->get()); ++row) {
    applied.push_back({PQgetvalue(result->get(), row, 0), PQgetvalue(result->get(), row, 1),
                       PQgetvalue(result->get(), row, 2)});
  }
  return applied;
}

/// That what was applied is the beginning of what this program carries.
Result<void, std::string> compare(const std::vector<Applied>& applied) {
  for (const Applied& there : applied) {
    const auto known = std::find_if(
        migrations().begin(), migrations().end(),
        [&](const Migration& ours) { return std::to_string(ours.number) == there.number; });
    if (known == migrations().end()) {
      return failed("the database is newer than this program: it has migration " + there.name +
                    ", this program knows " + std::to_string(migrations().size()) +
                    ". Install the newer version of Parley, or restore a backup from before it.");
    }
    if (sha256_hex(known->sql) != there.sha256) {
      return failed("migration " + there.name +
                    " was applied with another content than this program carries. Migrations never "
                    "change once released: use a released version of Parley, or another database.");
    }
  }
  return {};
}

bool is_applied(const std::vector<Applied>& applied, const Migration& migration) {
  return std::any_of(applied.begin(), applied.end(), [&](const Applied& there) {
    return there.number == std::to_string(migration.number);
  });
}

Result<void, std::string> apply(PGconn* connection, const Migration& migration) {
  const auto steps = [&]() -> Result<void, std::string> {
    if (auto begun = run(connection, "BEGIN"); !begun) return failed(begun.error());
    if (auto done = run(connection, migration.sql.c_str()); !done) return failed(done.error());
    if (auto recorded = record(connection, migration); !recorded) return recorded;
    if (auto committed = run(connection, "COMMIT"); !committed) return failed(committed.error());
    return {};
  };
  auto done = steps();
  if (done) return {};
  (void)run(connection, "ROLLBACK");  // the connection may be gone; the first error is what counts
  return failed("migration " + migration.name + ": " + done.error());
}

Result<std::vector<std::string>, std::string> migrate_locked(PGconn* connection) {
  if (auto created = run(connection, create_table_sql); !created) return failed(created.error());
  const auto applied = read_applied(connection);
  if (!applied) return failed(applied.error());
  if (auto same = compare(*applied); !same) return failed(same.error());
  std::vector<std::string> names;
  for (const Migration& migration : migrations()) {
    if (is_applied(*applied, migration)) continue;
    if (auto done = apply(connection, migration); !done) return failed(done.error());
    names.push_back(migration.name);
  }
  return names;
}

}  // namespace

Result<std::vector<std::string>, std::string> migrate(PGconn* connection) {
  // A notice for each "already exists, skipping" would read like an error.
  if (auto quiet = run(connection, "SET client_min_messages = warning"); !quiet) {
    return failed(quiet.error());
  }
  if (auto locked = run(connection, lock_sql); !locked) return failed(locked.error());
  auto applied = migrate_locked(connection);
  (void)run(connection, unlock_sql);  // a lost connection has released it
  return applied;
}

Result<void, std::string> check_schema(PGconn* connection) {
  const auto exists = run(connection, "SELECT to_regclass('schema_migrations') IS NOT NULL");
  if (!exists) return failed(exists.error());
  if (std::string_view{PQgetvalue(exists->get(), 0, 0)} != "t") {
    return failed(std::string{"the database has no schema yet; run: parley migrate"});
  }
  const auto applied = read_applied(connection);
  if (!applied) return failed(applied.error());
  if (auto same = compare(*applied); !same) return same;
  for (const Migration& migration : migrations()) {
    if (!is_applied(*applied, migration)) {
      return failed("the database lacks migration " + migration.name + "; run: parley migrate");
    }
  }
  return {};
}

}  // namespace parley
