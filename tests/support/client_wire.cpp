#include "tests/support/client_wire.hpp"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>

#include "schema/proto/parley/v1/client.pb.h"

namespace parley::test {
namespace {

using google::protobuf::Message;
using Json = nlohmann::json;
using Prototypes = std::map<std::string, const Message*>;

template <class Proto>
const Message* like() {
  return &Proto::default_instance();
}

const Prototypes& requests() {
  static const Prototypes all{
      {"sync", like<v1::SyncRequest>()},
      {"history", like<v1::HistoryRequest>()},
      {"receipts", like<v1::ReceiptsRequest>()},
      {"search", like<v1::SearchRequest>()},
      {"mentions", like<v1::MentionsRequest>()},
      {"room.create", like<v1::RoomCreateRequest>()},
      {"room.add", like<v1::RoomUsersRequest>()},
      {"room.invite", like<v1::RoomUsersRequest>()},
      {"room.join", like<v1::RoomRequest>()},
      {"room.leave", like<v1::RoomRequest>()},
      {"room.kick", like<v1::RoomUsersRequest>()},
      {"room.role", like<v1::RoomRoleRequest>()},
      {"room.set", like<v1::RoomSetRequest>()},
      {"room.get", like<v1::RoomRequest>()},
      {"room.list", like<v1::Empty>()},
      {"room.find", like<v1::RoomFindRequest>()},
      {"msg.edit", like<v1::MsgEditRequest>()},
      {"msg.delete", like<v1::MsgRequest>()},
      {"msg.react", like<v1::MsgReactRequest>()},
      {"msg.pin", like<v1::MsgPinRequest>()},
      {"conv.mute", like<v1::ConvMuteRequest>()},
      {"conv.archive", like<v1::ConvArchiveRequest>()},
      {"contact.request", like<v1::UserRequest>()},
      {"contact.accept", like<v1::UserRequest>()},
      {"contact.decline", like<v1::UserRequest>()},
      {"contact.remove", like<v1::UserRequest>()},
      {"contact.list", like<v1::Empty>()},
      {"block.add", like<v1::UserRequest>()},
      {"block.remove", like<v1::UserRequest>()},
      {"block.list", like<v1::Empty>()},
      {"presence.get", like<v1::PresenceRequest>()},
      {"device.list", like<v1::Empty>()},
      {"device.remove", like<v1::DeviceRequest>()},
      {"token.issue", like<v1::TokenIssueRequest>()},
      {"token.revoke_all", like<v1::Empty>()},
      {"me.get", like<v1::Empty>()},
      {"me.set", like<v1::MeSetRequest>()},
      {"me.export", like<v1::Empty>()},
      {"me.erase", like<v1::MeEraseRequest>()},
      {"user.search", like<v1::UserSearchRequest>()},
  };
  return all;
}

const Prototypes& by_verb() {
  static const Prototypes all{{"send", like<v1::Send>()},    {"inbox", like<v1::Message>()},
                              {"sent", like<v1::Message>()}, {"ack", like<v1::Ack>()},
                              {"event", like<v1::Event>()},  {"re", like<v1::Reply>()}};
  return all;
}

/// "room.create" of "do.json/room.create/1"
std::string second_level(const std::string& rest) {
  const auto begin = rest.find('/') + 1;
  return rest.substr(begin, rest.find('/', begin) - begin);
}

std::unique_ptr<Message> message_for(const std::string& rest) {
  const auto verb = rest.substr(0, rest.find('.'));
  const bool is_do = verb == "do";
  const Prototypes& among = is_do ? requests() : by_verb();
  const auto found = among.find(is_do ? second_level(rest) : verb);
  if (found == among.end()) throw std::runtime_error(rest + " has no message of the schema");
  return std::unique_ptr<Message>{found->second->New()};
}

/// Everything that has no presence is printed, with the schema's names.
std::string printed(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) throw std::runtime_error(std::string{status.message()});
  return json;
}

/// The library prints as many decimals as there are; here there are always three.
void set_decimals(Json& json) {
  static const std::regex time{R"((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z)"};
  if (json.is_structured()) {
    for (auto& part : json) set_decimals(part);
  } else if (json.is_string()) {
    std::smatch parts;
    const auto text = json.get<std::string>();
    if (std::regex_match(text, parts, time) && !parts[2].matched) {
      json = parts[1].str() + ".000Z";
    }
  }
}

void read_json(const std::string& rest, const std::string& json, Message& into) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &into, options);
  if (!status.ok()) throw std::runtime_error(rest + ": " + std::string{status.message()});
}

const google::protobuf::FieldDescriptor* result_of(const v1::Reply& reply) {
  const auto* const results = v1::Reply::descriptor()->FindOneofByName("result");
  return reply.GetReflection()->GetOneofFieldDescriptor(reply, results);
}

/// Clients need not know which of the schema's results it is: in JSON it has one name.
Json json_of_reply(const v1::Reply& reply) {
  Json json{{"id", reply.id()}, {"ok", reply.ok()}};
  if (!reply.ok()) {
    json["code"] = reply.code();
    json["detail"] = reply.detail();
    return json;
  }
  const auto* const field = result_of(reply);
  if (field == nullptr) throw std::runtime_error("a reply without result");
  json["result"] = Json::parse(printed(reply.GetReflection()->GetMessage(reply, field)));
  return json;
}

/// The same reply, from its JSON. @param like  whose kind of result it is
v1::Reply reply_of(const std::string& rest, const std::string& json, const v1::Reply& like) {
  Json parts = Json::parse(json);
  const Json result = parts.value("result", Json::object());
  const bool has_result = parts.erase("result") > 0;
  v1::Reply reply;
  read_json(rest, parts.dump(), reply);
  const auto* const field = result_of(like);
  if (has_result && field != nullptr) {
    read_json(rest, result.dump(), *reply.GetReflection()->MutableMessage(&reply, field));
  }
  return reply;
}

}  // namespace

std::string pb_of(const std::string& rest, const std::string& json) {
  const auto message = message_for(rest);
  if (json.empty()) return {};  // who has nothing to say may say nothing
  read_json(rest, json, *message);
  return message->SerializeAsString();
}

std::string json_of(const std::string& rest, const std::string& pb) {
  const auto message = message_for(rest);
  if (!message->ParseFromString(pb)) throw std::runtime_error(rest + " cannot be read");
  const auto* const reply = dynamic_cast<const v1::Reply*>(message.get());
  Json json = reply == nullptr ? Json::parse(printed(*message)) : json_of_reply(*reply);
  set_decimals(json);
  return json.dump();
}

std::string differs(const std::string& rest, const std::string& json, const std::string& pb) {
  const auto message = message_for(rest);
  if (!message->ParseFromString(pb)) throw std::runtime_error(rest + " cannot be read");
  const auto expected = message_for(rest);
  if (const auto* const reply = dynamic_cast<const v1::Reply*>(message.get())) {
    expected->CopyFrom(reply_of(rest, json, *reply));
  } else {
    read_json(rest, json, *expected);
  }
  std::string report;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  return differencer.Compare(*expected, *message) ? "" : rest + ": " + report;
}

}  // namespace parley::test
