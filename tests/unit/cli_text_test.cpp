#include <doctest/doctest.h>

#include "tools/parley/text.hpp"

namespace parley::cli {

TEST_CASE("cli_text: a span is a number and a unit, or never") {
  struct Row {
    std::string text;
    std::optional<std::int64_t> seconds;
  };
  for (const Row& row :
       {Row{"30d", 30 * 86'400}, Row{"12h", 43'200}, Row{"5m", 300}, Row{"90s", 90},
        Row{"never", 0}, Row{"0d", std::nullopt}, Row{"-1d", std::nullopt}, Row{"d", std::nullopt},
        Row{"", std::nullopt}, Row{"12", std::nullopt}, Row{"1.5h", std::nullopt},
        Row{"1w", std::nullopt}, Row{"99999999999999999d", std::nullopt},
        Row{"40000d", std::nullopt}}) {
    CAPTURE(row.text);
    CHECK(parse_span(row.text) == row.seconds);
  }
}

TEST_CASE("cli_text: times are in UTC") {
  CHECK(format_second(0) == "1970-01-01T00:00:00Z");
  CHECK(format_second(1'795'302'062) == "2026-11-21T23:01:02Z");
  CHECK(format_day(1'795'302'062) == "2026-11-21");
}

TEST_CASE("cli_text: a message cannot play with the terminal or pose as another one") {
  CHECK(for_terminal("plain \t text, ümläut, 日本") == "plain \t text, ümläut, 日本");
  CHECK(for_terminal("a\x1b[31mb\x07\r") == "a?[31mb??");
  CHECK(for_terminal("one\n[bob] two") == "one\n    [bob] two");
  CHECK(for_terminal("c1 \xC2\x9B"
                     "31m") == "c1 ?31m");
}

}  // namespace parley::cli
