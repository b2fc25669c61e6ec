#include "core/names.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/code.hpp"

namespace parley {

TEST_CASE("names: what is a user's or room's name") {
  struct Row {
    std::string text;
    bool good;
  };
  for (const Row& row : {Row{"", false},
                         Row{"a", true},
                         Row{"0", true},
                         Row{"a_-9", true},
                         Row{"-a", false},
                         Row{"_a", false},
                         Row{"A", false},
                         Row{"aB", false},
                         Row{"a.b", false},
                         Row{"a@b", false},
                         Row{"a~b", false},
                         Row{"a/b", false},
                         Row{"a b", false},
                         Row{"a+", false},
                         Row{"#", false},
                         Row{"\xc3\xa4", false},
                         Row{std::string{"a\0b", 3}, false},
                         Row{"a\n", false},
                         Row{std::string(32, 'a'), true},
                         Row{std::string(33, 'a'), false}}) {
    CAPTURE(row.text);
    CHECK(is_name(row.text) == row.good);
  }
}

TEST_CASE("names: what is a service's name") {
  struct Row {
    std::string text;
    bool good;
  };
  for (const Row& row :
       {Row{"", false}, Row{"_", false}, Row{"_a", true}, Row{"__", true}, Row{"a", false},
        Row{"_A", false}, Row{"_a.b", false}, Row{"_" + std::string(31, 'a'), true},
        Row{"_" + std::string(32, 'a'), false}}) {
    CAPTURE(row.text);
    CHECK(is_service_name(row.text) == row.good);
    CHECK_FALSE((is_service_name(row.text) && is_name(row.text)));
  }
}

TEST_CASE("names: what is a device, a prefix and a request id") {
  struct Row {
    std::string text;
    bool device;
    bool prefix;
    bool request_id;
  };
  for (const Row& row :
       {Row{"", false, false, false}, Row{"-", true, true, false}, Row{"--", true, true, true},
        Row{"a", true, true, true}, Row{"Z_9-", true, true, true}, Row{".", false, false, true},
        Row{"a.b:c", false, false, true}, Row{"a/b", false, false, false},
        Row{"a+", false, false, false}, Row{"#", false, false, false},
        Row{"$x", false, false, false}, Row{"a b", false, false, false},
        Row{"\xc3\xa4", false, false, false}, Row{std::string{"a\0", 2}, false, false, false},
        Row{std::string(32, 'x'), true, true, true}, Row{std::string(33, 'x'), false, false, true},
        Row{std::string(64, 'x'), false, false, true},
        Row{std::string(65, 'x'), false, false, false}}) {
    CAPTURE(row.text);
    CHECK(is_device(row.text) == row.device);
    CHECK(is_prefix(row.text) == row.prefix);
    CHECK(is_request_id(row.text) == row.request_id);
  }
}

TEST_CASE("names: the client id of a named device") {
  const auto named = parse_device_client_id("alice.My_Phone-1");
  REQUIRE(named);
  CHECK(named->name == "alice");
  CHECK(named->device == "My_Phone-1");
  for (const std::string id : {"", ".", "alice", "alice.", ".phone", "alice.a.b", "Alice.phone",
                               "_parley.rx", "alice.ph one", "alice..", "alice.a/b"}) {
    CAPTURE(id);
    CHECK_FALSE(parse_device_client_id(id));
  }
}

TEST_CASE("code: words and values belong together") {
  for (int value = 1; value <= static_cast<int>(Code::unavailable); ++value) {
    const auto code = static_cast<Code>(value);
    CHECK_FALSE(to_string(code).empty());
    CHECK(code_from(to_string(code)) == code);
  }
  CHECK(to_string(Code::bad_token) == "BAD_TOKEN");
  CHECK(to_string(Code::id_conflict) == "ID_CONFLICT");
  CHECK(to_string(Code::unavailable) == "UNAVAILABLE");
  CHECK(static_cast<int>(Code::unavailable) == 20);
  for (const std::string_view word : {"", "busy", "BUSY ", "NOPE"}) CHECK_FALSE(code_from(word));
  CHECK(to_string(static_cast<Code>(0)).empty());
  CHECK(to_string(static_cast<Code>(21)).empty());
}

}  // namespace parley
