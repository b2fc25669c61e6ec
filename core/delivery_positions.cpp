#include "core/delivery_positions.hpp"

#include <algorithm>
#include <limits>

namespace parley {
namespace {
constexpr MonoMillis never{std::numeric_limits<std::int64_t>::max()};
constexpr std::size_t firsts_max = 4'096;  // beyond: the oldest is forgotten, and counts for longer
}  // namespace

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
  // It was paced, and has kept up with that: no more than a window is on its way.
  session.taken = session.sent - std::min(session.packets, settings_.unconfirmed_max);
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

void DeliveryPositions::extend_queue(SessionNo session_no) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end()) return;
  auto& session = found->second;
  const auto wanted = session.queued() + settings_.unconfirmed_max / 2;
  if (wanted > queue_max()) session.queue_extra = wanted - queue_max();
}

/// What has just been sent lies with the broker now.
void DeliveryPositions::count(Session& session, const Sent& sent) {
  session.sent += sent.packets;
  if (!session.confirms) return;
  auto& firsts = session.firsts[sent.conversation];
  if (sent.seq <= firsts.newest) return;
  firsts.newest = sent.seq;
  auto& waiting = firsts.waiting;
  while (!waiting.empty() &&
         (waiting.front().number <= session.taken || waiting.size() >= firsts_max)) {
    waiting.pop_front();
  }
  waiting.push_back({sent.seq, session.sent});
}

/// What was confirmed has left the broker, and all before it.
void DeliveryPositions::take(Session& session, ConversationId id, Seq seq) {
  const auto found = session.firsts.find(id);
  if (found == session.firsts.end()) return;
  auto& waiting = found->second.waiting;
  auto taken = session.taken;
  for (; !waiting.empty() && waiting.front().seq <= seq; waiting.pop_front()) {
    taken = std::max(taken, waiting.front().number);
  }
  if (seq >= found->second.newest) session.firsts.erase(found);
  if (taken == session.taken) return;
  session.taken = taken;
  session.queue_extra = 0;
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
  count(session, sent);
  if (!conversation.waits()) conversation.progress_at = now;
  conversation.awaited = std::max(conversation.awaited, sent.seq);
  conversation.packets += sent.packets;
  conversation.per_message = std::max(conversation.per_message, sent.packets);
  if (conversation.given_up) return;
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
  take(session, id, seq);
  const auto entry = session.conversations.find(id);
  if (entry == session.conversations.end()) return;
  auto& conversation = entry->second;
  if (seq <= conversation.got) return;
  if (!conversation.given_up) session.packets -= conversation.packets;
  if (seq >= std::max(conversation.sent, conversation.awaited)) {
    session.conversations.erase(entry);
    return;
  }
  conversation.got = seq;
  conversation.sent = std::max(conversation.sent, seq);  // it may have gone back before this came
  conversation.tries = 0;
  conversation.given_up = false;
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

std::uint32_t DeliveryPositions::room(SessionNo session_no) const {
  const auto queue = queue_room(session_no);
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || !found->second.confirms) return queue;
  const auto all = settings_.unconfirmed_max + found->second.extra;
  return found->second.packets >= all ? 0 : std::min(queue, all - found->second.packets);
}

std::uint32_t DeliveryPositions::queue_room(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || !found->second.confirms) {
    return std::numeric_limits<std::uint32_t>::max();
  }
  const auto all = queue_max() + found->second.queue_extra;
  const auto queued = found->second.queued();
  return queued >= all ? 0 : static_cast<std::uint32_t>(all - queued);
}

/// What to do with a conversation that has made no progress for too long.
/// @param planned  packets of other conversations that are about to be sent again
/// @return whether it is sent again
bool DeliveryPositions::again(Session& session, Conversation& conversation, std::uint64_t planned,
                              MonoMillis now) const {
  conversation.progress_at = now;
  if (conversation.tries >= settings_.redeliver_max) {
    conversation.given_up = true;
    session.packets -= conversation.packets;
    return false;
  }
  ++conversation.tries;
  // Some room is kept for what is new: with its `got` everything before it has been taken.
  const auto packets = std::min(conversation.packets, settings_.unconfirmed_max);
  if (session.queued() + planned + packets > 2 * std::uint64_t{settings_.unconfirmed_max}) {
    return false;
  }
  conversation.sent = conversation.got;
  session.packets -= conversation.packets;
  conversation.packets = 0;
  return true;
}

std::vector<SessionNo> DeliveryPositions::due(MonoMillis now,
                                              const std::function<bool(SessionNo)>& busy) {
  std::vector<SessionNo> due;
  for (auto& [session_no, session] : sessions_) {
    if (!session.confirms || session.look_at > now || (busy && busy(session_no))) continue;
    session.look_at = never;
    std::uint64_t planned = 0;
    for (auto& [id, conversation] : session.conversations) {
      // Without packets nothing of it has been sent since the last time.
      if (conversation.packets == 0 || conversation.given_up) continue;
      if (now.value - conversation.progress_at.value >= settings_.redeliver_after_ms) {
        const auto packets = conversation.packets;
        if (again(session, conversation, planned, now)) planned += packets;
      }
      if (conversation.given_up) continue;
      session.look_at = std::min(session.look_at, MonoMillis{conversation.progress_at.value +
                                                             settings_.redeliver_after_ms});
    }
    if (planned == 0) continue;
    session.extra = 0;
    due.push_back(session_no);
  }
  return due;
}

}  // namespace parley
