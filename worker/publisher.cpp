#include "worker/publisher.hpp"

#include <utility>
#include <vector>

#include "core/topic.hpp"
#include "worker/log.hpp"

namespace parley {
namespace {

/// @param to  who have subscribed events; all of them call the conversation by `event.conv`
std::vector<link::Delivery> event_deliveries(const Event& event, std::uint32_t feeds,
                                             const std::vector<std::string>& to) {
  std::vector<link::Delivery> deliveries;
  for (const auto& [bit, format] :
       {std::pair{feed::event_json, Format::json}, std::pair{feed::event_pb, Format::pb}}) {
    if ((feeds & bit) == 0) continue;
    auto payload = encode_event(format, event);
    if (!payload) {
      log::error("event=bad_event conv={} rev={}", event.conv, event.rev);
      return {};
    }
    link::Delivery delivery;
    delivery.to = to;
    delivery.suffix = event_rest(format, event.conv.empty() ? "-" : event.conv);
    delivery.payload = std::move(*payload);
    delivery.qos = 1;
    deliveries.push_back(std::move(delivery));
  }
  return deliveries;
}

}  // namespace

std::uint32_t Publisher::feeds_of(std::string_view user) const {
  // Not knowing who is there costs some publishes that nobody gets, never a message.
  return plugin_.sessions_sure() ? sessions_.feeds_of(user) : feed::all_but_state;
}

void Publisher::message(const std::shared_ptr<const StoredMessage>& stored,
                        const Conversation& conversation) {
  for (auto& delivery :
       fan_out(*stored, conversation, [this](std::string_view user) { return feeds_of(user); })) {
    plugin_.deliver(std::move(delivery));
  }
  for (const auto& member : conversation.members) {
    for (const auto session_no : sessions_.of(member.name)) {
      const auto* session = sessions_.find(session_no);
      const auto conv = conv_for(conversation, member.user);
      if (!covers(*session, conv)) continue;
      if (session->syncing) {
        backlogs_.stored(*session, stored, conversation.is_room, conv);
      } else {
        backlogs_.live(*session, *stored);
      }
    }
  }
}

void Publisher::event(const Event& event, const Conversation& conversation) {
  // In a room everybody calls it the same: one delivery for all. In a conversation of two each
  // calls it by the other's name.
  std::vector<std::string> room;
  std::uint32_t room_feeds = 0;
  for (const auto& member : conversation.members) {
    const auto feeds = feeds_of(member.name) & (feed::event_json | feed::event_pb);
    if (feeds == 0) continue;
    if (conversation.is_room) {
      room.push_back(member.name);
      room_feeds |= feeds;
      continue;
    }
    Event mine = event;
    mine.conv = conv_for(conversation, member.user);
    for (auto& delivery : event_deliveries(mine, feeds, {member.name})) {
      plugin_.deliver(std::move(delivery));
    }
  }
  if (room.empty()) return;
  Event all = event;
  all.conv = conversation.room;
  for (auto& delivery : event_deliveries(all, room_feeds, room)) {
    plugin_.deliver(std::move(delivery));
  }
}

void Publisher::event_to(const std::string& user, const Event& event) {
  for (auto& delivery : event_deliveries(event, feeds_of(user), {user})) {
    plugin_.deliver(std::move(delivery));
  }
}

}  // namespace parley
