// What clients send and get, as values, and their three written forms: text, JSON and protobuf,
// from one schema (schema/proto/parley/v1/client.proto; docs/protocol.md). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/code.hpp"
#include "core/ids.hpp"
#include "core/result.hpp"
#include "core/topic.hpp"

namespace parley {

struct Attachment {
  std::string name;
  std::string content_type;
  std::uint32_t size = 0;
  std::string url;
  std::string sha256;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t duration_ms = 0;
  std::string preview;
  bool operator==(const Attachment&) const = default;
};

/// What a message says: everything that makes two messages with one id the same or not.
struct Content {
  std::string kind = "text";  // never empty
  std::string text;
  std::string content_type;
  std::string body;
  std::uint32_t reply_to = 0;
  std::vector<std::string> mentions;
  std::vector<Attachment> attachments;
  bool operator==(const Content&) const = default;
};

struct Send {
  std::string id;  // as found in the payload; empty: none
  Content content;
  std::uint32_t ttl_s = 0;  // 0 = for ever
};

struct Message {
  std::string id;
  std::string conv;
  std::string from;
  Seq seq = 0;
  Rev rev = 0;
  UnixMillis time;
  Content content;
  std::optional<UnixMillis> edited_time;
  bool deleted = false;
  std::optional<UnixMillis> expires_time;
};

struct Ack {
  std::string id;  // empty: "-" on the wire
  bool ok = false;
  std::optional<Code> code;
  std::string detail;
  std::string conv;
  Seq seq = 0;
  Rev rev = 0;
  UnixMillis time;
};

/// Events known so far; the others of the schema follow with what raises them.
struct Truncated {
  std::string conv;
  Rev rev = 0;
  UnixMillis time;
  Seq from_seq = 0;
};

struct HistoryRequest {
  std::string conv;
  std::optional<Seq> before_seq;
  std::optional<Seq> after_seq;
  std::optional<Seq> around_seq;
  std::optional<std::uint32_t> limit;
};
struct HistoryResult {
  std::vector<Message> messages;
  bool has_more = false;
};
struct ReplyFailed {
  Code code = Code::unavailable;
  std::string detail;
};
struct Reply {
  std::string id;  // empty: "-" on the wire
  std::variant<ReplyFailed, HistoryResult> result;
};

/// Reads a `send` payload. Refusals: bad_payload (not UTF-8, NUL, malformed, empty: no text, body
/// and attachments), with a detail for people. Sizes are the caller's.
struct WireError {
  Code code = Code::bad_payload;
  std::string detail;
  std::string id{};  // of a `send` whose payload could be read, for its ack; not checked
};
Result<Send, WireError> decode_send(Format format, std::string_view payload);
/// For text of any origin: UTF-8, without NUL.
bool is_clean_text(std::string_view text);

/// Text form: in a 1:1 conversation the words, in a room "alice: the words"; media: the caption or
/// "[name]".
std::string message_text(const Message& message, bool in_room);
std::string encode_message(Format format, const Message& message, bool in_room);
/// `stored <seq>` or `refused <CODE>` as text.
std::string encode_ack(Format format, const Ack& ack);
/// json or pb.
std::string encode_truncated(Format format, const Truncated& event);
std::string encode_reply(Format format, const Reply& reply);
std::string encode_send(Format format,
                        const Send& send);  // for tools and tests; text: only the words

Result<HistoryRequest, WireError> decode_history_request(Format format, std::string_view payload);
/// For clients (the CLI, tests).
Result<Message, WireError> decode_message(Format format, std::string_view payload);  // json, pb
Result<Ack, WireError> decode_ack(Format format, std::string_view payload);          // json, pb
Result<Reply, WireError> decode_reply(Format format, std::string_view payload);      // json, pb

/// Everything of a Content but `kind` and `text`, for storage beside them; empty if there is
/// nothing else. Round-trips through `decode_content_rest`.
std::string encode_content_rest(const Content& content);
/// Fills all but `kind` and `text`. False if `rest` is not what encode_content_rest writes.
bool decode_content_rest(std::string_view rest, Content& into);

/// "2026-11-21T23:01:02.120Z".
std::string format_time(UnixMillis time);

}  // namespace parley
