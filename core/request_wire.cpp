#include "core/request_wire.hpp"

#include <google/protobuf/message.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/proto_json.hpp"
#include "core/proto_parse.hpp"
#include "schema/proto/parley/v1/client.pb.h"

namespace parley {
namespace {

using google::protobuf::FieldDescriptor;
using ProtoMessage = google::protobuf::Message;

/// What a method is asked with, and which member of a Reply answers it.
struct Shape {
  const ProtoMessage* request;
  int result_field;
};

template <class Proto>
const ProtoMessage* shape() {
  return &Proto::default_instance();
}

const std::map<std::string_view, Shape>& shapes() {
  using Reply = v1::Reply;
  static const std::map<std::string_view, Shape> all{
      {"sync", {shape<v1::SyncRequest>(), Reply::kSyncFieldNumber}},
      {"receipts", {shape<v1::ReceiptsRequest>(), Reply::kReceiptsFieldNumber}},
      {"room.create", {shape<v1::RoomCreateRequest>(), Reply::kRoomCreateFieldNumber}},
      {"room.add", {shape<v1::RoomUsersRequest>(), Reply::kUsersFieldNumber}},
      {"room.invite", {shape<v1::RoomUsersRequest>(), Reply::kUsersFieldNumber}},
      {"room.kick", {shape<v1::RoomUsersRequest>(), Reply::kUsersFieldNumber}},
      {"room.join", {shape<v1::RoomRequest>(), Reply::kEmptyFieldNumber}},
      {"room.leave", {shape<v1::RoomRequest>(), Reply::kEmptyFieldNumber}},
      {"room.role", {shape<v1::RoomRoleRequest>(), Reply::kEmptyFieldNumber}},
      {"room.set", {shape<v1::RoomSetRequest>(), Reply::kEmptyFieldNumber}},
      {"room.get", {shape<v1::RoomRequest>(), Reply::kRoomGetFieldNumber}},
      {"room.list", {shape<v1::Empty>(), Reply::kRoomsFieldNumber}},
      {"room.find", {shape<v1::RoomFindRequest>(), Reply::kRoomsFieldNumber}},
      {"msg.edit", {shape<v1::MsgEditRequest>(), Reply::kEmptyFieldNumber}},
      {"msg.delete", {shape<v1::MsgRequest>(), Reply::kEmptyFieldNumber}},
      {"msg.react", {shape<v1::MsgReactRequest>(), Reply::kEmptyFieldNumber}},
      {"msg.pin", {shape<v1::MsgPinRequest>(), Reply::kEmptyFieldNumber}},
      {"conv.mute", {shape<v1::ConvMuteRequest>(), Reply::kEmptyFieldNumber}},
      {"conv.archive", {shape<v1::ConvArchiveRequest>(), Reply::kEmptyFieldNumber}},
      {"contact.request", {shape<v1::UserRequest>(), Reply::kEmptyFieldNumber}},
      {"contact.accept", {shape<v1::UserRequest>(), Reply::kEmptyFieldNumber}},
      {"contact.decline", {shape<v1::UserRequest>(), Reply::kEmptyFieldNumber}},
      {"contact.remove", {shape<v1::UserRequest>(), Reply::kEmptyFieldNumber}},
      {"contact.list", {shape<v1::Empty>(), Reply::kContactsFieldNumber}},
      {"block.add", {shape<v1::UserRequest>(), Reply::kEmptyFieldNumber}},
      {"block.remove", {shape<v1::UserRequest>(), Reply::kEmptyFieldNumber}},
      {"block.list", {shape<v1::Empty>(), Reply::kNamesFieldNumber}},
      {"presence.get", {shape<v1::PresenceRequest>(), Reply::kPresenceFieldNumber}},
      {"device.list", {shape<v1::Empty>(), Reply::kDevicesFieldNumber}},
      {"me.get", {shape<v1::Empty>(), Reply::kProfileFieldNumber}},
      {"me.set", {shape<v1::MeSetRequest>(), Reply::kProfileFieldNumber}},
      {"user.search", {shape<v1::UserSearchRequest>(), Reply::kUserSearchFieldNumber}},
  };
  return all;
}

bool has_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

/// Whether the database has a place for it: years 1 to 9999.
bool is_time(const google::protobuf::Timestamp& time) {
  constexpr std::int64_t first_s = -62'135'596'800;
  constexpr std::int64_t last_s = 253'402'300'799;
  return time.seconds() >= first_s && time.seconds() <= last_s && time.nanos() >= 0 &&
         time.nanos() < 1'000'000'000;
}

const FieldDescriptor* bad_field(const ProtoMessage& message);

/// @param i  which one of a list
bool is_good(const ProtoMessage& message, const FieldDescriptor& field, int i) {
  const auto& from = *message.GetReflection();
  std::string scratch;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    return !has_nul(field.is_repeated()
                        ? from.GetRepeatedStringReference(message, &field, i, &scratch)
                        : from.GetStringReference(message, &field, &scratch));
  }
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return true;
  const auto& inner = field.is_repeated() ? from.GetRepeatedMessage(message, &field, i)
                                          : from.GetMessage(message, &field);
  if (inner.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    return is_time(static_cast<const google::protobuf::Timestamp&>(inner));
  }
  return bad_field(inner) == nullptr;
}

/// A field that PostgreSQL has no place for: text with NUL, a time that is none; null if there is
/// no such field.
const FieldDescriptor* bad_field(const ProtoMessage& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const auto* const field : fields) {
    const int count = field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (!is_good(message, *field, i)) return field;
    }
  }
  return nullptr;
}

/// An empty time is none, which the library does not know.
/// @return whether there was one; `without` is the rest then
bool without_empty_times(std::string_view payload, const ProtoMessage& like, std::string& without) {
  auto json = nlohmann::json::parse(payload, nullptr, false);
  if (!json.is_object()) return false;
  bool found = false;
  const auto& schema = *like.GetDescriptor();
  for (int i = 0; i < schema.field_count(); ++i) {
    const auto& field = *schema.field(i);
    const auto value = json.find(field.name());
    if (value == json.end() || *value != "" ||
        field.message_type() != google::protobuf::Timestamp::descriptor()) {
      continue;
    }
    json.erase(value);
    found = true;
  }
  without = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return found;
}

WireError bad(std::string detail) { return {Code::bad_payload, std::move(detail)}; }

}  // namespace

Result<std::string, WireError> request_json(std::string_view method, Format format,
                                            std::string_view payload) {
  const auto found = shapes().find(method);
  if (found == shapes().end()) return failed(bad("no such method"));
  const std::unique_ptr<ProtoMessage> request{found->second.request->New()};
  // Who has nothing to say may say nothing.
  const bool nothing = format == Format::json && payload.empty();
  std::string without;
  auto parsed = parse_message(format, nothing ? "{}" : payload, *request);
  if (!parsed && format == Format::json && without_empty_times(payload, *request, without)) {
    parsed = parse_message(format, without, *request);
  }
  if (!parsed) return failed(parsed.error());
  if (const auto* const field = bad_field(*request)) {
    return failed(bad(field->name() + " holds NUL, or no time"));
  }
  std::string json;
  append_json(*request, json);
  return json;
}

std::optional<std::string> encode_result(Format format, std::string_view method,
                                         const std::string& id, const std::string& result) {
  const auto found = shapes().find(method);
  if (found == shapes().end()) return std::nullopt;
  v1::Reply reply;
  reply.set_id(id.empty() ? "-" : id);
  reply.set_ok(true);
  const auto* const field = v1::Reply::descriptor()->FindFieldByNumber(found->second.result_field);
  auto* const into = reply.GetReflection()->MutableMessage(&reply, field);
  if (!parse_message(Format::json, result, *into)) return std::nullopt;
  if (format == Format::pb) return reply.SerializeAsString();
  // Clients need not know which of the schema's results it is: it has one name.
  std::string json = R"({"id":")" + reply.id() + R"(","ok":true,"result":)";
  append_json(*into, json);
  return json + "}";
}

std::optional<std::string> encode_event(Format format, const Event& event) {
  v1::Event to;
  if (!parse_message(Format::json, event.what, to)) return std::nullopt;
  if (to.what_case() == v1::Event::WHAT_NOT_SET) return std::nullopt;
  to.set_conv(event.conv.empty() ? "-" : event.conv);
  to.set_rev(event.rev);
  put_time(event.time, *to.mutable_time());
  if (format == Format::pb) return to.SerializeAsString();
  std::string json;
  append_json(to, json);
  return json;
}

}  // namespace parley
