// What one session has been told on its state topics, and what it is to be told next: on change, at
// most once a second for each topic, and only what has really changed. Pure.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/rate.hpp"

namespace parley {

/// Names a state topic of one user.
struct StateKey {
  enum class Kind : std::uint8_t { unread, conversation, person };
  Kind kind = Kind::unread;
  ConversationId conversation{};  // of Kind::conversation
  std::string person{};           // of Kind::person: a name
  auto operator<=>(const StateKey&) const = default;

  static StateKey of(ConversationId conversation) { return {Kind::conversation, conversation, {}}; }
  static StateKey of(std::string_view person) { return {Kind::person, {}, std::string{person}}; }
};

class StateView {
 public:
  /// Changes that come one after another are told as one.
  static constexpr std::int64_t gather_ms = 150;
  /// A little more than a second: what is told at that pace arrives at most once in any second.
  static constexpr std::int64_t again_after_ms = 1'050;
  /// What a session is given at once, and then each second: far below what the broker keeps for a
  /// client (max_queued_messages).
  static constexpr std::uint32_t at_once = 200;
  static constexpr std::uint32_t per_s = 250;

  /// Something may have changed it.
  void touch(const StateKey& key, MonoMillis now);
  /// It is to be told whether it has changed or not.
  void ask(const StateKey& key, MonoMillis now);
  /// Up to `max` of what may be told now, in the order in which it began to wait. It does not wait
  /// any more: the caller looks it up, and then says `tell`, `nothing` or `put_back` for each.
  std::vector<StateKey> take(MonoMillis now, std::size_t max);
  /// It could not be looked up.
  void put_back(const StateKey& key, MonoMillis now);
  /// @return whether it is to be sent: it has changed since it was told, or was asked for
  bool tell(const StateKey& key, std::string_view payload, MonoMillis now);
  /// There is nothing to tell of it (any more).
  void nothing(const StateKey& key);
  /// When take() will give something; nothing if nothing waits.
  [[nodiscard]] std::optional<MonoMillis> due(MonoMillis now);
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

 private:
  struct Topic {
    bool waits = false;
    bool asked = false;
    MonoMillis touched_at;
    std::optional<MonoMillis> told_at;
    std::optional<std::size_t> told;  // a hash: of some payloads there are many, and they are long
  };
  void wait(const StateKey& key, Topic& topic, MonoMillis now);
  static MonoMillis due_of(const Topic& topic);

  std::map<StateKey, Topic> topics_;  // of what the user has
  std::deque<StateKey> queue_;        // of those that wait
  TokenBucket pace_{per_s, at_once};
};

}  // namespace parley
