#include "core/delivery_positions.hpp"

#include <algorithm>
#include <limits>

namespace parley {
namespace {
constexpr MonoMillis never{std::numeric_limits<std::int64_t>::max()};
}

void DeliveryPositions::begin(SessionNo session_no) {
  auto& session = sessions_[session_no];
  session.packets = 0;
  session.look_at = never;
  session.conversations.clear();
}

void DeliveryPositions::set_confirms(SessionNo session_no, MonoMillis now) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || found->second.confirms) return;
  auto& session = found->second;
  session.confirms = true;
  session.look_at = {now.value + settings_.redeliver_after_ms};
  for (auto& [id, conversation] : session.conversations) conversation.progress_at = now;
}

bool DeliveryPositions::confirms(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  return found != sessions_.end() && found->second.confirms;
}

bool DeliveryPositions::is_silent(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  return found != sessions_.end() && found->second.confirms && !found->second.said_got;
}

bool DeliveryPositions::is_exhausted(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || !found->second.confirms) return false;
  const auto& conversations = found->second.conversations;
  return std::any_of(conversations.begin(), conversations.end(), [this](const auto& entry) {
    return entry.second.packets > 0 && entry.second.tries >= settings_.redeliver_max;
  });
}

void DeliveryPositions::extend(SessionNo session_no, std::uint32_t packets) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end()) return;
  found->second.extended = true;
  found->second.extra += packets;
}

bool DeliveryPositions::was_extended(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  return found != sessions_.end() && found->second.extended;
}

void DeliveryPositions::sent(SessionNo session_no, const Sent& sent, MonoMillis now) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || sent.seq == 0) return;
  auto& session = found->second;
  const auto [entry, fresh] = session.conversations.try_emplace(sent.conversation);
  auto& conversation = entry->second;
  // What lies before the first one is confirmed, or was never meant for this session.
  if (fresh) conversation.got = conversation.sent = sent.seq - 1;
  conversation.sent = std::max(conversation.sent, sent.seq);
  if (sent.packets == 0) return;
  if (!conversation.waits()) conversation.progress_at = now;
  conversation.awaited = std::max(conversation.awaited, sent.seq);
  conversation.packets += sent.packets;
  conversation.per_message = std::max(conversation.per_message, sent.packets);
  session.packets += sent.packets;
  session.look_at = std::min(
      session.look_at, MonoMillis{conversation.progress_at.value + settings_.redeliver_after_ms});
}

void DeliveryPositions::got(SessionNo session_no, ConversationId id, Seq seq, MonoMillis now) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end()) return;
  auto& session = found->second;
  session.said_got = true;
  session.extra = 0;
  const auto entry = session.conversations.find(id);
  if (entry == session.conversations.end()) return;
  auto& conversation = entry->second;
  if (seq <= conversation.got) return;
  session.packets -= conversation.packets;
  if (seq >= std::max(conversation.sent, conversation.awaited)) {
    session.conversations.erase(entry);
    return;
  }
  conversation.got = seq;
  conversation.sent = std::max(conversation.sent, seq);  // it may have gone back before this came
  conversation.tries = 0;
  conversation.progress_at = now;
  // Not all of those seqs need have been for this client: at most so many are left.
  const auto left = std::uint64_t{conversation.sent - seq} * conversation.per_message;
  conversation.packets =
      conversation.waits()
          ? static_cast<std::uint32_t>(std::min<std::uint64_t>(conversation.packets, left))
          : 0;
  session.packets += conversation.packets;
  session.look_at = std::min(session.look_at, MonoMillis{now.value + settings_.redeliver_after_ms});
}

std::optional<Seq> DeliveryPositions::position(SessionNo session_no, ConversationId id) const {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end()) return std::nullopt;
  const auto entry = found->second.conversations.find(id);
  if (entry == found->second.conversations.end()) return std::nullopt;
  return entry->second.sent;
}

std::uint32_t DeliveryPositions::unconfirmed(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  return found == sessions_.end() || !found->second.confirms ? 0 : found->second.packets;
}

std::uint32_t DeliveryPositions::room(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || !found->second.confirms) {
    return std::numeric_limits<std::uint32_t>::max();
  }
  const auto all = settings_.unconfirmed_max + found->second.extra;
  return found->second.packets >= all ? 0 : all - found->second.packets;
}

std::vector<SessionNo> DeliveryPositions::due(MonoMillis now) {
  std::vector<SessionNo> due;
  for (auto& [session_no, session] : sessions_) {
    if (!session.confirms || session.look_at > now) continue;
    session.look_at = never;
    bool any = false;
    for (auto& [id, conversation] : session.conversations) {
      // Without packets nothing of it has been sent since the last time.
      if (conversation.packets == 0 || conversation.tries >= settings_.redeliver_max) continue;
      if (now.value - conversation.progress_at.value >= settings_.redeliver_after_ms) {
        ++conversation.tries;
        conversation.progress_at = now;
        conversation.sent = conversation.got;
        session.packets -= conversation.packets;
        conversation.packets = 0;
        any = true;
      }
      session.look_at = std::min(session.look_at, MonoMillis{conversation.progress_at.value +
                                                             settings_.redeliver_after_ms});
    }
    if (!any) continue;
    session.extra = 0;
    due.push_back(session_no);
  }
  return due;
}

}  // namespace parley
