#include "worker/pg_values.hpp"

#include <type_traits>

namespace parley {
namespace {

// From PostgreSQL's catalog (pg_type): fixed for ever.
constexpr Oid oid_bool = 16;
constexpr Oid oid_bytea = 17;
constexpr Oid oid_int8 = 20;
constexpr Oid oid_text = 25;
constexpr Oid oid_timestamptz = 1184;
constexpr Oid oid_bools = 1000;
constexpr Oid oid_byteas = 1001;
constexpr Oid oid_texts = 1009;
constexpr Oid oid_int8s = 1016;
constexpr Oid oid_timestamptzs = 1185;

constexpr std::int64_t pg_epoch_ms = 946'684'800'000;  // 2000-01-01, where timestamptz begins

template <class Integer>
void append_be(std::string& out, Integer value) {
  auto bits = static_cast<std::make_unsigned_t<Integer>>(value);
  for (int shift = (static_cast<int>(sizeof value) - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((bits >> static_cast<unsigned>(shift)) & 0xFFU));
  }
}

std::int64_t pg_micros(UnixMillis time) { return (time.value - pg_epoch_ms) * 1000; }

std::string array_header(Oid element, std::size_t count, bool has_null) {
  std::string out;
  append_be<std::int32_t>(out, count == 0 ? 0 : 1);  // dimensions
  append_be<std::int32_t>(out, has_null ? 1 : 0);
  append_be<std::int32_t>(out, static_cast<std::int32_t>(element));
  if (count > 0) {
    append_be<std::int32_t>(out, static_cast<std::int32_t>(count));
    append_be<std::int32_t>(out, 1);  // lower bound
  }
  return out;
}

void append_bytes(std::string& out, std::string_view bytes) {
  append_be<std::int32_t>(out, static_cast<std::int32_t>(bytes.size()));
  out.append(bytes);
}

void append_null(std::string& out) { append_be<std::int32_t>(out, -1); }

}  // namespace

PgArray::PgArray(Of what, std::size_t count) : type_{oid_int8s} {
  Oid element = oid_int8;
  switch (what) {
    case Of::int8:
      break;
    case Of::text:
      element = oid_text;
      type_ = oid_texts;
      break;
    case Of::bytea:
      element = oid_bytea;
      type_ = oid_byteas;
      break;
    case Of::time:
      element = oid_timestamptz;
      type_ = oid_timestamptzs;
      break;
  }
  bytes_ = array_header(element, count, true);
}

void PgArray::add(std::int64_t value) {
  append_be<std::int32_t>(bytes_, 8);
  append_be(bytes_, value);
}

void PgArray::add(std::string_view value) { append_bytes(bytes_, value); }

void PgArray::add(UnixMillis value) { add(pg_micros(value)); }

void PgArray::add_null() { append_null(bytes_); }

PgParams& PgParams::array(PgArray array) {
  params_.push_back({array.type_, std::move(array.bytes_)});
  return *this;
}

PgParams& PgParams::int8(std::int64_t value) {
  std::string bytes;
  append_be(bytes, value);
  params_.push_back({oid_int8, std::move(bytes)});
  return *this;
}

PgParams& PgParams::boolean(bool value) {
  params_.push_back({oid_bool, std::string(1, value ? '\1' : '\0')});
  return *this;
}

PgParams& PgParams::text(std::string_view value) {
  params_.push_back({oid_text, std::string{value}});
  return *this;
}

PgParams& PgParams::bytea(std::string_view value) {
  params_.push_back({oid_bytea, std::string{value}});
  return *this;
}

PgParams& PgParams::time(UnixMillis value) {
  std::string bytes;
  append_be(bytes, pg_micros(value));
  params_.push_back({oid_timestamptz, std::move(bytes)});
  return *this;
}

PgParams& PgParams::int8s(const std::vector<std::int64_t>& values) {
  PgArray elements{PgArray::Of::int8, values.size()};
  for (const auto value : values) elements.add(value);
  return array(std::move(elements));
}

PgParams& PgParams::booleans(const std::vector<bool>& values) {
  std::string bytes = array_header(oid_bool, values.size(), false);
  for (const bool value : values) {
    append_be<std::int32_t>(bytes, 1);
    bytes.push_back(value ? '\1' : '\0');
  }
  params_.push_back({oid_bools, std::move(bytes)});
  return *this;
}

PgParams& PgParams::texts(const std::vector<std::string>& values) {
  PgArray elements{PgArray::Of::text, values.size()};
  for (const auto& value : values) elements.add(value);
  return array(std::move(elements));
}

PgParams& PgParams::byteas(const std::vector<std::optional<std::string>>& values) {
  PgArray elements{PgArray::Of::bytea, values.size()};
  for (const auto& value : values) {
    if (value) {
      elements.add(*value);
    } else {
      elements.add_null();
    }
  }
  return array(std::move(elements));
}

PgParams& PgParams::times(const std::vector<std::optional<UnixMillis>>& values) {
  PgArray elements{PgArray::Of::time, values.size()};
  for (const auto& value : values) {
    if (value) {
      elements.add(*value);
    } else {
      elements.add_null();
    }
  }
  return array(std::move(elements));
}

std::vector<Oid> PgParams::types() const {
  std::vector<Oid> types;
  for (const auto& param : params_) types.push_back(param.type);
  return types;
}

std::vector<const char*> PgParams::values() const {
  std::vector<const char*> values;
  for (const auto& param : params_) values.push_back(param.bytes.data());
  return values;
}

std::vector<int> PgParams::lengths() const {
  std::vector<int> lengths;
  for (const auto& param : params_) lengths.push_back(static_cast<int>(param.bytes.size()));
  return lengths;
}

std::int64_t PgRows::integer(int row, int column) const {
  std::uint64_t bits = 0;
  const auto value = bytes(row, column);
  if (value.empty()) return 0;
  // Negative numbers of the narrower types are filled up with their sign.
  if ((static_cast<unsigned char>(value.front()) & 0x80U) != 0) bits = ~std::uint64_t{0};
  for (const char byte : value) bits = (bits << 8U) | static_cast<unsigned char>(byte);
  return static_cast<std::int64_t>(bits);
}

bool PgRows::boolean(int row, int column) const {
  const auto value = bytes(row, column);
  return !value.empty() && value.front() != '\0';
}

std::string_view PgRows::bytes(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

UnixMillis PgRows::time(int row, int column) const {
  if (is_null(row, column)) return {};
  const std::int64_t micros = integer(row, column);
  const std::int64_t millis = micros >= 0 ? micros / 1000 : -((-micros + 999) / 1000);
  return UnixMillis{millis + pg_epoch_ms};
}

}  // namespace parley
