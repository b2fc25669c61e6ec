#include "plugin/options.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>

#include "core/names.hpp"

namespace parley::plugin {
namespace {

using Address = std::array<unsigned char, sizeof(in6_addr)>;

std::optional<Address> parse_address(std::string_view text) {
  const std::string zero_ended{text};
  Address address{};
  if (inet_pton(AF_INET6, zero_ended.c_str(), address.data()) == 1) return address;
  in_addr four{};
  if (inet_pton(AF_INET, zero_ended.c_str(), &four) != 1) return std::nullopt;
  address = {};
  address[10] = 0xFF;
  address[11] = 0xFF;
  std::memcpy(address.data() + 12, &four, sizeof four);
  return address;
}

/// Sets one option from its text; what is wrong, or nothing.
using Setter = std::function<std::optional<std::string>(std::string_view)>;

template <class Number>
Setter number(Number& into, std::uint64_t least, std::uint64_t most) {
  return [&into, least, most](std::string_view text) -> std::optional<std::string> {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
      return "must be a number from " + std::to_string(least) + " to " + std::to_string(most);
    }
    into = static_cast<Number>(value);
    return std::nullopt;
  };
}

Setter text(std::string& into) {
  return [&into](std::string_view value) -> std::optional<std::string> {
    if (value.empty()) return "must not be empty";
    into = value;
    return std::nullopt;
  };
}

Setter prefix(std::string& into) {
  return [&into](std::string_view value) -> std::optional<std::string> {
    if (!is_prefix(value)) return "must be 1 to 32 of A-Z a-z 0-9 _ -";
    into = value;
    return std::nullopt;
  };
}

/// @param other  the choice beside `defer`
Setter choice(Foreign& into, Foreign other, std::string_view other_word) {
  return [&into, other, other_word](std::string_view value) -> std::optional<std::string> {
    if (value == "defer") {
      into = Foreign::defer;
    } else if (value == other_word) {
      into = other;
    } else {
      return "must be defer or " + std::string{other_word};
    }
    return std::nullopt;
  };
}

Setter addresses(std::vector<std::string>& into) {
  return [&into](std::string_view value) -> std::optional<std::string> {
    into.clear();
    while (true) {
      const std::size_t comma = value.find(',');
      std::string_view one = value.substr(0, comma);
      while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
      while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
      if (!parse_address(one)) return "must be IP addresses with commas between them";
      into.emplace_back(one);
      if (comma == std::string_view::npos) return std::nullopt;
      value.remove_prefix(comma + 1);
    }
  };
}

}  // namespace

Result<Options, std::vector<std::string>> parse_options(const std::vector<RawOption>& raw) {
  Options options;
  constexpr std::uint64_t mib = 1024 * 1024;
  const std::array<std::pair<std::string_view, Setter>, 13> known = {{
      {"prefix", prefix(options.prefix)},
      {"key_file", text(options.key_file)},
      {"state_dir", text(options.state_dir)},
      {"spool_mib", number(options.spool_mib, 1, 65'536)},
      {"foreign_auth", choice(options.foreign_auth, Foreign::allow, "allow")},
      {"foreign_acl", choice(options.foreign_acl, Foreign::allow, "allow")},
      {"user_foreign_acl", choice(options.user_foreign_acl, Foreign::deny, "deny")},
      {"service_addresses", addresses(options.service_addresses)},
      {"text_bytes_max", number(options.limits.text_bytes_max, 1, 16 * mib)},
      {"payload_bytes_max", number(options.limits.payload_bytes_max, 1, 16 * mib)},
      {"publishes_per_s", number(options.limits.publishes_per_s, 1, 1'000'000)},
      {"publish_burst", number(options.limits.publish_burst, 1, 10'000'000)},
      {"typing_per_s", number(options.limits.typing_per_s, 1, 1'000'000)},
  }};
  std::vector<std::string> wrong;
  for (const auto& [key, value] : raw) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [key = key](const auto& one) { return one.first == key; });
    const auto complaint =
        found == known.end() ? std::optional<std::string>{"is not known"} : found->second(value);
    if (complaint) wrong.push_back("plugin_opt_" + std::string{key} + " " + *complaint);
  }
  if (options.key_file.empty()) wrong.emplace_back("plugin_opt_key_file is required");
  if (options.state_dir.empty()) wrong.emplace_back("plugin_opt_state_dir is required");
  if (!wrong.empty()) return failed(std::move(wrong));
  return options;
}

bool is_service_address(const Options& options, std::string_view address) {
  const auto from = parse_address(address);
  if (!from) return false;
  return std::any_of(options.service_addresses.begin(), options.service_addresses.end(),
                     [&](const std::string& one) { return parse_address(one) == from; });
}

}  // namespace parley::plugin
