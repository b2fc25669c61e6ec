// PostgreSQL's binary forms of the few types that we use, in both directions.
#pragma once

#include <libpq-fe.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"

namespace parley {

/// An array as a parameter, under construction.
class PgArray {
 public:
  enum class Of { int8, text, bytea, time };
  /// @param count  how many elements will be added
  PgArray(Of what, std::size_t count);
  void add(std::int64_t value);
  void add(std::string_view value);
  void add(UnixMillis value);
  void add_null();

 private:
  friend class PgParams;
  unsigned type_;
  std::string bytes_;
};

/// Parameters of one statement, in order, in binary form.
class PgParams {
 public:
  PgParams& int8(std::int64_t value);
  PgParams& boolean(bool value);
  PgParams& text(std::string_view value);
  PgParams& bytea(std::string_view value);
  PgParams& time(UnixMillis value);
  PgParams& int8s(const std::vector<std::int64_t>& values);
  PgParams& booleans(const std::vector<bool>& values);
  PgParams& texts(const std::vector<std::string>& values);
  PgParams& byteas(const std::vector<std::optional<std::string>>& values);
  /// Nothing stands for NULL.
  PgParams& times(const std::vector<std::optional<UnixMillis>>& values);
  PgParams& array(PgArray array);

  [[nodiscard]] std::size_t count() const { return params_.size(); }
  [[nodiscard]] std::vector<Oid> types() const;
  [[nodiscard]] std::vector<const char*> values() const;
  [[nodiscard]] std::vector<int> lengths() const;

 private:
  struct Param {
    Oid type;
    std::string bytes;
  };
  std::vector<Param> params_;
};

/// The rows of one result, in binary form. Columns are asked for in their order in the statement.
class PgRows {
 public:
  explicit PgRows(PGresult* result) : result_{result, &PQclear} {}
  [[nodiscard]] int count() const { return PQntuples(result_.get()); }
  [[nodiscard]] bool is_null(int row, int column) const {
    return PQgetisnull(result_.get(), row, column) != 0;
  }
  /// int2, int4 or int8; 0 if NULL.
  [[nodiscard]] std::int64_t integer(int row, int column) const;
  [[nodiscard]] bool boolean(int row, int column) const;
  /// text or bytea; empty if NULL. Good as long as these rows.
  [[nodiscard]] std::string_view bytes(int row, int column) const;
  [[nodiscard]] std::string text(int row, int column) const {
    return std::string{bytes(row, column)};
  }
  /// timestamptz, cut to milliseconds; 0 if NULL.
  [[nodiscard]] UnixMillis time(int row, int column) const;
  [[nodiscard]] std::uint32_t uint32(int row, int column) const {
    return static_cast<std::uint32_t>(integer(row, column));
  }

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

}  // namespace parley
