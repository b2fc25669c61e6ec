// Events in worker/backlog.hpp: those with a rev, which the database keeps, and those without; and
// `sync`, which says where a device is.

#include <algorithm>
#include <utility>

#include "core/topic.hpp"
#include "worker/backlog.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::int64_t page_max = 200;
constexpr std::size_t events_max = 256;      // with a rev, told while it catches up
constexpr std::size_t unnumbered_max = 256;  // without

}  // namespace

void Backlogs::told(const link::Session& session, const std::shared_ptr<const Event>& event,
                    ConversationId conversation, const std::string& about) {
  const auto found = runs_.find(session.session_no);
  if (found == runs_.end()) return;
  auto& run = found->second;
  if (conversation.value == 0) {
    if (run.unnumbered.size() >= unnumbered_max) run.unnumbered.erase(run.unnumbered.begin());
    run.unnumbered[{event->conv, about}] = event;
    return;
  }
  // Who has not asked the database yet will find it there.
  const bool may_observe = session.device.empty() && (run.observes || !run.listed);
  if (!may_observe && (run.state != State::active || run.overflowed)) return;
  if (run.events.size() >= events_max) {
    run.overflowed = true;  // an observer misses the oldest ones
    run.events.pop_front();
  }
  run.events.push_back({event, conversation});
}

void Backlogs::told_live(const link::Session& session, ConversationId conversation, Rev rev) {
  if (conversation.value == 0) return;
  auto& up_to = told_up_to_[session.session_no][conversation];
  up_to = std::max(up_to, rev);
  needs_.auto_got.told(session.session_no, conversation, rev, mono_now());
}

/// @return how many packets it was
std::uint32_t Backlogs::send_event(const link::Session& session, const Event& event) {
  auto deliveries =
      deliver_event(event, session.feeds & feed::event_any, {session.user}, session.session_no);
  if (deliveries.empty()) log::error("event=bad_event conv={} rev={}", event.conv, event.rev);
  for (auto& delivery : deliveries) needs_.plugin.deliver(std::move(delivery));
  return static_cast<std::uint32_t>(deliveries.size());
}

void Backlogs::next_events(SessionNo session_no, std::int64_t packets) {
  const auto* session = needs_.sessions.find(session_no);
  const auto& run = runs_.at(session_no);
  const auto& behind = run.todo.front();
  const auto most = std::min(page_max, packets);
  std::vector<PgQuery> queries;
  queries.push_back(sql::event_range(
      {behind.conversation, session->user_id, behind.got_rev, behind.last_rev, most}));
  needs_.database.submit(std::move(queries), [this, session_no, id = run.id, most](auto result) {
    if (!current(session_no, id)) return;
    if (result) {
      const auto rows = sql::events_of(result->at(0));
      event_page(session_no, rows, static_cast<std::int64_t>(rows.size()) < most);
    } else {
      retry(session_no);
    }
    needs_.turn();
  });
}

void Backlogs::event_page(SessionNo session_no, const std::vector<sql::EventRow>& rows, bool last) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {
    retry(session_no);
    return;
  }
  auto& behind = run.todo.front();
  for (const auto& row : rows) {
    run.pace.sent(send_event(*session, {behind.conv, row.rev, row.time, row.what}));
    behind.got_rev = row.rev;
  }
  if (last) behind.got_rev = behind.last_rev;
  told_live(*session, behind.conversation, behind.got_rev);
  if (rows.empty()) {
    next_page(session_no);
  } else {
    wait_for_plugin(session_no, run);
  }
}

void Backlogs::next_missed(SessionNo session_no, std::int64_t packets) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  for (auto left = std::min(page_max, packets); left > 0 && !run.missed.empty();) {
    const auto sent = send_event(*session, run.missed.front());
    run.missed.pop_front();
    run.pace.sent(sent);
    left -= std::max(1U, sent);
  }
  wait_for_plugin(session_no, run);
}

/// Holds a session back for what it has not been asked for yet.
void Backlogs::hold_anew(SessionNo session_no) {
  hold(session_no);
  const auto found = runs_.find(session_no);
  const auto* session = needs_.sessions.find(session_no);
  // Whether it is an observer, for whom everything is kept from here on, is not known.
  if (found != runs_.end() && session->device.empty()) found->second.listed = false;
}

void Backlogs::events_begin(SessionNo session_no) {
  if (!runs_.contains(session_no)) hold_anew(session_no);
  const auto found = runs_.find(session_no);
  if (found == runs_.end()) return;
  auto& run = found->second;
  run.wants_missed = true;
  run.overflowed = true;  // what it has been asked for already is without them
  told_up_to_.erase(session_no);
}

void Backlogs::pause(SessionNo session_no) {
  if (!runs_.contains(session_no)) {
    const auto* session = needs_.sessions.find(session_no);
    if (session == nullptr || (session->feeds & feed::inbox_any) == 0) return;
    hold_anew(session_no);
    if (!runs_.contains(session_no)) return;
  }
  auto& run = runs_.at(session_no);
  ++run.paused;
  if (run.state == State::holding) return;
  if (run.state == State::active) --active_;
  blocked_.erase(session_no);
  run.id = ++last_id_;
  run.wait_for = 0;
  run.state = State::paused;
  next_waiting();
}

void Backlogs::resume(SessionNo session_no, const std::vector<sql::Placed>* placed) {
  const auto found = runs_.find(session_no);
  if (found == runs_.end()) return;
  auto& run = found->second;
  const auto* session = needs_.sessions.find(session_no);
  if (placed != nullptr) {
    begin(session_no);
    run.listed = false;  // again at most so many
    run.missed.clear();
    run.placed_device = true;
    if (session == nullptr || session->device.empty()) {
      run.placed.emplace();
      for (const auto& one : *placed) run.placed->emplace(one.conversation, one);
    }
  }
  if (run.paused == 0 || --run.paused > 0) return;
  if (run.state == State::paused) enqueue(session_no, run);
}

}  // namespace parley
