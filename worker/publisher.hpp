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

namespace parley {

class Publisher {
 public:
  Publisher(PluginLink& plugin, Sessions& sessions, Backlogs& backlogs)
      : plugin_{plugin}, sessions_{sessions}, backlogs_{backlogs} {}

  /// What any session of a user has subscribed; everything while the sessions are not known.
  [[nodiscard]] std::uint32_t feeds_of(std::string_view user) const;
  /// To the members; those who are being brought up to date get it with that.
  void message(const std::shared_ptr<const StoredMessage>& stored,
               const Conversation& conversation);
  /// To the members; `event.conv` is set for each.
  void event(const Event& event, const Conversation& conversation);
  /// See Backlogs::hold_full.
  void hold_full() { backlogs_.hold_full(); }
  /// To somebody who is told beside the members, or of no conversation.
  void event_to(const std::string& user, const Event& event);
  /// How far somebody has got and read, to users who call the conversation `event.conv`.
  void receipt(const std::vector<std::string>& to, const Event& event, const std::string& of);

 private:
  void tell(const Event& event, const std::vector<std::string>& to, ConversationId conversation,
            const std::string& about);

  PluginLink& plugin_;
  Sessions& sessions_;
  Backlogs& backlogs_;
};

}  // namespace parley
