#include "core/wire.hpp"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

#include "core/proto_json.hpp"
#include "core/proto_parse.hpp"
#include "core/utf8.hpp"
#include "core/wire_json.hpp"
#include "schema/proto/parley/v1/client.pb.h"

namespace parley {
namespace {

WireError bad(std::string detail) { return {Code::bad_payload, std::move(detail)}; }

// ---- schema to values and back ----

using google::protobuf::Timestamp;

UnixMillis take_time(const Timestamp& from) {
  // Bounds far beyond the years 1 to 9999, so that garbage cannot overflow.
  constexpr std::int64_t seconds_max = 1'000'000'000'000;
  const std::int64_t seconds = std::clamp(from.seconds(), -seconds_max, seconds_max);
  return UnixMillis{seconds * 1000 + from.nanos() / 1'000'000};
}

/// @tparam Proto  Send or Message: their fields of a Content have the same names
template <class Proto>
void put_content_rest(const Content& from, Proto& to) {
  to.set_content_type(from.content_type);
  to.set_body(from.body);
  to.set_reply_to(from.reply_to);
  for (const std::string& name : from.mentions) to.add_mentions(name);
  for (const Attachment& attachment : from.attachments) {
    auto& added = *to.add_attachments();
    added.set_name(attachment.name);
    added.set_content_type(attachment.content_type);
    added.set_size(attachment.size);
    added.set_url(attachment.url);
    added.set_sha256(attachment.sha256);
    added.set_width(attachment.width);
    added.set_height(attachment.height);
    added.set_duration_ms(attachment.duration_ms);
    added.set_preview(attachment.preview);
  }
}

template <class Proto>
void put_content(const Content& from, Proto& to) {
  to.set_kind(from.kind);
  to.set_text(from.text);
  put_content_rest(from, to);
}

template <class Proto>
void take_content_rest(const Proto& from, Content& to) {
  to.content_type = from.content_type();
  to.body = from.body();
  to.reply_to = from.reply_to();
  to.mentions.assign(from.mentions().begin(), from.mentions().end());
  to.attachments.clear();
  to.attachments.reserve(static_cast<std::size_t>(from.attachments_size()));
  for (const auto& attachment : from.attachments()) {
    to.attachments.push_back({attachment.name(), attachment.content_type(), attachment.size(),
                              attachment.url(), attachment.sha256(), attachment.width(),
                              attachment.height(), attachment.duration_ms(), attachment.preview()});
  }
}

template <class Proto>
Content take_content(const Proto& from) {
  Content to;
  to.kind = from.kind().empty() ? "text" : from.kind();
  to.text = from.text();
  take_content_rest(from, to);
  return to;
}

void put_message(const Message& from, v1::Message& to) {
  to.set_id(from.id);
  to.set_conv(from.conv);
  to.set_from(from.from);
  to.set_seq(from.seq);
  to.set_rev(from.rev);
  put_time(from.time, *to.mutable_time());
  put_content(from.content, to);
  if (from.edited_time) put_time(*from.edited_time, *to.mutable_edited_time());
  to.set_deleted(from.deleted);
  if (from.expires_time) put_time(*from.expires_time, *to.mutable_expires_time());
}

Message take_message(const v1::Message& from) {
  Message to;
  to.id = from.id();
  to.conv = from.conv();
  to.from = from.from();
  to.seq = from.seq();
  to.rev = from.rev();
  to.time = take_time(from.time());
  to.content = take_content(from);
  if (from.has_edited_time()) to.edited_time = take_time(from.edited_time());
  to.deleted = from.deleted();
  if (from.has_expires_time()) to.expires_time = take_time(from.expires_time());
  return to;
}

void put_history(const HistoryResult& from, v1::HistoryResult& to) {
  for (const Message& message : from.messages) put_message(message, *to.add_messages());
  to.set_has_more(from.has_more);
}

HistoryResult take_history(const v1::HistoryResult& from) {
  HistoryResult to;
  to.messages.reserve(static_cast<std::size_t>(from.messages_size()));
  for (const auto& message : from.messages()) to.messages.push_back(take_message(message));
  to.has_more = from.has_more();
  return to;
}

std::string or_dash(const std::string& id) { return id.empty() ? "-" : id; }
std::string without_dash(const std::string& id) { return id == "-" ? "" : id; }

/// A code as a client reads it. One that a newer server has invented must stay readable.
/// @param detail  gets the word in front if it is unknown
std::optional<Code> take_code(const std::string& word, std::string& detail) {
  const auto code = code_from(word);
  if (!code && !word.empty()) detail = detail.empty() ? word : word + ": " + detail;
  return code;
}

// ---- what a send must look like ----

/// Says what is wrong with a field of text; null if nothing is.
std::optional<WireError> check_text(std::string_view field, std::string_view text) {
  if (!is_utf8(text)) return bad(std::string{field} + " is not UTF-8");
  if (!is_clean_text(text)) return bad(std::string{field} + " contains NUL");
  return std::nullopt;
}

std::optional<WireError> check_send(const v1::Send& send) {
  if (!send.id().empty() && !is_request_id(send.id())) {
    return bad("id must be 1 to 64 of A-Z a-z 0-9 _ . : - and not - alone");
  }
  if (auto error = check_text("text", send.text())) return error;
  if (auto error = check_text("kind", send.kind())) return error;
  if (auto error = check_text("content_type", send.content_type())) return error;
  for (const auto& name : send.mentions()) {
    if (auto error = check_text("a mention", name)) return error;
  }
  for (const auto& attachment : send.attachments()) {
    if (auto error = check_text("an attachment's name", attachment.name())) return error;
    if (auto error = check_text("an attachment's url", attachment.url())) return error;
    if (auto error = check_text("an attachment's content_type", attachment.content_type())) {
      return error;
    }
  }
  // What another kind needs only its own clients know.
  const bool has_content = send.kind().empty() || send.kind() == "text" || send.kind() == "media";
  if (has_content && send.text().empty() && send.body().empty() && send.attachments().empty()) {
    return bad("empty: neither text nor body nor attachments");
  }
  return std::nullopt;
}

Result<Send, WireError> decode_send_text(std::string_view payload) {
  if (payload.empty()) return failed(bad("text is empty"));
  if (auto error = check_text("text", payload)) return failed(std::move(*error));
  Send send;
  send.content.text = payload;
  return send;
}

/// What stands for the words of a message that has none.
std::string stand_in(const Content& content) {
  std::string text;
  for (const Attachment& attachment : content.attachments) {
    if (!text.empty()) text += ' ';
    const std::string& name = attachment.name.empty() ? attachment.content_type : attachment.name;
    text += '[' + (name.empty() ? "file" : name) + ']';
  }
  if (text.empty() && !content.body.empty()) {
    text = '[' + (content.content_type.empty() ? "data" : content.content_type) + ']';
  }
  if (text.empty() && content.kind != "text") text = '[' + content.kind + ']';
  return text;
}

/// The value of the member "result" as JSON of its own: which message it is, only the asker knows.
Result<std::string, WireError> json_result(std::string_view payload) {
  google::protobuf::Struct object;
  if (auto parsed = parse_message(Format::json, payload, object); !parsed)
    return failed(parsed.error());
  const auto found = object.fields().find("result");
  if (found == object.fields().end()) return failed(bad("a reply without result"));
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(found->second, &json).ok()) {
    return failed(bad("JSON: malformed result"));
  }
  return json;
}

}  // namespace

bool is_clean_text(std::string_view text) {
  return text.find('\0') == std::string_view::npos && is_utf8(text);
}

Result<Send, WireError> decode_send(Format format, std::string_view payload) {
  if (format == Format::text) return decode_send_text(payload);
  v1::Send from;
  if (auto parsed = parse_message(format, payload, from); !parsed) return failed(parsed.error());
  if (auto error = check_send(from)) {
    error->id = from.id();
    return failed(std::move(*error));
  }
  return Send{from.id(), take_content(from), from.ttl_s()};
}

std::string message_text(const Message& message, bool in_room) {
  if (message.deleted) return {};
  const Content& content = message.content;
  std::string text;
  text.reserve(message.from.size() + 2 + content.text.size());
  if (content.kind == "system") {
    text += "* ";
  } else if (in_room) {
    text.append(message.from).append(": ");
  }
  if (content.text.empty()) {
    text += stand_in(content);
  } else {
    text += content.text;
  }
  return text;
}

std::string encode_message(Format format, const Message& message, bool in_room) {
  switch (format) {
    case Format::text:
      return message_text(message, in_room);
    case Format::json:
      return to_json(message);
    case Format::pb:
      break;
  }
  v1::Message to;
  put_message(message, to);
  return to.SerializeAsString();
}

std::string encode_ack(Format format, const Ack& ack) {
  switch (format) {
    case Format::text:
      if (ack.ok) return "stored " + std::to_string(ack.seq);
      return "refused " + std::string{to_string(ack.code.value_or(Code::unavailable))};
    case Format::json:
      return to_json(ack);
    case Format::pb:
      break;
  }
  v1::Ack to;
  to.set_id(or_dash(ack.id));
  to.set_ok(ack.ok);
  if (ack.code) to.set_code(std::string{to_string(*ack.code)});
  to.set_detail(ack.detail);
  to.set_conv(ack.conv);
  to.set_seq(ack.seq);
  to.set_rev(ack.rev);
  if (ack.time.value != 0) put_time(ack.time, *to.mutable_time());
  if (ack.ok) to.set_state("stored");
  return to.SerializeAsString();
}

std::string encode_truncated(Format format, const Truncated& event) {
  if (format != Format::pb) return to_json(event);
  v1::Event to;
  to.set_conv(event.conv);
  to.set_rev(event.rev);
  put_time(event.time, *to.mutable_time());
  to.mutable_truncated()->set_from_seq(event.from_seq);
  return to.SerializeAsString();
}

std::string encode_reply(Format format, const Reply& reply) {
  if (format != Format::pb) return to_json(reply);
  v1::Reply to;
  to.set_id(or_dash(reply.id));
  if (const auto* failure = std::get_if<ReplyFailed>(&reply.result)) {
    to.set_code(std::string{to_string(failure->code)});
    to.set_detail(failure->detail);
  }
  if (const auto* history = std::get_if<HistoryResult>(&reply.result)) {
    to.set_ok(true);
    put_history(*history, *to.mutable_history());
  }
  return to.SerializeAsString();
}

std::string encode_send(Format format, const Send& send) {
  if (format == Format::text) return send.content.text;
  v1::Send to;
  to.set_id(send.id);
  put_content(send.content, to);
  to.set_ttl_s(send.ttl_s);
  if (format == Format::pb) return to.SerializeAsString();
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails for Timestamps out of range only, and a Send has none.
  (void)google::protobuf::util::MessageToJsonString(to, &json, options);
  return json;
}

Result<HistoryRequest, WireError> decode_history_request(Format format, std::string_view payload) {
  v1::HistoryRequest from;
  if (auto parsed = parse_message(format, payload, from); !parsed) return failed(parsed.error());
  if (auto error = check_text("conv", from.conv())) return failed(std::move(*error));
  HistoryRequest to;
  to.conv = from.conv();
  if (from.has_before_seq()) to.before_seq = from.before_seq();
  if (from.has_after_seq()) to.after_seq = from.after_seq();
  if (from.has_around_seq()) to.around_seq = from.around_seq();
  if (from.has_limit()) to.limit = from.limit();
  return to;
}

Result<Message, WireError> decode_message(Format format, std::string_view payload) {
  v1::Message from;
  if (auto parsed = parse_message(format, payload, from); !parsed) return failed(parsed.error());
  return take_message(from);
}

Result<Ack, WireError> decode_ack(Format format, std::string_view payload) {
  v1::Ack from;
  if (auto parsed = parse_message(format, payload, from); !parsed) return failed(parsed.error());
  Ack to{without_dash(from.id()),
         from.ok(),
         std::nullopt,
         from.detail(),
         from.conv(),
         from.seq(),
         from.rev(),
         take_time(from.time())};
  to.code = take_code(from.code(), to.detail);
  return to;
}

Result<Reply, WireError> decode_reply(Format format, std::string_view payload) {
  v1::Reply from;
  if (auto parsed = parse_message(format, payload, from); !parsed) return failed(parsed.error());
  if (!from.ok()) {
    ReplyFailed failure{Code::unavailable, from.detail()};
    failure.code = take_code(from.code(), failure.detail).value_or(Code::unavailable);
    return Reply{without_dash(from.id()), std::move(failure)};
  }
  if (format == Format::json) {
    const auto json = json_result(payload);
    if (!json) return failed(json.error());
    if (auto parsed = parse_message(Format::json, *json, *from.mutable_history()); !parsed) {
      return failed(parsed.error());
    }
  }
  if (!from.has_history()) return failed(bad("a reply without a result that we know"));
  return Reply{without_dash(from.id()), take_history(from.history())};
}

std::string encode_content_rest(const Content& content) {
  // Most are nothing but words.
  if (content.content_type.empty() && content.body.empty() && content.reply_to == 0 &&
      content.mentions.empty() && content.attachments.empty()) {
    return {};
  }
  v1::Send to;
  put_content_rest(content, to);
  return to.SerializeAsString();
}

bool decode_content_rest(std::string_view rest, Content& into) {
  v1::Send from;
  if (!parse_message(Format::pb, rest, from)) return false;
  take_content_rest(from, into);
  return true;
}

}  // namespace parley
