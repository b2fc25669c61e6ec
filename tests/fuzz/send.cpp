// A `send` in each form: whatever is accepted is the same after it has been written and read again,
// in both forms, and as what is stored beside the text.

#include "core/request.hpp"
#include "core/send_message.hpp"
#include "core/wire.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

void check_again(const Send& send, Format format) {
  const auto again = decode_send(format, encode_send(format, send));
  require(again.has_value(), "what we write we read");
  require(again->content == send.content && again->id == send.id && again->ttl_s == send.ttl_s,
          "nothing is lost on the way");
  require(request_hash(again->content, again->ttl_s) == request_hash(send.content, send.ttl_s),
          "the format is no part of the hash");
}

void check(Format format, std::string_view payload) {
  const auto send = decode_send(format, payload);
  if (!send) {
    require(send.error().code == Code::bad_payload, "the code of a bad payload");
    require(is_clean_text(send.error().detail), "a detail for people is text");
    return;
  }
  require(!send->content.kind.empty(), "a kind is never empty");
  require(is_clean_text(send->content.text), "a text is text");
  // Other kinds pass through as they are, and may say all they have to by their name.
  const bool has_content = send->content.kind == "text" || send->content.kind == "media";
  require(!has_content || !send->content.text.empty() || !send->content.body.empty() ||
              !send->content.attachments.empty(),
          "something is said");
  check_again(*send, Format::json);
  check_again(*send, Format::pb);
  Content stored;
  stored.kind = send->content.kind;
  stored.text = send->content.text;
  require(decode_content_rest(encode_content_rest(send->content), stored),
          "what is stored is read");
  require(stored == send->content, "nothing is lost in storage");
}

void check_admission(fuzz::Input& input) {
  link::InboundRecord record;
  const auto format = static_cast<Format>(input.byte() % 3);
  const std::string id{input.text(70)};
  if (input.byte() % 4 == 0) {
    record.properties = {{"id", std::string{input.text(70)}},
                         {"ttl", std::string{input.text(12)}},
                         {"reply-to", std::string{input.text(12)}}};
  }
  record.payload = input.rest();
  const auto admitted = admit_send(record, SendTopic{format, "bob", id}, Limits{});
  if (!admitted) return;
  require(admitted->ttl_s <= ttl_max_s, "a ttl within the server's life");
  require(admitted->content.text.size() <= Limits{}.text_bytes_max, "the limits hold");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  switch (input.byte() % 4) {
    case 0:
      check(Format::json, input.rest());
      break;
    case 1:
      check(Format::pb, input.rest());
      break;
    case 2:
      check(Format::text, input.rest());
      break;
    default:
      check_admission(input);
      break;
  }
  return 0;
}
