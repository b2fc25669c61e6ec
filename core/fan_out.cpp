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

/// @param message  without its `conv`
link::Delivery delivery_of(const Message& message, std::string_view conv, bool is_room,
                           const Form& form) {
  link::Delivery delivery;
  delivery.suffix = form.sent ? sent_rest(form.format, conv) : inbox_rest(form.format, conv);
  delivery.qos = 1;
  if (form.format == Format::text) {  // says nothing of it
    delivery.payload = encode_message(form.format, message, is_room);
    delivery.properties = text_properties(message);
    return delivery;
  }
  Message named = message;
  named.conv = conv;
  delivery.payload = encode_message(form.format, named, is_room);
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
  std::vector<link::Property> properties;
  properties.reserve(4);
  properties.push_back({"from", message.from});
  properties.push_back({"seq", std::to_string(message.seq)});
  properties.push_back({"time", format_time(message.time)});
  if (!message.id.empty()) properties.push_back({"id", message.id});
  return properties;
}

void fan_out(const StoredMessage& stored, const Conversation& conversation,
             const std::function<std::uint32_t(std::string_view)>& feeds_of,
             const link::Deliver& deliver) {
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
  for (std::size_t i = 0; i < forms.size(); ++i) {
    if (readers[i].empty()) continue;
    const auto conv = conv_for(conversation, reader(forms[i].sent));
    auto delivery = delivery_of(stored.message, conv, conversation.is_room, forms[i]);
    delivery.to = std::move(readers[i]);
    deliver(std::move(delivery));
  }
}

std::vector<link::Delivery> deliver_to_session(const StoredMessage& stored, bool is_room,
                                               std::string_view conv,
                                               const link::Session& session) {
  std::vector<link::Delivery> deliveries;
  const bool own = stored.sender == session.user_id;
  for (const auto& form : forms) {
    if (form.sent != own || (session.feeds & form.feed) == 0) continue;
    deliveries.push_back(delivery_of(stored.message, conv, is_room, form));
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
