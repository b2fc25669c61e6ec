#include "core/request_wire.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/methods.hpp"

using namespace parley;

TEST_CASE("methods: each has a form of its own, and is found by its name") {
  for (const auto& method : methods()) {
    CAPTURE(method.name);
    CHECK(find_method(method.name) == &method);
    CHECK(method.scope != 0);
    if (method.name == "history") continue;  // core/wire.hpp has it
    CHECK(request_json(method.name, Format::json, "{}").has_value());
    CHECK(encode_result(Format::json, method.name, "", "{}").has_value());
  }
  CHECK(find_method("fly") == nullptr);
  CHECK_FALSE(request_json("fly", Format::json, "{}"));
}

TEST_CASE(
    "request_json: JSON and protobuf give the same; what is not there is told by optional fields "
    "alone") {
  const std::string expected = R"({"room":"ops","users":["bob"]})";
  CHECK(request_json("room.add", Format::json, R"({"users":["bob"],"room":"ops","more":1})") ==
        expected);
  CHECK(request_json("room.add", Format::pb,
                     "\x0a\x03ops\x12\x03"
                     "bob") == expected);
  CHECK(request_json("room.add", Format::json, "{}") == R"({"room":"","users":[]})");
  CHECK(request_json("room.set", Format::json, R"({"room":"ops","title":""})") ==
        R"({"room":"ops","title":""})");
  CHECK(request_json("me.get", Format::json, "") == "{}");
  CHECK(request_json("me.get", Format::pb, "") == "{}");
}

TEST_CASE("request_json: refuses what the database could not keep") {
  CHECK_FALSE(request_json("me.set", Format::json, R"({"about":"a\u0000b"})"));
  CHECK_FALSE(request_json("room.add", Format::json, R"({"users":["a\u0000b"]})"));
  CHECK_FALSE(request_json("room.add", Format::pb, std::string{"\x12\x01\x00", 3}));
  // A time of the year 300000.
  CHECK_FALSE(request_json("conv.mute", Format::pb, "\x12\x08\x08\x80\xea\x98\xd2\xc3\x93\x02"));
  CHECK_FALSE(request_json("conv.mute", Format::json, R"({"muted_until":"later"})"));
  CHECK(request_json("conv.mute", Format::json, R"({"muted_until":"2030-01-01T00:00:00Z"})") ==
        R"({"conv":"","muted_until":"2030-01-01T00:00:00.000Z"})");
  CHECK_FALSE(request_json("room.add", Format::json, "[]"));
  CHECK_FALSE(request_json("room.add", Format::json, "{"));
  CHECK_FALSE(request_json("room.add", Format::text, "ops"));
  CHECK_FALSE(request_json("room.add", Format::json, "\xff"));
}

TEST_CASE("encode_result: scalars and lists are always there, times have three decimals") {
  const std::string room =
      R"({"room":{"room":"ops","member_count":2,"created_time":"2026-11-21T23:01:02Z"}})";
  CHECK(encode_result(Format::json, "room.create", "r1", room) ==
        R"({"id":"r1","ok":true,"result":{"room":{"room":"ops","title":"","topic":"","history":"",)"
        R"("join":"","role":"","member_count":2,"created_time":"2026-11-21T23:01:02.000Z"}}})");
  CHECK(encode_result(Format::json, "room.list", "", "{}") ==
        R"({"id":"-","ok":true,"result":{"rooms":[]}})");
  CHECK(encode_result(Format::json, "room.leave", "", "{}") ==
        R"({"id":"-","ok":true,"result":{}})");
  const auto pb = encode_result(Format::pb, "room.create", "r1", room);
  REQUIRE(pb);
  CHECK(pb->find("ops") != std::string::npos);
  CHECK_FALSE(encode_result(Format::json, "room.list", "", R"({"rooms":3})"));
}

TEST_CASE("encode_event: has its conversation, its place and its time") {
  const Event event{"ops", 7, UnixMillis{1'795'302'062'120},
                    R"({"joined":{"user":"bob","by":"alice"}})"};
  CHECK(
      encode_event(Format::json, event) ==
      R"({"conv":"ops","rev":7,"time":"2026-11-21T23:01:02.120Z","joined":{"user":"bob","by":"alice"}})");
  CHECK(encode_event(Format::pb, event)->find("alice") != std::string::npos);
  CHECK(encode_event(Format::json, {"", 0, {}, R"({"invited":{"room":"ops","by":"bob"}})"})
            ->starts_with(R"({"conv":"-",)"));
  CHECK_FALSE(encode_event(Format::json, {"ops", 1, {}, "{}"}));
  CHECK_FALSE(encode_event(Format::json, {"ops", 1, {}, R"({"flown":{}})"}));
}
