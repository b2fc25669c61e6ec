// What operators write: the worker's configuration file, and the plugin's options.

#include "worker/config.hpp"

#include <vector>

#include "plugin/options.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

void check_config(std::string_view text) {
  const auto config = parse_config(text, "/etc/parley/parley.toml");
  if (!config) {
    require(!config.error().empty(), "what is wrong is said");
    for (const auto& line : config.error()) require(!line.empty(), "in words");
    return;
  }
  const auto shown = render_config(*config);
  const auto again = parse_config(shown, "/etc/parley/parley.toml");
  require(again.has_value(), "what is shown as in force is a configuration");
  require(render_config(*again) == shown, "and the same one");
}

void check_options(fuzz::Input& input) {
  std::vector<std::pair<std::string_view, std::string_view>> raw;
  while (!input.empty()) {
    const auto line = input.line();
    const auto space = line.find(' ');
    raw.emplace_back(line.substr(0, space),
                     space == std::string_view::npos ? "" : line.substr(space + 1));
  }
  const auto options = plugin::parse_options(raw);
  if (!options) {
    require(!options.error().empty(), "what is wrong is said");
    return;
  }
  require(!options->key_file.empty() && !options->state_dir.empty(), "what is required is there");
  require(options->spool_mib >= 1 && options->limits.text_bytes_max >= 1, "limits are in bounds");
  for (const auto& address : options->service_addresses) {
    require(plugin::is_service_address(*options, address), "an address that is listed may log in");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  if (input.byte() % 2 == 0) {
    check_config(input.rest());
  } else {
    check_options(input);
  }
  return 0;
}
