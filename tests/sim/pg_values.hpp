// The other side of worker/pg_values: reads parameters, makes rows.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/pg_link.hpp"

namespace parley::sim {

class Args {
 public:
  explicit Args(const PgQuery& query)
      : values_{query.params.values()}, lengths_{query.params.lengths()} {}

  [[nodiscard]] std::string_view bytes(std::size_t i) const {
    return {values_.at(i), static_cast<std::size_t>(lengths_.at(i))};
  }
  [[nodiscard]] std::string text(std::size_t i) const { return std::string{bytes(i)}; }
  [[nodiscard]] std::int64_t int8(std::size_t i) const { return big_endian(bytes(i)); }
  [[nodiscard]] std::vector<std::optional<std::string>> array(std::size_t i) const {
    std::vector<std::optional<std::string>> elements;
    std::string_view rest = bytes(i);
    const std::int64_t dimensions = big_endian(rest.substr(0, 4));
    if (dimensions == 0) return elements;
    const std::int64_t count = big_endian(rest.substr(12, 4));
    rest.remove_prefix(20);
    for (std::int64_t n = 0; n < count; ++n) {
      const auto length = static_cast<std::int32_t>(big_endian(rest.substr(0, 4)));
      rest.remove_prefix(4);
      if (length < 0) {
        elements.emplace_back(std::nullopt);
        continue;
      }
      elements.emplace_back(std::string{rest.substr(0, static_cast<std::size_t>(length))});
      rest.remove_prefix(static_cast<std::size_t>(length));
    }
    return elements;
  }
  [[nodiscard]] std::vector<std::string> texts(std::size_t i) const {
    std::vector<std::string> all;
    for (auto& element : array(i)) all.push_back(std::move(element).value_or(""));
    return all;
  }
  [[nodiscard]] std::vector<std::int64_t> int8s(std::size_t i) const {
    std::vector<std::int64_t> all;
    for (const auto& element : array(i)) all.push_back(big_endian(element.value_or("")));
    return all;
  }
  static std::int64_t big_endian(std::string_view value) {
    std::uint64_t bits = 0;
    for (const char byte : value) bits = (bits << 8U) | static_cast<unsigned char>(byte);
    return static_cast<std::int64_t>(bits);
  }

 private:
  std::vector<const char*> values_;
  std::vector<int> lengths_;
};

/// A result under construction.
class Rows {
 public:
  explicit Rows(int columns) : result_{PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK)} {
    std::vector<PGresAttDesc> columns_of(static_cast<std::size_t>(columns));
    std::string name = "c";
    for (auto& column : columns_of) {
      column = {};
      column.name = name.data();
      column.format = 1;
    }
    PQsetResultAttrs(result_, columns, columns_of.data());
  }
  Rows& row() {
    ++row_;
    column_ = 0;
    return *this;
  }
  Rows& int8(std::int64_t value) {
    std::string bytes(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) {
      bytes[i] = static_cast<char>((static_cast<std::uint64_t>(value) >> (56 - 8 * i)) & 0xFFU);
    }
    return text(bytes);
  }
  Rows& boolean(bool value) { return text(std::string(1, value ? '\1' : '\0')); }
  Rows& text(std::string value) {
    PQsetvalue(result_, row_, column_++, value.data(), static_cast<int>(value.size()));
    return *this;
  }
  Rows& null() {
    PQsetvalue(result_, row_, column_++, nullptr, -1);
    return *this;
  }
  PgRows done() { return PgRows{result_}; }

 private:
  PGresult* result_;
  int row_ = -1;
  int column_ = 0;
};

}  // namespace parley::sim
