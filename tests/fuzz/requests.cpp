// What else comes as a payload: `do` requests, and the answers as our own clients read them.

#include "core/methods.hpp"
#include "core/request_wire.hpp"
#include "core/wire.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

void check_history(Format format, std::string_view payload) {
  const auto request = decode_history_request(format, payload);
  if (request) return;
  require(request.error().code == Code::bad_payload, "the code of a bad payload");
  require(is_clean_text(request.error().detail), "a detail for people is text");
}

bool same(const Ack& one, const Ack& other) {
  return one.id == other.id && one.ok == other.ok && one.code == other.code &&
         one.detail == other.detail && one.conv == other.conv && one.seq == other.seq &&
         one.rev == other.rev;
}

void check_ack(Format format, std::string_view payload) {
  const auto ack = decode_ack(format, payload);
  if (!ack || !is_clean_text(ack->id + ack->detail + ack->conv)) return;
  for (const auto form : {Format::json, Format::pb}) {
    const auto again = decode_ack(form, encode_ack(form, *ack));
    require(again.has_value() && same(*again, *ack), "an ack is read as it is written");
  }
}

void check_reply(Format format, std::string_view payload) {
  const auto reply = decode_reply(format, payload);
  if (!reply) return;
  const auto* const history = std::get_if<HistoryResult>(&reply->result);
  for (const auto form : {Format::json, Format::pb}) {
    const auto again = decode_reply(form, encode_reply(form, *reply));
    require(again.has_value() && again->result.index() == reply->result.index(),
            "a reply is read as it is written");
    if (history == nullptr) continue;
    require(std::get<HistoryResult>(again->result).messages.size() == history->messages.size(),
            "with all its messages");
  }
}

/// What the database is asked is read again as the same.
void check_method(std::uint8_t chosen, Format format, std::string_view payload) {
  const auto& method = methods()[chosen % methods().size()];
  const auto json = request_json(method.name, format, payload);
  if (!json) {
    require(json.error().code == Code::bad_payload, "the code of a bad payload");
    require(is_clean_text(json.error().detail), "a detail for people is text");
    return;
  }
  require(is_clean_text(*json), "what the database is asked is text");
  const auto again = request_json(method.name, Format::json, *json);
  require(again.has_value() && *again == *json, "a request is read as it is written");
}

/// What the database says is our own, but its texts are not.
void check_told(std::uint8_t chosen, std::string_view payload) {
  const auto& method = methods()[chosen % methods().size()];
  for (const auto form : {Format::json, Format::pb}) {
    (void)encode_result(form, method.name, "1", std::string{payload});
    (void)encode_event(form, {"bob", 1, UnixMillis{0}, std::string{payload}});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  const auto sort = input.byte();
  const auto format = sort % 2 == 0 ? Format::json : Format::pb;
  switch (sort / 2 % 5) {
    case 0:
      check_history(format, input.rest());
      break;
    case 1:
      check_ack(format, input.rest());
      break;
    case 2:
      check_method(input.byte(), format, input.rest());
      break;
    case 3:
      check_told(input.byte(), input.rest());
      break;
    default:
      check_reply(format, input.rest());
      break;
  }
  return 0;
}
