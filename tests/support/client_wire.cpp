#include "tests/support/client_wire.hpp"

#include <google/protobuf/util/json_util.h>

#include <map>
#include <memory>
#include <stdexcept>

#include "core/proto_json.hpp"
#include "schema/proto/parley/v1/client.pb.h"

namespace parley::test {
namespace {

using google::protobuf::Message;
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

/// Clients need not know which of the schema's results it is: in JSON it has one name.
std::string json_of_reply(const v1::Reply& reply) {
  std::string json = R"({"id":")" + reply.id() + R"(","ok":)";
  if (!reply.ok()) {
    v1::Ack words;  // for their quotes
    words.set_code(reply.code());
    words.set_detail(reply.detail());
    std::string quoted;
    append_json(words, quoted);
    const auto begin = quoted.find(R"("code")");
    return json + "false," + quoted.substr(begin, quoted.find(R"(,"conv")") - begin) + "}";
  }
  const auto* const result = v1::Reply::descriptor()->FindOneofByName("result");
  const auto* const field = reply.GetReflection()->GetOneofFieldDescriptor(reply, result);
  if (field == nullptr) throw std::runtime_error("a reply without result");
  json += R"(true,"result":)";
  append_json(reply.GetReflection()->GetMessage(reply, field), json);
  return json + "}";
}

}  // namespace

std::string pb_of(const std::string& rest, const std::string& json) {
  const auto message = message_for(rest);
  if (json.empty()) return {};  // who has nothing to say may say nothing
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(json, message.get(), options);
  if (!status.ok()) throw std::runtime_error(rest + ": " + std::string{status.message()});
  return message->SerializeAsString();
}

std::string json_of(const std::string& rest, const std::string& pb) {
  const auto message = message_for(rest);
  if (!message->ParseFromString(pb)) throw std::runtime_error(rest + " cannot be read");
  if (const auto* const reply = dynamic_cast<const v1::Reply*>(message.get())) {
    return json_of_reply(*reply);
  }
  std::string json;
  append_json(*message, json);
  return json;
}

}  // namespace parley::test
