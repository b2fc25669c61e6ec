#include "core/wire.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/utf8.hpp"
#include "tests/unit/golden.hpp"

namespace parley {
namespace {

constexpr UnixMillis noon{1'795'302'062'120};  // 2026-11-21T23:01:02.120Z

Message simple_message() {
  Message message;
  message.conv = "bob";
  message.from = "alice";
  message.seq = 2;
  message.rev = 3;
  message.time = noon;
  message.content.text = "hi";
  return message;
}

Message full_message() {
  Message message;
  message.id = "id-1";
  message.conv = "ops";
  message.from = "alice";
  message.seq = 42;
  message.rev = 77;
  message.time = noon;
  message.content.kind = "media";
  message.content.text = "caf\xc3\xa9 \"x\" \\ \n\x01 </a> \xf0\x9f\x98\x80";
  message.content.content_type = "image/png";
  message.content.body = std::string{"\0\xffhi", 4};
  message.content.reply_to = 0xFFFFFFFF;
  message.content.mentions = {"bob", "carol"};
  Attachment picture{"a.png", "image/png", 123456,    "https://x.test/a?b=1&c=2", "", 640,
                     480,     1500,        "\x01\x02"};
  for (int i = 0; i < 32; ++i) picture.sha256 += static_cast<char>(i);
  Attachment other;
  other.name = "b";
  message.content.attachments = {picture, other};
  message.edited_time = UnixMillis{1'795'302'063'000};
  message.deleted = true;
  message.expires_time = UnixMillis{1'795'302'122'001};
  return message;
}

Send full_send() {
  Send send;
  send.id = "id-1";
  send.content = {"media", "look", "image/png", std::string{"\0\xffhi", 4}, 7, {"bob"}, {}};
  send.content.attachments.resize(1);
  send.content.attachments[0].name = "a.png";
  send.content.attachments[0].size = 5;
  send.ttl_s = 60;
  return send;
}

Ack stored_ack() { return {"id-1", true, std::nullopt, "", "bob", 2, 3, noon}; }
Ack refused_ack() {
  return {"", false, Code::user_not_found, "no such name", "", 0, 0, UnixMillis{}};
}
Reply history_reply() { return {"r1", HistoryResult{{simple_message()}, true}}; }
Reply failed_reply() { return {"", ReplyFailed{Code::not_member, "not a member of ops"}}; }

/// Both formats at once: the JSON as it is, the protobuf as hex.
struct Written {
  std::string name;
  std::string json;
  std::string pb;
};

std::string detail_of(const Result<Send, WireError>& send) {
  return send ? "accepted" : send.error().detail;
}

bool refused(const Result<Send, WireError>& send) {
  if (send) return false;
  CHECK(send.error().code == Code::bad_payload);
  CHECK_FALSE(send.error().detail.empty());
  CHECK(send.error().detail.size() < 300);
  CHECK(is_clean_text(send.error().detail));
  return true;
}

Result<Send, WireError> json(const std::string& payload) {
  return decode_send(Format::json, payload);
}

}  // namespace

TEST_CASE("wire: golden bytes are written exactly") {
  const auto pair = [](std::string name, const auto& encode, const auto& value) {
    return Written{std::move(name), encode(Format::json, value), encode(Format::pb, value)};
  };
  const auto message = [](Format f, const Message& m) { return encode_message(f, m, false); };
  for (const Written& written :
       {pair("message_simple", message, simple_message()),
        pair("message_full", message, full_message()), pair("ack_stored", encode_ack, stored_ack()),
        pair("ack_refused", encode_ack, refused_ack()),
        pair("truncated", encode_truncated, Truncated{"ops", 9, noon, 1001}),
        pair("reply_history", encode_reply, history_reply()),
        pair("reply_failed", encode_reply, failed_reply())}) {
    CAPTURE(written.name);
    CHECK(written.json == test::golden(written.name + ".json"));
    CHECK(test::to_hex(written.pb) == test::golden(written.name + ".pb.hex"));
  }
  CHECK(test::to_hex(encode_send(Format::pb, full_send())) == test::golden("send_full.pb.hex"));
}

TEST_CASE("wire: what is written is read back, in both formats") {
  for (const Format format : {Format::json, Format::pb}) {
    for (const Message& message : {simple_message(), full_message()}) {
      const auto again = decode_message(format, encode_message(format, message, false));
      REQUIRE(again);
      CHECK(again->content == message.content);
      CHECK(again->edited_time == message.edited_time);
      CHECK(again->expires_time == message.expires_time);
      CHECK(encode_message(Format::pb, *again, false) ==
            encode_message(Format::pb, message, false));
    }
    for (const Ack& ack : {stored_ack(), refused_ack()}) {
      const auto again = decode_ack(format, encode_ack(format, ack));
      REQUIRE(again);
      CHECK(again->id == ack.id);
      CHECK(again->code == ack.code);
      CHECK(again->detail == ack.detail);
      CHECK(again->time == ack.time);
      CHECK(encode_ack(Format::pb, *again) == encode_ack(Format::pb, ack));
    }
    for (const Reply& reply : {history_reply(), failed_reply(), Reply{"x", HistoryResult{}}}) {
      const auto again = decode_reply(format, encode_reply(format, reply));
      REQUIRE(again);
      CHECK(again->id == reply.id);
      CHECK(again->result.index() == reply.result.index());
      CHECK(encode_reply(Format::pb, *again) == encode_reply(Format::pb, reply));
    }
    const auto send = decode_send(format, encode_send(format, full_send()));
    REQUIRE(send);
    CHECK(send->id == "id-1");
    CHECK(send->content == full_send().content);
    CHECK(send->ttl_s == 60);
  }
  CHECK(json(test::golden("send_full.json"))->content == full_send().content);
}

TEST_CASE("wire: every character survives JSON") {
  Message message = simple_message();
  message.content.text.clear();
  for (int c = 1; c < 0x80; ++c) message.content.text += static_cast<char>(c);
  message.content.text += "\xc2\x80\xe2\x80\xa8\xe2\x80\xa9\xef\xbf\xbf\xf4\x8f\xbf\xbf";
  const auto again = decode_message(Format::json, encode_message(Format::json, message, false));
  REQUIRE(again);
  CHECK(again->content.text == message.content.text);
  for (int length = 0; length < 70; ++length) {
    message.content.body = std::string(static_cast<std::size_t>(length), '\xfe');
    const auto with_body =
        decode_message(Format::json, encode_message(Format::json, message, false));
    REQUIRE(with_body);
    CHECK(with_body->content.body == message.content.body);
  }
}

TEST_CASE("wire: times have three decimals") {
  struct Row {
    std::int64_t ms;
    std::string text;
  };
  for (const Row& row :
       {Row{0, "1970-01-01T00:00:00.000Z"}, Row{noon.value, "2026-11-21T23:01:02.120Z"},
        Row{-1, "1969-12-31T23:59:59.999Z"}, Row{951'782'400'000, "2000-02-29T00:00:00.000Z"},
        Row{253'402'300'799'999, "9999-12-31T23:59:59.999Z"},
        Row{INT64_MAX, "9999-12-31T23:59:59.999Z"}, Row{INT64_MIN, "0001-01-01T00:00:00.000Z"}}) {
    CAPTURE(row.ms);
    CHECK(format_time(UnixMillis{row.ms}) == row.text);
  }
  for (const std::int64_t ms : {std::int64_t{-1}, std::int64_t{-1000}, std::int64_t{999}}) {
    Message message = simple_message();
    message.time = UnixMillis{ms};
    for (const Format format : {Format::json, Format::pb}) {
      CHECK(decode_message(format, encode_message(format, message, false))->time.value == ms);
    }
  }
}

TEST_CASE("wire: acks as text") {
  CHECK(encode_ack(Format::text, stored_ack()) == "stored 2");
  CHECK(encode_ack(Format::text, refused_ack()) == "refused USER_NOT_FOUND");
}

TEST_CASE("wire: messages as text") {
  struct Row {
    Content content;
    std::string direct;
    std::string room;
  };
  const Attachment png{"a.png", "image/png", 0, "", "", 0, 0, 0, ""};
  const Attachment nameless{"", "audio/ogg", 0, "", "", 0, 0, 0, ""};
  for (const Row& row : {
           Row{{"text", "hi", "", "", 0, {}, {}}, "hi", "alice: hi"},
           Row{{"text", "{\"a\":1}", "", "", 0, {}, {}}, "{\"a\":1}", "alice: {\"a\":1}"},
           Row{{"system", "alice added bob", "", "", 0, {}, {}},
               "* alice added bob",
               "* alice added bob"},
           Row{{"media", "look", "", "", 0, {}, {png}}, "look", "alice: look"},
           Row{{"media", "", "", "", 0, {}, {png}}, "[a.png]", "alice: [a.png]"},
           Row{{"media", "", "", "x", 0, {}, {png, nameless, {}}},
               "[a.png] [audio/ogg] [file]",
               "alice: [a.png] [audio/ogg] [file]"},
           Row{{"blob", "", "application/cbor", "x", 0, {}, {}},
               "[application/cbor]",
               "alice: [application/cbor]"},
           Row{{"blob", "", "", "x", 0, {}, {}}, "[data]", "alice: [data]"},
       }) {
    CAPTURE(row.direct);
    Message message = simple_message();
    message.content = row.content;
    CHECK(message_text(message, false) == row.direct);
    CHECK(message_text(message, true) == row.room);
    CHECK(encode_message(Format::text, message, true) == row.room);
    message.deleted = true;
    CHECK(message_text(message, false).empty());
    CHECK(message_text(message, true).empty());
  }
}

TEST_CASE("wire: text is taken word for word") {
  for (const std::string& text :
       {std::string{"hi"}, std::string{"{\"text\":\"x\"}"}, std::string{" "}, std::string{"\n"},
        std::string{"\x01\x7f"}, std::string{"\xf0\x9f\x98\x80"}, std::string(100'000, 'x')}) {
    const auto send = decode_send(Format::text, text);
    REQUIRE(send);
    CHECK(send->content.text == text);
    CHECK(send->content.kind == "text");
    CHECK(send->id.empty());
    CHECK(send->ttl_s == 0);
  }
}

TEST_CASE("wire: text that is empty, has a NUL or is not UTF-8 is refused") {
  CHECK(refused(decode_send(Format::text, "")));
  CHECK(detail_of(decode_send(Format::text, std::string_view{"a\0b", 3})) == "text contains NUL");
  for (const std::string_view text : {"\x80",
                                      "\xff",
                                      "\xc3",
                                      "a\xc3",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x82",
                                      "\xf0\x9f\x98",
                                      "abcdefgh\xff",
                                      "abcdefgh\xc3",
                                      "\xc3(",
                                      "aaaaaaaaaaaaaaa\x80"}) {
    CAPTURE(text);
    CHECK(detail_of(decode_send(Format::text, text)) == "text is not UTF-8");
  }
}

TEST_CASE("wire: UTF-8 is judged character by character") {
  for (const std::string_view text :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    CHECK(is_utf8(text));
    CHECK(is_utf8("12345678" + std::string{text} + "12345678"));
  }
  CHECK(utf8_start("a\xc3\xa9z", 2) == "a");
  CHECK(utf8_start("a\xc3\xa9z", 3) == "a\xc3\xa9");
  CHECK(utf8_start("abc", 10) == "abc");
  CHECK(utf8_start("\xc3\xa9", 1).empty());
}

TEST_CASE("wire: JSON of a send, as the proto3 mapping allows it") {
  struct Row {
    std::string payload;
    Content content;
  };
  for (const Row& row : {
           Row{R"({"text":"hi"})", {"text", "hi", "", "", 0, {}, {}}},
           Row{R"( {"text":"hi","kind":""} )", {"text", "hi", "", "", 0, {}, {}}},
           Row{R"({"text":"hi","kind":"x/y"})", {"x/y", "hi", "", "", 0, {}, {}}},
           Row{R"({"text":"hi","reply_to":7})", {"text", "hi", "", "", 7, {}, {}}},
           Row{R"({"text":"hi","replyTo":"7"})", {"text", "hi", "", "", 7, {}, {}}},
           Row{R"({"text":"hi","unknown":{"a":[1,{"b":null}]}})",
               {"text", "hi", "", "", 0, {}, {}}},
           Row{R"({"text":"\u00e9\ud83d\ude00\n"})",
               {"text", "\xc3\xa9\xf0\x9f\x98\x80\n", "", "", 0, {}, {}}},
           Row{R"({"body":"aGk=","contentType":"a/b"})", {"text", "", "a/b", "hi", 0, {}, {}}},
           Row{R"({"body":"AAA","text":null})", {"text", "", "", std::string(2, '\0'), 0, {}, {}}},
           Row{R"({"attachments":[{}]})", {"text", "", "", "", 0, {}, {Attachment{}}}},
           Row{R"({"text":"hi","mentions":["bob","eve"]})",
               {"text", "hi", "", "", 0, {"bob", "eve"}, {}}},
       }) {
    CAPTURE(row.payload);
    const auto send = json(row.payload);
    CHECK(detail_of(send) == "accepted");
    if (send) CHECK(send->content == row.content);
  }
  CHECK(json(R"({"text":"hi","id":"a.b:c","ttl_s":4294967295})")->ttl_s == 0xFFFFFFFF);
}

TEST_CASE("wire: malformed JSON of a send is refused") {
  for (const std::string& payload :
       {std::string{}, std::string{" "}, std::string{"hi"}, std::string{"null"}, std::string{"42"},
        std::string{"\"text\""}, std::string{"[]"}, std::string{R"([{"text":"hi"}])"},
        std::string{"{"}, std::string{"}"}, std::string{R"({"text":"hi")"},
        std::string{R"({"text":"hi"} x)"}, std::string{R"({"text":"hi"}{})"},
        std::string{R"({"text":5})"}, std::string{R"({"text":["hi"]})"},
        std::string{R"({"text":{"a":1}})"}, std::string{R"({"text":"hi","reply_to":-1})"},
        std::string{R"({"text":"hi","reply_to":4294967296})"},
        std::string{R"({"text":"hi","reply_to":1.5})"},
        std::string{R"({"text":"hi","reply_to":1e400})"},
        std::string{R"({"text":"hi","reply_to":"x"})"},
        std::string{R"({"text":"hi","reply_to":true})"},
        std::string{R"({"text":"hi","body":"!!!"})"},
        std::string{R"({"text":"hi","mentions":[1]})"},
        std::string{R"({"text":"hi","attachments":["a"]})"}, std::string{R"({"text":"\ud800"})"},
        std::string{R"({"text":"\udc00\ud800"})"}, std::string{R"({"text":"\u0000"})"},
        std::string{R"({"text":"a\u0000b"})"}, std::string{"{\"text\":\"a\0b\"}", 14},
        std::string{"{\"text\":\"\xff\"}"}, std::string{"{\"text\":\"\xed\xa0\x80\"}"},
        std::string{"{\"\xff\":1,\"text\":\"hi\"}"}, std::string{"\xef\xbb\xbf{\"text\":\"hi\"}"},
        std::string{R"({"text":"hi","kind":"a\u0000"})"},
        std::string{R"({"text":"hi","content_type":"a\u0000"})"},
        std::string{R"({"text":"hi","mentions":["a\u0000"]})"},
        std::string{R"({"text":"hi","attachments":[{"name":"a\u0000"}]})"},
        std::string{R"({"text":"hi","attachments":[{"url":"a\u0000"}]})"},
        std::string{R"({"text":"hi","attachments":[{"content_type":"a\u0000"}]})"},
        // Empty.
        std::string{"{}"}, std::string{R"({"text":""})"},
        std::string{R"({"id":"x","kind":"media"})"},
        std::string{R"({"body":"","attachments":[],"mentions":["bob"]})"},
        // Not an id.
        std::string{R"({"text":"hi","id":"-"})"}, std::string{R"({"text":"hi","id":"a b"})"},
        std::string{R"({"text":"hi","id":"a/b"})"},
        R"({"text":"hi","id":")" + std::string(65, 'x') + "\"}"}) {
    CAPTURE(payload);
    CHECK(refused(json(payload)));
  }
}

TEST_CASE("wire: deep nesting does no harm") {
  constexpr std::size_t deep = 300'000;
  const std::string arrays = std::string(deep, '[') + std::string(deep, ']');
  std::string objects;
  for (std::size_t i = 0; i < deep; ++i) objects += "{\"x\":";
  std::string attachments;
  for (std::size_t i = 0; i < deep; ++i) attachments += "{\"attachments\":[";
  for (const std::string& payload :
       {"{\"x\":" + arrays + "}", "{\"text\":" + arrays + "}", "{\"mentions\":" + arrays + "}",
        "{\"attachments\":" + arrays + "}", objects, attachments,
        "{\"x\":" + std::string(deep, '[')}) {
    CHECK(refused(json(payload)));
  }
  const std::string reply = "{\"ok\":true,\"result\":{\"x\":" + arrays + "}}";
  CHECK_FALSE(decode_reply(Format::json, reply));
  std::string groups(deep, '\x0b');  // unknown groups, one in the other
  CHECK(refused(decode_send(Format::pb, groups)));
}

TEST_CASE("wire: malformed protobuf of a send is refused") {
  for (const std::string& payload :
       {std::string{}, std::string{"\x12"}, std::string{"\x12\x05hi"}, std::string{"\x12\x01\xff"},
        std::string{"\x12\x03\xed\xa0\x80"}, std::string{"\xff\xff\xff"}, std::string{"hello"},
        std::string{"\x12\x03"
                    "a\0b",
                    5},
        std::string{"\x12\x02hi\x0a\x01-"}, std::string{"\x12\x02hi\x32\x01\xc3"},
        std::string{"\x12\x00", 2}}) {
    CAPTURE(test::to_hex(payload));
    CHECK(refused(decode_send(Format::pb, payload)));
  }
  CHECK(decode_send(Format::pb, "\x12\x02hi")->content.text == "hi");
  CHECK(decode_send(Format::pb, "\x12\x02hi\xf8\x3f\x01")->content.text == "hi");  // unknown field
}

TEST_CASE("wire: damaged payloads are refused or read, never worse") {
  test::Chance chance{4711};
  const std::string good_json = encode_send(Format::json, full_send());
  const std::string good_pb = encode_send(Format::pb, full_send());
  for (int i = 0; i < 3000; ++i) {
    for (const Format format : {Format::json, Format::pb}) {
      const auto send =
          decode_send(format, test::damaged(format == Format::json ? good_json : good_pb, chance));
      if (!send) CHECK(is_clean_text(send.error().detail));
      if (send) CHECK(is_clean_text(send->content.text));
    }
  }
}

TEST_CASE("wire: a history request") {
  const auto newest = decode_history_request(Format::json, R"({"conv":"ops"})");
  REQUIRE(newest);
  CHECK(newest->conv == "ops");
  CHECK_FALSE(newest->before_seq);
  CHECK_FALSE(newest->limit);
  const auto bounded = decode_history_request(
      Format::json, R"({"conv":"ops","before_seq":0,"afterSeq":5,"around_seq":6,"limit":200})");
  REQUIRE(bounded);
  CHECK(bounded->before_seq == 0U);
  CHECK(bounded->after_seq == 5U);
  CHECK(bounded->around_seq == 6U);
  CHECK(bounded->limit == 200U);
  CHECK(decode_history_request(Format::pb, "\x0a\x03ops\x28\x14")->limit == 20U);
  for (const std::string_view payload :
       {"", "[]", "ops", R"({"conv":5})", R"({"conv":"a\u0000"})", R"({"conv":"a","limit":-1})"}) {
    CAPTURE(payload);
    CHECK_FALSE(decode_history_request(Format::json, payload));
  }
  CHECK_FALSE(decode_history_request(Format::text, "ops"));
}

TEST_CASE("wire: replies that a client cannot read are errors, unknown codes are not") {
  for (const std::string_view payload :
       {"", "[]", R"({"id":"1","ok":true})", R"({"id":"1","ok":true,"result":5})",
        R"({"id":"1","ok":true,"result":[]})", R"({"ok":true,"result":{"messages":5}})"}) {
    CAPTURE(payload);
    CHECK_FALSE(decode_reply(Format::json, payload));
  }
  CHECK_FALSE(decode_reply(Format::pb, "\x10\x01"));
  const auto reply =
      decode_reply(Format::json, R"({"id":"1","ok":false,"code":"NEW_ONE","detail":"d"})");
  REQUIRE(reply);
  CHECK(std::get<ReplyFailed>(reply->result).detail == "NEW_ONE: d");
  const auto ack = decode_ack(Format::json, R"({"id":"-","ok":false,"code":"NEW_ONE"})");
  REQUIRE(ack);
  CHECK(ack->id.empty());
  CHECK_FALSE(ack->code);
  CHECK(ack->detail == "NEW_ONE");
}

TEST_CASE("wire: the rest of a content is stored and read back") {
  CHECK(encode_content_rest(Content{}).empty());
  CHECK(encode_content_rest(Content{"media", "hi", "", "", 0, {}, {}}).empty());
  Content into;
  into.mentions = {"old"};
  CHECK(decode_content_rest("", into));
  CHECK(into == Content{});
  const Content content = full_message().content;
  Content again;
  again.kind = content.kind;
  again.text = content.text;
  REQUIRE(decode_content_rest(encode_content_rest(content), again));
  CHECK(again == content);
  CHECK_FALSE(decode_content_rest("\x22\x05x", again));
}

}  // namespace parley
