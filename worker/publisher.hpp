// What is stored goes out to everybody who has subscribed it and may see it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/fan_out.hpp"
#include "core/request_wire.hpp"
#include "core/sessions.hpp"
#include "worker/backlog.hpp"
#include "worker/plugin_link.hpp"
#include "worker/state_topics.hpp"

namespace parley {

class Publisher {
 public:
  Publisher(PluginLink& plugin, Sessions& sessions, Backlogs& backlogs, StateTopics& state)
      : plugin_{plugin}, sessions_{sessions}, backlogs_{backlogs}, state_{state} {}

  /// What any session of a user has subscribed; everything while the sessions are not known.
  [[nodiscard]] std::uint32_t feeds_of(std::string_view user) const;
  /// To the members; those who are being brought up to date get it with that.
  void message(const StoredMessage& stored, const Conversation& conversation);
  /// To the members; `event.conv` is set for each.
  void event(const Event& event, const Conversation& conversation);
  /// See Backlogs::hold_full.
  void hold_full() { backlogs_.hold_full(); }
  /// To somebody who is told beside the members, or of no conversation.
  void event_to(const std::string& user, const Event& event);
  /// To all of these who listen to events and call its conversation `event.conv`: one delivery for
  /// each form.
  /// @param about  who gets it later gets only the last one about the same
  void event_to_all(const std::vector<std::string>& users, const Event& event,
                    const std::string& about);

 private:
  void note_state(const Conversation& conversation);
  void tell(const Event& event, const std::vector<std::string>& to, ConversationId conversation,
            const std::string& about);

  PluginLink& plugin_;
  Sessions& sessions_;
  Backlogs& backlogs_;
  StateTopics& state_;
};

}  // namespace parley
