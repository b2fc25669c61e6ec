#include "worker/publisher.hpp"

#include <utility>
#include <vector>

#include "core/topic.hpp"
#include "worker/log.hpp"

namespace parley {
std::uint32_t Publisher::feeds_of(std::string_view user) const {
  // Not knowing who is there costs some publishes that nobody gets, never a message.
  return plugin_.sessions_sure() ? sessions_.feeds_of(user) : feed::all_but_state;
}

void Publisher::message(const StoredMessage& stored, const Conversation& conversation) {
  fan_out(
      stored, conversation, [this](std::string_view user) { return feeds_of(user); },
      [this](link::Delivery delivery) { plugin_.deliver(std::move(delivery)); });
  std::shared_ptr<const StoredMessage> kept;  // if anybody catches up
  for (const auto& member : conversation.members) {
    for (const auto session_no : sessions_.of(member.name)) {
      const auto* session = sessions_.find(session_no);
      if ((session->feeds & feed::state) != 0) state_.changed(*session, conversation);
      const auto conv = conv_for(conversation, member.user);
      // The copies of what one has sent oneself are held back with everything else.
      const bool copy = session->syncing && member.user == stored.sender &&
                        (session->feeds & feed::sent_any) != 0;
      if (!copy && !covers(*session, conv)) continue;
      if (session->syncing) {
        if (kept == nullptr) kept = std::make_shared<const StoredMessage>(stored);
        backlogs_.stored(*session, kept, conversation.is_room, conv);
      } else {
        backlogs_.live(*session, stored);
      }
    }
  }
}

void Publisher::event(const Event& event, const Conversation& conversation) {
  note_state(conversation);
  // In a room everybody calls it the same: one delivery for all. In a conversation of two each
  // calls it by the other's name.
  Event all = event;
  all.conv = conversation.room;
  std::vector<std::string> names;
  for (const auto& member : conversation.members) {
    if ((feeds_of(member.name) & feed::event_any) == 0) continue;
    if (conversation.is_room) {
      names.push_back(member.name);
      continue;
    }
    Event one = event;
    one.conv = conv_for(conversation, member.user);
    tell(one, {member.name}, conversation.conversation, {});
  }
  if (!names.empty()) tell(all, names, conversation.conversation, {});
}

void Publisher::note_state(const Conversation& conversation) {
  for (const auto& member : conversation.members) {
    if ((sessions_.feeds_of(member.name) & feed::state) == 0) continue;
    for (const auto session_no : sessions_.of(member.name)) {
      state_.changed(*sessions_.find(session_no), conversation);
    }
  }
}

void Publisher::event_to(const std::string& user, const Event& event) {
  if ((sessions_.feeds_of(user) & feed::state) != 0) {
    for (const auto session_no : sessions_.of(user)) state_.changed(*sessions_.find(session_no));
  }
  tell(event, {user}, {}, event.what);
}

void Publisher::event_to_all(const std::vector<std::string>& users, const Event& event,
                             const std::string& about) {
  std::vector<std::string> listeners;
  for (const auto& user : users) {
    if ((feeds_of(user) & feed::event_any) != 0) listeners.push_back(user);
  }
  if (!listeners.empty()) tell(event, listeners, {}, about);
}

void Publisher::tell(const Event& event, const std::vector<std::string>& to,
                     ConversationId conversation, const std::string& about) {
  std::uint32_t feeds = 0;
  for (const auto& name : to) feeds |= feeds_of(name) & feed::event_any;
  if (feeds == 0) return;
  auto deliveries = deliver_event(event, feeds, to);
  if (deliveries.empty()) {
    log::error("event=bad_event conv={} rev={}", event.conv, event.rev);
    return;
  }
  for (auto& delivery : deliveries) plugin_.deliver(std::move(delivery));
  const auto kept = std::make_shared<const Event>(event);
  for (const auto& name : to) {
    for (const auto session_no : sessions_.of(name)) {
      const auto* session = sessions_.find(session_no);
      if ((session->feeds & feed::event_any) == 0) continue;
      if (session->syncing) {
        backlogs_.told(*session, kept, conversation, about);
      } else {
        backlogs_.told_live(*session, conversation, event.rev);
      }
    }
  }
}

}  // namespace parley
