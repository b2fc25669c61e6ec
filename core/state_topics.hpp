// The state topics: which of them a session's filters ask for, and their payloads
// (docs/protocol.md, "State"). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/ids.hpp"

namespace parley {

/// What filters behind "<prefix>/u/<me>/state/" match, of what there is.
struct StateWants {
  bool unread = false;
  bool all_convs = false;
  bool all_people = false;  // everybody whom the user has to do with
  std::set<std::string, std::less<>> convs{};
  std::set<std::string, std::less<>> people{};

  void add(std::string_view filter);
  void add(const StateWants& more);
  [[nodiscard]] bool any_conv() const { return all_convs || !convs.empty(); }
  [[nodiscard]] bool any_person() const { return all_people || !people.empty(); }
  [[nodiscard]] bool conv(std::string_view name) const { return all_convs || convs.contains(name); }
  [[nodiscard]] bool person(std::string_view name) const {
    return all_people || people.contains(name);
  }
  [[nodiscard]] bool nothing() const { return !unread && !any_conv() && !any_person(); }
  bool operator==(const StateWants&) const = default;
};

/// A conversation as its start screen shows it.
struct ConversationState {
  Seq seq = 0;
  Seq read_seq = 0;
  std::uint32_t unread = 0;
  struct Last {
    std::string from;
    std::string text;  // any length: cut to state_text_max
    UnixMillis time;
  };
  std::optional<Last> last{};  // nothing: there is no message to show
  bool muted = false;
};
/// Of `state/conv/+` and `state/presence/+` so many are told when they are subscribed: the newest
/// conversations, the nearest people.
inline constexpr std::uint32_t state_conversations_max = 500;
inline constexpr std::uint32_t state_people_max = 1'000;
/// Characters of the last message's text that are told.
inline constexpr std::size_t state_text_max = 500;

std::string state_payload(const ConversationState& state);
/// @param last_seen  of who is not online; 0: he never was
std::string presence_payload(bool online, UnixMillis last_seen);

}  // namespace parley
