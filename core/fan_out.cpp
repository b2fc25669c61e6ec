#include "core/fan_out.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/topic.hpp"

namespace parley {
namespace {

struct Form {
  std::uint32_t feed;
  Format format;
  bool sent;
};
constexpr std::array<Form, 5> forms{{{feed::inbox_text, Format::text, false},
                                     {feed::inbox_json, Format::json, false},
                                     {feed::inbox_pb, Format::pb, false},
                                     {feed::sent_json, Format::json, true},
                                     {feed::sent_pb, Format::pb, true}}};

link::Delivery delivery_of(const Message& message, bool is_room, const Form& form) {
  link::Delivery delivery;
  delivery.suffix =
      form.sent ? sent_rest(form.format, message.conv) : inbox_rest(form.format, message.conv);
  delivery.payload = encode_message(form.format, message, is_room);
  delivery.qos = 1;
  if (form.format == Format::text) delivery.properties = text_properties(message);
  return delivery;
}

}  // namespace

const Member* Conversation::find(UserId user) const {
  const auto found =
      std::lower_bound(members.begin(), members.end(), user,
                       [](const Member& member, UserId wanted) { return member.user < wanted; });
  return found != members.end() && found->user == user ? &*found : nullptr;
}

std::string_view conv_for(const Conversation& conversation, UserId member) {
  if (conversation.is_room) return conversation.room;
  for (const auto& other : conversation.members) {
    if (other.user != member) return other.name;
  }
  return conversation.members.empty() ? std::string_view{} : conversation.members.front().name;
}

std::vector<link::Property> text_properties(const Message& message) {
  std::vector<link::Property> properties{{"from", message.from},
                                         {"seq", std::to_string(message.seq)},
                                         {"time", format_time(message.time)}};
  if (!message.id.empty()) properties.push_back({"id", message.id});
  return properties;
}

std::vector<link::Delivery> fan_out(
    const StoredMessage& stored, const Conversation& conversation,
    const std::function<std::uint32_t(std::string_view)>& feeds_of) {
  // In a room everybody reads the same payload; in a 1:1 conversation `conv` differs, but there
  // each form has one reader.
  std::array<std::vector<std::string>, forms.size()> readers;
  for (const auto& member : conversation.members) {
    const std::uint32_t feeds = feeds_of(member.name);
    if (feeds == 0) continue;
    const bool own = member.user == stored.sender;
    for (std::size_t i = 0; i < forms.size(); ++i) {
      if (forms[i].sent == own && (feeds & forms[i].feed) != 0) readers[i].push_back(member.name);
    }
  }
  const auto reader = [&](bool own) {
    for (const auto& member : conversation.members) {
      if ((member.user == stored.sender) == own) return member.user;
    }
    return stored.sender;
  };
  std::vector<link::Delivery> deliveries;
  Message message = stored.message;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    if (readers[i].empty()) continue;
    message.conv = conv_for(conversation, reader(forms[i].sent));
    deliveries.push_back(delivery_of(message, conversation.is_room, forms[i]));
    deliveries.back().to = std::move(readers[i]);
  }
  return deliveries;
}

std::vector<link::Delivery> deliver_to_session(const StoredMessage& stored, bool is_room,
                                               std::string_view conv,
                                               const link::Session& session) {
  std::vector<link::Delivery> deliveries;
  const bool own = stored.sender == session.user_id;
  Message message = stored.message;
  message.conv = conv;
  for (const auto& form : forms) {
    if (form.sent != own || (session.feeds & form.feed) == 0) continue;
    deliveries.push_back(delivery_of(message, is_room, form));
    deliveries.back().to = {session.user};
    deliveries.back().session_no = session.session_no;
  }
  return deliveries;
}

std::vector<link::Delivery> deliver_event(const Event& event, std::uint32_t feeds,
                                          const std::vector<std::string>& to,
                                          SessionNo session_no) {
  std::vector<link::Delivery> deliveries;
  for (const auto& [bit, format] :
       {std::pair{feed::event_json, Format::json}, std::pair{feed::event_pb, Format::pb}}) {
    if ((feeds & bit) == 0) continue;
    auto payload = encode_event(format, event);
    if (!payload) return {};
    link::Delivery delivery;
    delivery.to = to;
    delivery.suffix = event_rest(format, event.conv.empty() ? "-" : event.conv);
    delivery.payload = std::move(*payload);
    delivery.qos = 1;
    delivery.session_no = session_no;
    deliveries.push_back(std::move(delivery));
  }
  return deliveries;
}

}  // namespace parley
