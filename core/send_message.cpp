#include "core/send_message.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/names.hpp"
#include "core/token.hpp"
#include "core/wire.hpp"

namespace parley {
namespace {

using MaybeError = std::optional<WireError>;

/// The first user property of that name.
std::optional<std::string_view> property(const link::InboundRecord& record, std::string_view key) {
  for (const link::Property& property : record.properties) {
    if (property.key == key) return property.value;
  }
  return std::nullopt;
}

/// Fills `into` from a user property that must be a decimal number, if there is one.
MaybeError take_number(const link::InboundRecord& record, std::string_view key,
                       std::uint32_t& into) {
  const auto text = property(record, key);
  if (!text) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), into);
  if (error == std::errc{} && end == text->data() + text->size()) return std::nullopt;
  return WireError{Code::bad_payload, std::string{key} + " is not a decimal number"};
}

MaybeError too_large(std::string_view what, std::size_t max, std::string_view unit) {
  return WireError{Code::too_large,
                   std::string{what} + " exceeds " + std::to_string(max) + std::string{unit}};
}

/// Before decoding: what is too large is not worth it. Of what the plugin found too large the
/// payload has not come along.
MaybeError check_payload_size(const link::InboundRecord& record, Format format,
                              const Limits& limits) {
  const bool is_text = format == Format::text;
  const std::size_t max = is_text ? limits.text_bytes_max : limits.payload_bytes_max;
  if (record.refused != Code::too_large && record.payload.size() <= max) return std::nullopt;
  return too_large(is_text ? "text" : "payload", max, " bytes");
}

/// Before decoding: what does not depend on the payload.
MaybeError check_envelope(const link::InboundRecord& record, const SendTopic& topic,
                          const Limits& limits) {
  if (record.refused) {
    return check_payload_size(record, topic.format, limits)
        .value_or(WireError{*record.refused, ""});
  }
  if ((record.scope & scope::send) == 0) {
    return WireError{Code::forbidden, "the token has no scope send"};
  }
  if (!is_name(topic.to)) return WireError{Code::user_not_found, "no such name"};
  return check_payload_size(record, topic.format, limits);
}

/// The most that a message may take in its longest form: below what the link to the plugin is
/// proved to carry (link::probe_bytes), with room for the names around it.
constexpr std::size_t json_bytes_max = 512 * 1024;
static_assert(json_bytes_max + 64 * 1024 < link::probe_bytes);

/// No less than its JSON form takes: a control character takes six bytes.
std::size_t json_bytes_may_be(const Content& content) {
  std::size_t bytes =
      content.kind.size() + content.text.size() + content.content_type.size() + content.body.size();
  for (const auto& mention : content.mentions) bytes += mention.size() + 1;
  for (const auto& attachment : content.attachments) {
    bytes += attachment.name.size() + attachment.content_type.size() + attachment.url.size() +
             attachment.sha256.size() + attachment.preview.size() + 64;
  }
  return bytes * 6 + 1024;
}

MaybeError check_content(const Send& send, const Limits& limits) {
  const Content& content = send.content;
  if (content.text.size() > limits.text_bytes_max) {
    return too_large("text", limits.text_bytes_max, " bytes");
  }
  if (content.attachments.size() > limits.attachments_max) {
    return too_large("the number of attachments", limits.attachments_max, "");
  }
  if (content.mentions.size() > limits.mentions_max) {
    return too_large("the number of mentions", limits.mentions_max, "");
  }
  if (json_bytes_may_be(content) > json_bytes_max) {
    Message message;
    message.content = content;
    if (encode_message(Format::json, message, false).size() > json_bytes_max) {
      return too_large("the message written as JSON", json_bytes_max, " bytes");
    }
  }
  if (content.kind == "system") {
    return WireError{Code::bad_payload, "kind system is written by the server only"};
  }
  if (send.ttl_s > ttl_max_s) {
    return WireError{Code::bad_payload, "ttl exceeds " + std::to_string(ttl_max_s) + " seconds"};
  }
  return std::nullopt;
}

/// The id of the request: of the topic, else of the payload, else of the user property, whose form
/// nobody has checked yet.
std::string_view id_of(const link::InboundRecord& record, const SendTopic& topic,
                       std::string_view payload_id) {
  if (!topic.id.empty()) return topic.id;
  if (!payload_id.empty()) return payload_id;
  return property(record, "id").value_or(std::string_view{});
}

/// What the answer to a refused record is called by; only a well-formed id.
std::string id_of_refused(const link::InboundRecord& record, const SendTopic& topic,
                          const Limits& limits) {
  std::string payload_id;
  if (topic.id.empty() && topic.format != Format::text &&
      !check_payload_size(record, topic.format, limits)) {
    auto send = decode_send(topic.format, record.payload);
    payload_id = std::move(send ? send->id : send.error().id);
  }
  const std::string_view id = id_of(record, topic, payload_id);
  return is_request_id(id) ? std::string{id} : std::string{};
}

}  // namespace

Result<SendMessage, Refused> admit_send(const link::InboundRecord& record, const SendTopic& topic,
                                        const Limits& limits) {
  if (auto error = check_envelope(record, topic, limits)) {
    return failed(Refused{error->code, id_of_refused(record, topic, limits),
                          std::move(error->detail), topic.format});
  }
  auto send = decode_send(topic.format, record.payload);
  const std::string id{id_of(record, topic, send ? send->id : send.error().id)};
  const bool id_is_good = id.empty() || is_request_id(id);
  const auto refuse = [&](WireError error) {
    return failed(Refused{error.code, id_is_good ? id : std::string{}, std::move(error.detail),
                          topic.format});
  };
  if (!send) return refuse(send.error());
  if (!id_is_good) {
    return refuse({Code::bad_payload, "id must be 1 to 64 of A-Z a-z 0-9 _ . : - and not - alone"});
  }
  if (topic.format == Format::text) {
    if (auto error = take_number(record, "reply-to", send->content.reply_to)) return refuse(*error);
    if (auto error = take_number(record, "ttl", send->ttl_s)) return refuse(*error);
  }
  if (auto error = check_content(*send, limits)) return refuse(*error);
  return SendMessage{std::string{topic.to}, id, std::move(send->content), send->ttl_s,
                     topic.format};
}

}  // namespace parley
