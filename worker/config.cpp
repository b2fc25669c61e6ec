#include "worker/config.hpp"

#include <libpq-fe.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "core/link.hpp"
#include "core/names.hpp"

namespace parley {
namespace {

/// The start-up handshake proves that the broker carries frames of `link::probe_bytes`; a payload
/// must fit into one together with what surrounds it.
constexpr std::size_t payload_bytes_ceiling = 256 * 1024;
static_assert(payload_bytes_ceiling < link::probe_bytes);

constexpr std::array<std::pair<LogLevel, std::string_view>, 4> log_levels{{
    {LogLevel::debug, "debug"},
    {LogLevel::info, "info"},
    {LogLevel::warn, "warn"},
    {LogLevel::error, "error"},
}};

/// Every key there is, once: `Fields` reads them from a file or writes them into one.
template <class Fields>
void for_each_field(Fields& fields, Config& c) {
  fields.section("broker");
  fields.text("host", c.broker.host);
  fields.number("port", c.broker.port, 1, 65'535);
  fields.text("prefix", c.broker.prefix);
  fields.path("key_file", c.broker.key_file);
  fields.section("database");
  fields.uri("uri", c.database.uri);
  fields.number("lanes", c.database.lanes, 1, 64);
  fields.section("limits");
  fields.number("text_bytes_max", c.limits.text_bytes_max, 1, payload_bytes_ceiling);
  fields.number("payload_bytes_max", c.limits.payload_bytes_max, 1, payload_bytes_ceiling);
  fields.number("attachments_max", c.limits.attachments_max, 0, 10'000);
  fields.number("mentions_max", c.limits.mentions_max, 0, 10'000);
  fields.number("room_members_max", c.limits.room_members_max, 1, 10'000'000);
  fields.number("publishes_per_s", c.limits.publishes_per_s, 1, 1'000'000);
  fields.number("publish_burst", c.limits.publish_burst, 1, 10'000'000);
  fields.number("typing_per_s", c.limits.typing_per_s, 1, 1'000'000);
  fields.number("sync_messages_max", c.limits.sync_messages_max, 1, 1'000'000);
  fields.section("delivery");
  fields.number("request_timeout_ms", c.delivery.request_timeout_ms, 100, 600'000);
  fields.number("redeliver_after_ms", c.delivery.redeliver_after_ms, 100, 3'600'000);
  fields.number("redeliver_max", c.delivery.redeliver_max, 0, 1'000);
  fields.number("unconfirmed_max", c.delivery.unconfirmed_max, 10, 30'000);
  fields.number("paced_per_s", c.delivery.paced_per_s, 10, 1'000'000);
  fields.section("presence");
  fields.number("grace_ms", c.presence.grace_ms, 0, 3'600'000);
  fields.section("search");
  fields.text("configuration", c.search.configuration);
  fields.section("retention");
  fields.number("days", c.retention.days, 0, 36'500);
  fields.section("link");
  fields.number("credit_records", c.link.credit_records, 1, 1'000'000);
  fields.number("credit_bytes", c.link.credit_bytes, link::probe_bytes, 1024UL * 1024 * 1024);
  fields.section("log");
  fields.level("level", c.log.level);
  fields.section("info");
  fields.texts("endpoints", c.info.endpoints);
}

class Reading {
 public:
  Reading(const toml::table& root, const std::string& path) : root_{root}, path_{path} {}

  void section(std::string_view name) {
    section_ = name;
    table_ = nullptr;
    known_.insert(section_);
    const toml::node* node = root_.get(name);
    if (node == nullptr) return;
    table_ = node->as_table();
    if (table_ == nullptr) fail(node, section_ + " is a section: write [" + section_ + "]");
  }

  void text(std::string_view key, std::string& into) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* value = node->as_string();
    if (value == nullptr) return fail(node, full(key) + " must be a text in quotes");
    if (value->get().empty()) return fail(node, full(key) + " must not be empty");
    if (value->get().find('\0') != std::string::npos) {
      return fail(node, full(key) + " must not contain NUL");
    }
    into = value->get();
  }

  template <class Number>
  void number(std::string_view key, Number& into, std::size_t min, std::size_t max) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* value = node->as_integer();
    const bool fits = value != nullptr && std::cmp_greater_equal(value->get(), min) &&
                      std::cmp_less_equal(value->get(), max);
    if (!fits) {
      return fail(node, full(key) + " must be a whole number from " + std::to_string(min) + " to " +
                            std::to_string(max));
    }
    into = static_cast<Number>(value->get());
  }

  void path(std::string_view key, std::string& into) {
    if (find(key) == nullptr) return fail(nullptr, full(key) + " is missing");
    text(key, into);
    if (into.empty()) return;
    const auto folder = std::filesystem::path{path_}.parent_path();
    into = (folder / into).lexically_normal().string();
  }

  void uri(std::string_view key, std::string& into) {
    if (find(key) == nullptr) return fail(nullptr, full(key) + " is missing");
    text(key, into);
    if (into.empty()) return;
    // libpq's own words may quote the password, so they are not passed on.
    auto* const options = PQconninfoParse(into.c_str(), nullptr);
    if (options == nullptr) {
      fail(find(key), full(key) +
                          " is no libpq URI, such as postgresql://parley@db.example/parley (see "
                          "\"Connection Strings\" in PostgreSQL's manual)");
    }
    PQconninfoFree(options);
  }

  void level(std::string_view key, LogLevel& into) {
    std::string word{to_string(into)};
    text(key, word);
    const auto* const level = std::find_if(log_levels.begin(), log_levels.end(),
                                           [&](const auto& known) { return known.second == word; });
    if (level == log_levels.end()) {
      return fail(find(key), full(key) + " must be debug, info, warn or error");
    }
    into = level->first;
  }

  void texts(std::string_view key, std::vector<std::string>& into) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* array = node->as_array();
    if (array == nullptr) return fail(node, full(key) + " must be a list of texts");
    for (const toml::node& item : *array) {
      const auto* value = item.as_string();
      if (value == nullptr) return fail(&item, full(key) + " must be a list of texts");
      into.push_back(value->get());
    }
  }

  /// Call last: what no call above has asked for is an error.
  void find_unknown() {
    for (const auto& [key, node] : root_) {
      const std::string name{key.str()};
      if (!known_.contains(name)) {
        fail(&node, "unknown key " + name);
        continue;
      }
      if (!node.is_table()) continue;
      for (const auto& [inner, value] : *node.as_table()) {
        const std::string full_name = name + "." + std::string{inner.str()};
        if (!known_.contains(full_name)) fail(&value, "unknown key " + full_name);
      }
    }
  }

  void fail(const toml::node* where, const std::string& what) {
    std::string place = path_;
    if (where != nullptr) place.append(":").append(std::to_string(where->source().begin.line));
    errors_.push_back(place + ": " + what);
  }

  std::vector<std::string> take_errors() { return std::move(errors_); }

 private:
  [[nodiscard]] std::string full(std::string_view key) const {
    return section_ + "." + std::string{key};
  }
  const toml::node* find(std::string_view key) {
    known_.insert(full(key));
    return table_ == nullptr ? nullptr : table_->get(key);
  }

  const toml::table& root_;
  const std::string& path_;
  std::string section_;
  const toml::table* table_ = nullptr;
  std::set<std::string> known_;
  std::vector<std::string> errors_;
};

bool is_configuration_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

/// What one key alone cannot show.
void check_together(const Config& config, Reading& reading) {
  if (!is_prefix(config.broker.prefix)) {
    reading.fail(nullptr, "broker.prefix must be 1 to 32 of A-Z a-z 0-9 _ -");
  }
  if (!is_configuration_name(config.search.configuration)) {
    reading.fail(nullptr,
                 "search.configuration must be 1 to 63 of a-z 0-9 _, e.g. simple or german");
  }
  if (config.retention.days != 0 && config.retention.days < 8) {
    reading.fail(nullptr,
                 "retention.days must be 0 or at least 8: repeats are recognised by what is kept");
  }
  if (config.limits.text_bytes_max > config.limits.payload_bytes_max) {
    reading.fail(nullptr, "limits.text_bytes_max must not be above limits.payload_bytes_max");
  }
}

std::string quoted(std::string_view text) {
  std::ostringstream out;
  const toml::value<std::string> value{std::string{text}};
  out << toml::toml_formatter{value, toml::format_flags::none};
  return out.str();
}

/// The same connection in keyword form without its secrets; as it is if it has none.
std::string masked(const std::string& uri) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options{
      PQconninfoParse(uri.c_str(), nullptr), &PQconninfoFree};
  if (!options) return "(not readable)";
  std::string text;
  bool any_secret = false;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword = option->keyword;
    const bool secret = keyword.find("password") != std::string_view::npos && keyword != "passfile";
    any_secret = any_secret || secret;
    if (!text.empty()) text += ' ';
    text += std::string{keyword} + "=" + (secret ? "***" : option->val);
  }
  return any_secret ? text : uri;
}

class Writing {
 public:
  void section(std::string_view name) { out_ << (out_.tellp() > 0 ? "\n[" : "[") << name << "]\n"; }
  void text(std::string_view key, const std::string& value) { line(key) << quoted(value) << '\n'; }
  void number(std::string_view key, std::size_t value, std::size_t, std::size_t) {
    line(key) << value << '\n';
  }
  void path(std::string_view key, const std::string& value) { text(key, value); }
  void uri(std::string_view key, const std::string& value) { text(key, masked(value)); }
  void level(std::string_view key, LogLevel value) {
    line(key) << quoted(to_string(value)) << '\n';
  }
  void texts(std::string_view key, const std::vector<std::string>& values) {
    line(key) << '[';
    for (std::size_t i = 0; i < values.size(); ++i)
      out_ << (i > 0 ? ", " : "") << quoted(values[i]);
    out_ << "]\n";
  }
  [[nodiscard]] std::string str() const { return out_.str(); }

 private:
  std::ostream& line(std::string_view key) { return out_ << key << " = "; }
  std::ostringstream out_;
};

}  // namespace

std::string_view to_string(LogLevel level) {
  for (const auto& [known, word] : log_levels) {
    if (known == level) return word;
  }
  return "info";
}

Result<Config, std::vector<std::string>> parse_config(std::string_view text,
                                                      const std::string& path) {
  toml::table root;
  try {
    root = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    const auto line = std::to_string(error.source().begin.line);
    return failed(
        std::vector<std::string>{path + ":" + line + ": " + std::string{error.description()}});
  }
  Config config;
  Reading reading{root, path};
  for_each_field(reading, config);
  reading.find_unknown();
  check_together(config, reading);
  auto errors = reading.take_errors();
  if (!errors.empty()) return failed(std::move(errors));
  return config;
}

Result<Config, std::vector<std::string>> load_config(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return failed(std::vector<std::string>{path + ": is a folder, not a configuration file"});
  }
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) {
    const std::string why = std::generic_category().message(errno == 0 ? EIO : errno);
    return failed(std::vector<std::string>{path + ": cannot be read: " + why +
                                           " (config/parley.toml is an example of one)"});
  }
  return parse_config(text.str(), path);
}

std::string render_config(const Config& config) {
  Writing writing;
  Config copy = config;
  for_each_field(writing, copy);
  return writing.str();
}

}  // namespace parley
