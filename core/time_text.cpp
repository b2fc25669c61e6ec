// Times as text: declared in core/wire.hpp.
#include <algorithm>
#include <chrono>

#include "core/wire.hpp"

namespace parley {
namespace {

// What google.protobuf.Timestamp can say: the years 1 to 9999.
constexpr std::int64_t time_min_ms = -62'135'596'800'000;
constexpr std::int64_t time_max_ms = 253'402'300'799'999;

/// Writes `value` with exactly `digits` digits.
void append_digits(std::string& out, unsigned value, unsigned digits) {
  const std::size_t start = out.size();
  out.resize(start + digits);
  for (unsigned i = digits; i > 0; --i) {
    out[start + i - 1] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

std::string format_time(UnixMillis time) {
  using namespace std::chrono;
  const milliseconds since{std::clamp(time.value, time_min_ms, time_max_ms)};
  const auto day = floor<days>(since);
  const year_month_day date{sys_days{day}};
  const hh_mm_ss clock{since - day};
  std::string out;
  out.reserve(24);
  append_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_digits(out, static_cast<unsigned>(clock.hours().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(clock.minutes().count()), 2);
  out += ':';
  append_digits(out, static_cast<unsigned>(clock.seconds().count()), 2);
  out += '.';
  append_digits(out, static_cast<unsigned>(clock.subseconds().count()), 3);
  out += 'Z';
  return out;
}

}  // namespace parley
