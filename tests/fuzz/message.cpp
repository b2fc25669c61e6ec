// Messages as they go to clients: what our JSON writer writes is JSON, and says what was meant.

#include <nlohmann/json.hpp>

#include "core/utf8.hpp"
#include "core/wire.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

/// The product never writes text that is not UTF-8: it comes from decode_send or the database.
std::string some_text(fuzz::Input& input) {
  const auto text = input.text();
  return is_utf8(text) ? std::string{text} : std::string{};
}

Message some_message(fuzz::Input& input) {
  Message message;
  message.id = some_text(input);
  message.conv = some_text(input);
  message.from = some_text(input);
  message.seq = static_cast<Seq>(input.number(4));
  message.rev = static_cast<Rev>(input.number(4));
  // The years 1970 to 9999.
  message.time = UnixMillis{static_cast<std::int64_t>(input.number(6) % 253'402'300'800'000U)};
  message.content.kind = some_text(input);
  if (message.content.kind.empty()) message.content.kind = "text";
  message.content.text = some_text(input);
  message.content.content_type = some_text(input);
  message.content.body = input.text();
  message.content.reply_to = static_cast<std::uint32_t>(input.number(4));
  for (int i = input.byte() % 4; i > 0; --i) message.content.mentions.push_back(some_text(input));
  for (int i = input.byte() % 3; i > 0; --i) {
    Attachment attachment;
    attachment.name = some_text(input);
    attachment.content_type = some_text(input);
    attachment.size = static_cast<std::uint32_t>(input.number(4));
    attachment.url = some_text(input);
    attachment.sha256 = input.text();
    attachment.preview = input.text();
    message.content.attachments.push_back(std::move(attachment));
  }
  message.deleted = input.byte() % 2 == 0;
  if (input.byte() % 2 == 0) message.edited_time = message.time;
  return message;
}

bool same(const Message& one, const Message& other) {
  return one.id == other.id && one.conv == other.conv && one.from == other.from &&
         one.seq == other.seq && one.rev == other.rev && one.time == other.time &&
         one.content == other.content && one.edited_time == other.edited_time &&
         one.deleted == other.deleted && one.expires_time == other.expires_time;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  const Message message = some_message(input);
  const std::string written = encode_message(Format::json, message, true);
  const auto json = nlohmann::json::parse(written, nullptr, false);
  require(!json.is_discarded(), "it is JSON");
  require(json["id"] == message.id && json["conv"] == message.conv &&
              json["from"] == message.from && json["text"] == message.content.text &&
              json["kind"] == message.content.kind,
          "texts are what they were");
  require(json["seq"] == message.seq && json["rev"] == message.rev &&
              json["reply_to"] == message.content.reply_to,
          "numbers are what they were");
  require(json["mentions"] == nlohmann::json(message.content.mentions), "mentions too");
  require(json["attachments"].size() == message.content.attachments.size(), "attachments too");
  require(json["time"].get<std::string>().size() == 24, "times have three decimals");
  for (const auto format : {Format::json, Format::pb}) {
    const auto again = decode_message(format, encode_message(format, message, true));
    require(again.has_value() && same(*again, message), "a message is read as it is written");
  }
  (void)encode_message(Format::text, message, false);
  return 0;
}
