// The window of worker/backlog.hpp: how much may be on its way to a session, who waits for room and
// when there is some, and what is due to be sent again.

#include <algorithm>
#include <chrono>
#include <utility>

#include "worker/backlog.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::uint32_t silent_for_ms = 1'000;  // how long a full window waits for the first `got`
// How much longer, in units of redeliver_after_ms, the broker's queue is given.
constexpr std::uint32_t unheard_factor = 10;
constexpr auto tick_every = std::chrono::milliseconds{50};

constexpr std::size_t live_max = 4'096;        // messages kept per session while it catches up
constexpr std::size_t waiting_live_max = 256;  // … that is not at its turn yet
}  // namespace

/// How many packets may be sent now.
std::int64_t Backlogs::allowance(SessionNo session_no) {
  // What a client does not confirm is only paced: nobody can tell when it has it.
  const auto paced = runs_.at(session_no).pace.room(mono_now());
  if (!needs_.positions.confirms(session_no)) return paced;
  return paced <= 0 ? 0 : std::int64_t{needs_.positions.room(session_no)};
}

/// Nothing more may be sent to it now: another one's turn.
void Backlogs::block(SessionNo session_no, Run& run) {
  run.state = State::blocked;
  run.blocked_at = mono_now();
  run.id = ++last_id_;
  run.wait_for = 0;
  run.todo.clear();
  if (const auto* session = needs_.sessions.find(session_no); session != nullptr) {
    std::erase_if(run.live, [&](const Live& live) { return covers(*session, live.conv); });
  }
  run.overflowed = true;
  --active_;
  blocked_.insert(session_no);
  next_waiting();
}

/// Not for a handful, as each time costs a look at all the user's conversations; but for less than
/// a client may have left unconfirmed that confirms every hundred messages, in three formats.
std::uint32_t Backlogs::enough_room(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  const auto packets = session == nullptr ? 1 : packets_of(*session);
  return std::max(settings_.delivery.unconfirmed_max / 8, packets);
}

bool Backlogs::may_wake(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  if (session == nullptr) return false;
  if (needs_.positions.confirms(session_no)) {
    return allowance(session_no) >= enough_room(session_no);
  }
  const auto& delivery = settings_.delivery;
  const auto enough = std::min(delivery.unconfirmed_max / 2, delivery.paced_per_s / 4);
  return allowance(session_no) >= std::max(enough, packets_of(*session));
}

/// Who says nothing gets more nevertheless, or it would wait for ever.
void Backlogs::extend_if_silent(SessionNo session_no) {
  if (needs_.positions.room(session_no) >= enough_room(session_no)) return;
  auto& run = runs_.at(session_no);
  auto& positions = needs_.positions;
  const auto& delivery = settings_.delivery;
  const auto now = mono_now();
  const std::int64_t waited_ms = now.value - run.blocked_at.value;
  if (positions.queue_room(session_no) < enough_room(session_no)) {
    // All that the broker keeps by default may still be there: so seldom that a client loses
    // nothing that takes only two a second.
    if (waited_ms < std::int64_t{unheard_factor} * delivery.redeliver_after_ms) return;
    run.blocked_at = now;
    positions.extend_queue(session_no);
  } else if (positions.is_silent(session_no) && !positions.was_extended(session_no)) {
    // Most clients that confirm nothing before they have everything have it all then.
    if (waited_ms < std::min(silent_for_ms, delivery.redeliver_after_ms)) return;
    positions.extend(session_no, delivery.unconfirmed_max / 2 * 3);
  }
}

void Backlogs::wake_blocked() {
  std::vector<SessionNo> due;
  for (const auto session_no : blocked_) {
    extend_if_silent(session_no);
    if (may_wake(session_no)) due.push_back(session_no);
  }
  for (const auto session_no : due) wake(session_no);
}

void Backlogs::wake(SessionNo session_no) {
  blocked_.erase(session_no);
  const auto found = runs_.find(session_no);
  if (found != runs_.end()) enqueue(session_no, found->second);
}

std::vector<SessionNo> Backlogs::due_now() {
  // It looks at all sessions: not more often than it has to be exact.
  const auto now = mono_now();
  const std::int64_t every_ms = std::min(settings_.delivery.redeliver_after_ms / 10, 1'000U);
  if (now.value - looked_at_.value < every_ms) return {};
  looked_at_ = now;
  // A run that began anew each time would come to its end never if it takes longer than that.
  return needs_.positions.due(now, [this](SessionNo session_no) {
    const auto run = runs_.find(session_no);
    return run != runs_.end() && run->second.state != State::blocked;
  });
}

void Backlogs::tick() {
  tick_timer_.expires_after(tick_every);
  tick_timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    for (const auto session_no : due_now()) {
      if (runs_.contains(session_no)) continue;  // it was blocked, and has room now
      log::info("event=redeliver session={}", session_no);
      told_up_to_.erase(session_no);  // what was lost with them is not known
      hold(session_no);
    }
    wake_blocked();
    needs_.turn();
    tick();
  });
}

void Backlogs::got(SessionNo session_no, ConversationId conversation, Seq seq, bool confirms) {
  const auto now = mono_now();
  if (confirms) needs_.auto_got.set_confirms(session_no);
  if (confirms && !needs_.positions.confirms(session_no)) {
    const bool seen = needs_.positions.follows(session_no);
    if (!seen) begin(session_no);
    needs_.positions.set_confirms(session_no, now);
    if (!seen) hold(session_no);  // what it was sent before is not known
  }
  needs_.positions.got(session_no, conversation, seq, now);
  const auto found = runs_.find(session_no);
  if (found == runs_.end()) return;
  // Everything there is: no more than it was sent.
  if (seq >= sql::seq_of_all) seq = needs_.positions.position(session_no, conversation).value_or(0);
  auto& confirmed = found->second.confirmed[conversation];
  confirmed = std::max(confirmed, seq);
  for (auto& behind : found->second.todo) {
    if (behind.conversation != conversation) continue;
    behind.got_seq = std::max(behind.got_seq, std::min(seq, behind.last_seq));
  }
  if (blocked_.contains(session_no) && may_wake(session_no)) wake(session_no);
}

void Backlogs::stored(const link::Session& session,
                      const std::shared_ptr<const StoredMessage>& message, bool is_room,
                      std::string_view conv) {
  const auto found = runs_.find(session.session_no);
  if (found == runs_.end()) return;
  auto& run = found->second;
  run.pace.stored(packets_of(session));
  const bool may_observe = session.device.empty() && (run.observes || !run.listed);
  const bool shown =
      !may_observe && covers(session, conv);  // by the database, if it is asked later
  if (shown && (run.state != State::active || run.overflowed)) return;
  const auto most = run.state == State::active ? live_max : waiting_live_max;
  if (run.live.size() >= most) {
    // An observer misses the oldest ones, and so do copies: nothing shows them once more.
    run.overflowed = run.overflowed || covers(session, run.live.front().conv);
    run.live.pop_front();
  }
  run.live.push_back({message, is_room, std::string{conv}, ++run.came});
}

void Backlogs::live(const link::Session& session, const StoredMessage& message) {
  const auto session_no = session.session_no;
  const auto now = mono_now();
  const bool own = message.sender == session.user_id;
  needs_.auto_got.published(session_no, message.conversation, message.message.seq, now);
  needs_.positions.sent(
      session_no, {message.conversation, message.message.seq, own ? 0 : packets_of(session)}, now);
  if (needs_.positions.room(session_no) == 0) full_.push_back(session_no);
}

void Backlogs::hold_full() {
  for (const auto session_no : std::exchange(full_, {})) hold(session_no);
}

}  // namespace parley
