#include "worker/config.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace parley {
namespace {

const std::string required =
    "[broker]\nkey_file = \"keys\"\n[database]\nuri = \"postgresql:///parley\"\n";

/// Everything that is wrong with `text`, as one text.
std::string errors_of(const std::string& text) {
  const auto config = parse_config(text, "dir/parley.toml");
  if (config) return "";
  std::string all;
  for (const auto& error : config.error()) all += error + "\n";
  return all;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("config: what is required is enough, and the rest has defaults") {
  const auto config = parse_config(required, "dir/parley.toml");
  REQUIRE(config.has_value());
  CHECK(config->broker.host == "127.0.0.1");
  CHECK(config->broker.port == 1883);
  CHECK(config->broker.prefix == "im");
  CHECK(config->limits.text_bytes_max == Limits{}.text_bytes_max);
  CHECK(config->delivery.request_timeout_ms == 5'000);
  CHECK(config->log.level == LogLevel::info);
}

TEST_CASE("config: relative paths start from the file's folder") {
  CHECK(parse_config(required, "dir/parley.toml")->broker.key_file == "dir/keys");
  CHECK(parse_config(required, "parley.toml")->broker.key_file == "keys");
  CHECK(parse_config(required, "/etc/parley/parley.toml")->broker.key_file == "/etc/parley/keys");
  const std::string absolute =
      "[broker]\nkey_file = \"/x/keys\"\n[database]\nuri = \"postgresql:///parley\"\n";
  CHECK(parse_config(absolute, "/etc/parley/parley.toml")->broker.key_file == "/x/keys");
}

TEST_CASE("config: all errors come at once, each with its line") {
  const std::string errors = errors_of(
      "[broker]\nport = 70000\nprefix = \"a/b\"\n[database]\nlanes = 2.5\n[log]\nlevel = "
      "\"loud\"\n");
  CHECK(contains(errors, "dir/parley.toml:2: broker.port"));
  CHECK(contains(errors, "broker.prefix"));
  CHECK(contains(errors, "broker.key_file is missing"));
  CHECK(contains(errors, "database.uri is missing"));
  CHECK(contains(errors, "dir/parley.toml:5: database.lanes"));
  CHECK(contains(errors, "dir/parley.toml:7: log.level"));
}

TEST_CASE("config: unknown keys and sections are errors") {
  CHECK(contains(errors_of(required + "[brokr]\nport = 1\n"), "unknown key brokr"));
  CHECK(contains(errors_of(required + "[limits]\ntext_max = 1\n"), "unknown key limits.text_max"));
  CHECK(contains(errors_of("port = 1\n" + required), "unknown key port"));
}

TEST_CASE("config: numbers have bounds, inclusive") {
  struct Row {
    std::string line;
    bool good;
  };
  for (const Row& row :
       {Row{"text_bytes_max = 0", false}, Row{"text_bytes_max = 1", true},
        Row{"text_bytes_max = 262144", true}, Row{"text_bytes_max = 262145", false},
        Row{"text_bytes_max = -1", false}, Row{"text_bytes_max = \"1\"", false},
        Row{"publishes_per_s = 9223372036854775807", false}, Row{"attachments_max = 0", true}}) {
    CAPTURE(row.line);
    CHECK(errors_of(required + "[limits]\n" + row.line + "\n").empty() == row.good);
  }
}

TEST_CASE("config: limits that contradict each other are an error") {
  CHECK(
      contains(errors_of(required + "[limits]\ntext_bytes_max = 2000\npayload_bytes_max = 1000\n"),
               "must not be above"));
}

TEST_CASE("config: what is no TOML is told with its line") {
  CHECK(contains(errors_of("[broker]\nport = \n"), "dir/parley.toml:2:"));
}

TEST_CASE("config: a bad database URI is an error that does not repeat it") {
  const std::string errors =
      errors_of("[broker]\nkey_file = \"k\"\n[database]\nuri = \"postgresql://u:s3cret%@h/x\"\n");
  CHECK(contains(errors, "database.uri"));
  CHECK_FALSE(contains(errors, "s3cret"));
}

TEST_CASE("config: what is in force is shown without passwords") {
  for (const std::string uri : {"postgresql://u:s3cret@h/x", "host=h user=u password=s3cret",
                                "postgresql://h/x?sslpassword=s3cret"}) {
    CAPTURE(uri);
    Config config;
    config.database.uri = uri;
    config.broker.key_file = "/k";
    const std::string shown = render_config(config);
    CHECK_FALSE(contains(shown, "s3cret"));
    CHECK(contains(shown, "***"));
    CHECK(contains(shown, "host=h"));
  }
}

TEST_CASE("config: what is in force can be read again") {
  auto config = *parse_config(required, "/d/parley.toml");
  config.info.endpoints = {"mqtts://a:8883", "quote\"d"};
  config.limits.typing_per_s = 7;
  const std::string shown = render_config(config);
  const auto again = parse_config(shown, "/other/parley.toml");
  REQUIRE(again.has_value());
  CHECK(again->info.endpoints == config.info.endpoints);
  CHECK(again->limits.typing_per_s == 7);
  CHECK(render_config(*again) == shown);
}

TEST_CASE("config: the example file shows every key with its default") {
  const auto example = load_config(std::string{PARLEY_GOLDEN_DIR} + "/../../config/parley.toml");
  REQUIRE(example.has_value());
  Config defaults;
  defaults.broker.key_file = example->broker.key_file;
  defaults.database.uri = example->database.uri;
  CHECK(render_config(*example) == render_config(defaults));
}

TEST_CASE("config: a file that is not there says so") {
  const auto config = load_config("/nowhere/parley.toml");
  REQUIRE_FALSE(config.has_value());
  CHECK(contains(config.error().front(), "/nowhere/parley.toml"));
}

}  // namespace parley
