// The plugin's options, as they stand in the broker's configuration file (docs/operations.md).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/limits.hpp"
#include "core/result.hpp"

namespace parley::plugin {

/// What is answered for logins and topics that are not ours.
enum class Foreign {
  defer,  // the broker's other authorities decide
  allow,
  deny,
};

struct Options {
  std::string prefix = "im";
  std::string key_file;   // required
  std::string state_dir;  // required
  std::size_t spool_mib = 64;
  Foreign foreign_auth = Foreign::defer;     // defer, allow
  Foreign foreign_acl = Foreign::defer;      // defer, allow
  Foreign user_foreign_acl = Foreign::deny;  // deny, defer: our users outside our topics
  std::vector<std::string> service_addresses = {"127.0.0.1", "::1"};
  Limits limits;
};

using RawOption = std::pair<std::string_view, std::string_view>;  // without "plugin_opt_"

/// @return or everything that is wrong, one line each
Result<Options, std::vector<std::string>> parse_options(const std::vector<RawOption>& raw);

/// Whether a service may log in from there. An IPv4 address is the same when it is written as IPv6.
bool is_service_address(const Options& options, std::string_view address);

}  // namespace parley::plugin
