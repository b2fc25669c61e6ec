#include "core/send_message.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/token.hpp"
#include "core/utf8.hpp"

namespace parley {
namespace {

Limits small_limits() {
  Limits limits;
  limits.text_bytes_max = 10;
  limits.payload_bytes_max = 200;
  limits.attachments_max = 2;
  limits.mentions_max = 2;
  return limits;
}

link::InboundRecord record(std::string payload, std::vector<link::Property> properties = {}) {
  link::InboundRecord record;
  record.user = "alice";
  record.user_id = UserId{7};
  record.scope = scope::send;
  record.payload = std::move(payload);
  record.properties = std::move(properties);
  return record;
}

Result<SendMessage, Refused> text(std::string payload, std::vector<link::Property> properties = {},
                                  std::string_view id = "") {
  return admit_send(record(std::move(payload), std::move(properties)),
                    SendTopic{Format::text, "bob", id}, small_limits());
}

Result<SendMessage, Refused> json(std::string payload, std::vector<link::Property> properties = {},
                                  std::string_view id = "") {
  return admit_send(record(std::move(payload), std::move(properties)),
                    SendTopic{Format::json, "bob", id}, small_limits());
}

/// "ok", or the code and the id of the answer.
std::string outcome(const Result<SendMessage, Refused>& result) {
  if (result) return "ok " + result->id;
  CHECK(is_clean_text(result.error().detail));
  return std::string{to_string(result.error().code)} + " " + result.error().id;
}

}  // namespace

TEST_CASE("send_message: text is admitted word for word") {
  const auto sent = text("{\"hi\"}", {}, "id-1");
  REQUIRE(sent);
  CHECK(sent->to == "bob");
  CHECK(sent->id == "id-1");
  CHECK(sent->content == Content{"text", "{\"hi\"}", "", "", 0, {}, {}});
  CHECK(sent->ttl_s == 0);
  CHECK(sent->format == Format::text);
}

TEST_CASE("send_message: the id is the topic's, else the payload's, else the user property's") {
  const std::vector<link::Property> property = {{"x", "y"}, {"id", "prop"}, {"id", "second"}};
  CHECK(outcome(text("hi")) == "ok ");
  CHECK(outcome(text("hi", property)) == "ok prop");
  CHECK(outcome(text("hi", property, "topic")) == "ok topic");
  CHECK(outcome(json(R"({"text":"hi"})")) == "ok ");
  CHECK(outcome(json(R"({"text":"hi"})", property)) == "ok prop");
  CHECK(outcome(json(R"({"text":"hi","id":"payload"})", property)) == "ok payload");
  CHECK(outcome(json(R"({"text":"hi","id":"payload"})", property, "topic")) == "ok topic");
  CHECK(outcome(text("hi", {{"id", ""}})) == "ok ");
}

TEST_CASE("send_message: an id of bad form is refused and never echoed") {
  for (const std::string& id : {std::string{"-"}, std::string{"a b"}, std::string{"a/b"},
                                std::string{"\xff"}, std::string{"#"}, std::string(65, 'x')}) {
    CAPTURE(id);
    CHECK(outcome(text("hi", {{"id", id}})) == "BAD_PAYLOAD ");
    CHECK(outcome(text("hi", {{"id", id}}, "topic")) == "ok topic");
  }
  CHECK(outcome(json(R"({"text":"hi","id":"a b"})")) == "BAD_PAYLOAD ");
  CHECK(outcome(json(R"({"text":"hi","id":"a b"})", {}, "topic")) == "BAD_PAYLOAD topic");
}

TEST_CASE("send_message: user properties of a text") {
  const auto sent = text("hi", {{"ttl", "60"}, {"reply-to", "7"}});
  REQUIRE(sent);
  CHECK(sent->ttl_s == 60);
  CHECK(sent->content.reply_to == 7);
  for (const std::string bad :
       {"", " 1", "1 ", "-1", "+1", "1.0", "0x1", "x", "4294967296", "1e3"}) {
    CAPTURE(bad);
    CHECK(outcome(text("hi", {{"ttl", bad}})) == "BAD_PAYLOAD ");
    CHECK(outcome(text("hi", {{"reply-to", bad}}, "id-1")) == "BAD_PAYLOAD id-1");
  }
  CHECK(text("hi", {{"ttl", "315360000"}}));
  CHECK(outcome(text("hi", {{"ttl", "315360001"}})) == "BAD_PAYLOAD ");
  CHECK(text("hi", {{"reply-to", "4294967295"}}));
  // In a rich message the payload says it; the properties are not read.
  const auto rich =
      json(R"({"text":"hi","ttl_s":5,"reply_to":6})", {{"ttl", "x"}, {"reply-to", "9"}});
  REQUIRE(rich);
  CHECK(rich->ttl_s == 5);
  CHECK(rich->content.reply_to == 6);
  CHECK(outcome(json(R"({"text":"hi","ttl_s":315360001})")) == "BAD_PAYLOAD ");
}

TEST_CASE("send_message: limits are inclusive") {
  CHECK(outcome(text("1234567890")) == "ok ");
  CHECK(outcome(text("12345678901", {}, "i")) == "TOO_LARGE i");
  CHECK(outcome(json(R"({"text":"1234567890"})")) == "ok ");
  CHECK(outcome(json(R"({"text":"12345678901","id":"i"})")) == "TOO_LARGE i");
  CHECK(outcome(json(R"({"text":"a","mentions":["b","c"]})")) == "ok ");
  CHECK(outcome(json(R"({"text":"a","mentions":["b","c","d"],"id":"i"})")) == "TOO_LARGE i");
  CHECK(outcome(json(R"({"attachments":[{},{}]})")) == "ok ");
  CHECK(outcome(json(R"({"attachments":[{},{},{}]})")) == "TOO_LARGE ");
  const std::string start = R"({"text":"a","body":")";
  const std::string end = R"("})";
  const std::size_t room = 200 - start.size() - end.size();
  CHECK(outcome(json(start + std::string(room / 4 * 4, 'A') + end + std::string(room % 4, ' '))) ==
        "ok ");
  CHECK(outcome(json(R"({"text":"a"})" + std::string(188, ' '))) == "ok ");
  CHECK(outcome(json(R"({"text":"a"})" + std::string(189, ' '))) == "TOO_LARGE ");
  // The size is judged before the form.
  CHECK(outcome(text(std::string(11, '\xff'))) == "TOO_LARGE ");
  CHECK(outcome(json(std::string(201, '['), {{"id", "p"}})) == "TOO_LARGE p");
}

TEST_CASE("send_message: malformed payloads are refused under the id that is known") {
  CHECK(outcome(text("")) == "BAD_PAYLOAD ");
  CHECK(outcome(text("\xff", {}, "i")) == "BAD_PAYLOAD i");
  CHECK(outcome(text(std::string{"a\0b", 3}, {{"id", "p"}})) == "BAD_PAYLOAD p");
  CHECK(outcome(json("hi", {{"id", "p"}})) == "BAD_PAYLOAD p");
  CHECK(outcome(json("{}", {}, "i")) == "BAD_PAYLOAD i");
  CHECK(outcome(json(R"({"id":"p"})")) == "BAD_PAYLOAD p");
  CHECK(outcome(json(R"({"id":"not one"})")) == "BAD_PAYLOAD ");
}

TEST_CASE("send_message: nobody forges a system message, other kinds pass through") {
  CHECK(outcome(json(R"({"text":"alice left","kind":"system","id":"i"})")) == "BAD_PAYLOAD i");
  for (const std::string kind : {"call", "media", "poll", "System", "x.y/z"}) {
    const auto sent = json("{\"text\":\"hi\",\"kind\":\"" + kind + "\"}");
    REQUIRE(sent);
    CHECK(sent->content.kind == kind);
  }
}

TEST_CASE("send_message: scope, name and what the plugin has refused") {
  link::InboundRecord from_reader = record("hi");
  from_reader.scope = scope::receive | scope::manage | scope::admin;
  CHECK(outcome(admit_send(from_reader, {Format::text, "bob", "i"}, small_limits())) ==
        "FORBIDDEN i");
  for (const std::string& to : {std::string{"Bob"}, std::string{"_parley"}, std::string{"a.b"},
                                std::string{"b b"}, std::string(33, 'b'), std::string{"\xff"}}) {
    CAPTURE(to);
    CHECK(outcome(admit_send(record("hi"), {Format::text, to, "i"}, small_limits())) ==
          "USER_NOT_FOUND i");
  }
  link::InboundRecord limited = record(R"({"text":"hi","id":"payload"})");
  limited.refused = Code::rate_limited;
  CHECK(outcome(admit_send(limited, {Format::json, "bob", ""}, small_limits())) ==
        "RATE_LIMITED payload");
  CHECK(outcome(admit_send(limited, {Format::json, "bob", "i"}, small_limits())) ==
        "RATE_LIMITED i");
  limited.refused = Code::too_large;
  const auto too_large = admit_send(limited, {Format::json, "bob", ""}, small_limits());
  REQUIRE_FALSE(too_large);
  CHECK(too_large.error().code == Code::too_large);
  CHECK(too_large.error().detail == "payload exceeds 200 bytes");
  limited.refused = Code::rate_limited;
  limited.payload = "";
  CHECK(outcome(admit_send(limited, {Format::pb, "bob", ""}, small_limits())) == "RATE_LIMITED ");
  CHECK(admit_send(limited, {Format::pb, "bob", ""}, small_limits()).error().format == Format::pb);
}

TEST_CASE(
    "send_message: what would be too long as JSON for the link is refused, whatever its own form") {
  Send send;
  send.content.attachments.push_back({});
  for (const std::size_t bytes : {80'000U, 100'000U}) {
    CAPTURE(bytes);
    send.content.attachments[0].name = std::string(bytes, '\x01');  // six times as long in JSON
    const auto admitted =
        admit_send(record(encode_send(Format::pb, send)), {Format::pb, "bob", "i"}, Limits{});
    CHECK(admitted.has_value() == (bytes == 80'000U));
    if (!admitted) CHECK(admitted.error().code == Code::too_large);
  }
}

}  // namespace parley
