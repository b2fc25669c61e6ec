#include "core/wire_json.hpp"

#include "core/json_writer.hpp"

namespace parley {
namespace {

std::string_view or_dash(const std::string& id) {
  return id.empty() ? std::string_view{"-"} : std::string_view{id};
}

void write_time(JsonWriter& json, std::string_view name, UnixMillis time) {
  json.key(name).value(format_time(time));
}

void write(JsonWriter& json, const Attachment& attachment) {
  json.open_object();
  json.key("name").value(attachment.name);
  json.key("content_type").value(attachment.content_type);
  json.key("size").value(attachment.size);
  json.key("url").value(attachment.url);
  json.key("sha256").bytes(attachment.sha256);
  json.key("width").value(attachment.width);
  json.key("height").value(attachment.height);
  json.key("duration_ms").value(attachment.duration_ms);
  json.key("preview").bytes(attachment.preview);
  json.close_object();
}

/// The members in the order of the schema's field numbers.
void write(JsonWriter& json, const Message& message) {
  const Content& content = message.content;
  json.open_object();
  json.key("id").value(message.id);
  json.key("conv").value(message.conv);
  json.key("from").value(message.from);
  json.key("seq").value(message.seq);
  json.key("rev").value(message.rev);
  write_time(json, "time", message.time);
  json.key("kind").value(content.kind);
  json.key("text").value(content.text);
  json.key("content_type").value(content.content_type);
  json.key("body").bytes(content.body);
  json.key("reply_to").value(content.reply_to);
  json.key("mentions").open_array();
  for (const std::string& name : content.mentions) json.value(name);
  json.close_array();
  json.key("attachments").open_array();
  for (const Attachment& attachment : content.attachments) write(json, attachment);
  json.close_array();
  if (message.edited_time) write_time(json, "edited_time", *message.edited_time);
  json.key("deleted").flag(message.deleted);
  if (message.expires_time) write_time(json, "expires_time", *message.expires_time);
  json.close_object();
}

void write(JsonWriter& json, const HistoryResult& history) {
  json.open_object();
  json.key("messages").open_array();
  for (const Message& message : history.messages) write(json, message);
  json.close_array();
  json.key("has_more").flag(history.has_more);
  json.close_object();
}

/// About how long the JSON will be, so that the string grows once.
std::size_t estimate(const Message& message) {
  const Content& content = message.content;
  std::size_t bytes = 320 + content.text.size() + 2 * content.body.size();
  bytes += 40 * content.mentions.size();
  for (const Attachment& attachment : content.attachments) {
    bytes += 240 + attachment.url.size() + attachment.name.size() + 2 * attachment.preview.size();
  }
  return bytes;
}

}  // namespace

std::string to_json(const Message& message) {
  std::string out;
  out.reserve(estimate(message));
  JsonWriter json{out};
  write(json, message);
  return out;
}

std::string to_json(const Ack& ack) {
  std::string out;
  out.reserve(224 + ack.detail.size());
  JsonWriter json{out};
  json.open_object();
  json.key("id").value(or_dash(ack.id));
  json.key("ok").flag(ack.ok);
  json.key("code").value(ack.code ? to_string(*ack.code) : std::string_view{});
  json.key("detail").value(ack.detail);
  json.key("conv").value(ack.conv);
  json.key("seq").value(ack.seq);
  json.key("rev").value(ack.rev);
  if (ack.time.value != 0) write_time(json, "time", ack.time);
  json.key("state").value(ack.ok ? std::string_view{"stored"} : std::string_view{});
  json.close_object();
  return out;
}

std::string to_json(const Truncated& event) {
  std::string out;
  JsonWriter json{out};
  json.open_object();
  json.key("conv").value(event.conv);
  json.key("rev").value(event.rev);
  write_time(json, "time", event.time);
  json.key("truncated").open_object();
  json.key("from_seq").value(event.from_seq);
  json.close_object();
  json.close_object();
  return out;
}

std::string to_json(const Reply& reply) {
  std::string out;
  JsonWriter json{out};
  json.open_object();
  json.key("id").value(or_dash(reply.id));
  if (const auto* failure = std::get_if<ReplyFailed>(&reply.result)) {
    json.key("ok").flag(false);
    json.key("code").value(to_string(failure->code));
    json.key("detail").value(failure->detail);
  }
  if (const auto* history = std::get_if<HistoryResult>(&reply.result)) {
    json.key("ok").flag(true);
    json.key("result");
    write(json, *history);
  }
  json.close_object();
  return out;
}

}  // namespace parley
