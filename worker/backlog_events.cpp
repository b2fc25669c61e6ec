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
constexpr std::int64_t missed_max = 500;     // without, from before

}  // namespace

void Backlogs::told(const link::Session& session, const std::shared_ptr<const Event>& event,
                    ConversationId conversation, const std::string& about) {
  const auto found = runs_.find(session.session_no);
  if (found == runs_.end()) return;
  auto& run = found->second;
  if (conversation.value == 0) {
    auto& kept = run.unnumbered;
    const std::pair key{event->conv, about};
    if (kept.size() >= unnumbered_max && !kept.contains(key)) {
      // The next receipt says what this one says; nothing says again that one is invited.
      const auto lesser = std::find_if(kept.begin(), kept.end(), [](const auto& entry) {
        return entry.first.second.starts_with("receipt") ||
               entry.first.second.starts_with("presence");
      });
      kept.erase(lesser == kept.end() ? kept.begin() : lesser);
    }
    kept[key] = event;
    return;
  }
  // Who has not asked the database yet will find it there.
  const bool may_observe = session.device.empty() && (run.observes || !run.listed);
  const bool live_only = (session.feeds & feed::inbox_any) == 0;
  if (!live_only && !may_observe && (run.state != State::active || run.overflowed)) return;
  if (run.events.size() >= events_max) {
    run.overflowed = true;  // an observer misses the oldest ones
    run.events.pop_front();
  }
  run.events.push_back({event, conversation, ++run.came});
}

void Backlogs::told_live(const link::Session& session, ConversationId conversation, Rev rev) {
  if (conversation.value == 0) return;
  auto& up_to = told_up_to_[session.session_no][conversation];
  up_to = std::max(up_to, rev);
  needs_.auto_got.told(session.session_no, conversation, rev, mono_now());
}

/// @return how many packets it was
std::uint32_t Backlogs::send_event(const link::Session& session, const Event& event) {
  if ((session.feeds & feed::event_any) == 0) return 0;  // not any more
  auto deliveries =
      deliver_event(event, session.feeds & feed::event_any, {session.user}, session.session_no);
  if (deliveries.empty()) log::error("event=bad_event conv={} rev={}", event.conv, event.rev);
  for (auto& delivery : deliveries) needs_.plugin.deliver(std::move(delivery));
  return static_cast<std::uint32_t>(deliveries.size());
}

/// In the order in which it came; what the database has shown too is left out.
void Backlogs::send_what_came(const link::Session& session, Run& run) {
  const auto session_no = session.session_no;
  auto live = run.live.begin();
  auto told = run.events.begin();
  while (live != run.live.end() || told != run.events.end()) {
    if (live == run.live.end() || (told != run.events.end() && told->no < live->no)) {
      auto& up_to = told_up_to_[session_no][told->conversation];
      if (told->event->rev > up_to) {
        send_event(session, *told->event);
        told_live(session, told->conversation, told->event->rev);
      }
      ++told;
      continue;
    }
    auto& passed = run.passed[live->message->conversation];
    if (live->message->message.seq > passed) {
      passed = live->message->message.seq;
      send(session, run, *live->message, live->is_room, live->conv);
      // Of one that it has not subscribed, only what is its own comes here.
      if (covers(session, live->conv)) {
        needs_.auto_got.published(session_no, live->message->conversation, passed, mono_now());
      }
    }
    ++live;
  }
  run.live.clear();
  run.events.clear();
}

/// Without an answer they are left out: nothing else is to wait for them.
void Backlogs::ask_missed(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  needs_.seen.submit(
      {sql::missed_events(session->user_id, session->device, since_ever_.contains(session_no),
                          missed_max)},
      [this, session_no, id = runs_.at(session_no).id](auto result) {
        if (!current(session_no, id)) return;
        runs_.at(session_no).missed_told = result.has_value();
        if (result) {
          since_ever_.erase(session_no);
          auto& missed = runs_.at(session_no).missed;
          for (auto& row : sql::events_of(result->at(0))) {
            missed.push_back({std::move(row.conv), row.rev, row.time, std::move(row.what)});
          }
        } else {
          log::warn("event=missed_events_failed err={}", log::quoted(result.error().what));
        }
        next_page(session_no);
        needs_.turn();
      });
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

bool Backlogs::catches_up_without_device(std::string_view user) const {
  const auto& sessions = needs_.sessions.of(user);
  return std::any_of(sessions.begin(), sessions.end(), [this](SessionNo session_no) {
    return runs_.contains(session_no) && needs_.sessions.find(session_no)->device.empty();
  });
}

void Backlogs::begin_devices(std::string_view user) {
  for (const auto session_no : needs_.sessions.of(user)) {
    const auto* session = needs_.sessions.find(session_no);
    if (session->syncing && !session->device.empty()) {
      needs_.cursors.begin(session->user_id, session->device);
    }
  }
}

void Backlogs::events_begin(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  // Without an inbox there is nothing that it missed, and nobody would keep what it is not given.
  if (session == nullptr || (session->feeds & feed::inbox_any) == 0) return;
  if (!runs_.contains(session_no)) hold_anew(session_no);
  const auto found = runs_.find(session_no);
  if (found == runs_.end()) return;
  auto& run = found->second;
  run.wants_missed = true;
  run.overflowed = true;  // what it has been asked for already is without them
  told_up_to_.erase(session_no);
}

Backlogs::Place Backlogs::place_of(const link::Session& session) {
  return {session.user, session.device, session.device.empty() ? session.session_no : 0};
}

std::vector<SessionNo> Backlogs::sessions_at(const Place& place) const {
  std::vector<SessionNo> sessions;
  for (const auto session_no : needs_.sessions.of(place.user)) {
    if (place_of(*needs_.sessions.find(session_no)) == place) sessions.push_back(session_no);
  }
  return sessions;
}

/// Until its position is known.
void Backlogs::park(SessionNo session_no, Run& run) {
  if (run.state == State::active) --active_;
  blocked_.erase(session_no);
  run.id = ++last_id_;
  run.wait_for = 0;
  run.state = State::paused;
  next_waiting();
}

void Backlogs::pause(const Place& place) {
  ++paused_[place];
  for (const auto session_no : sessions_at(place)) {
    needs_.auto_got.forget(session_no);
    const auto* session = needs_.sessions.find(session_no);
    const bool listens = (session->feeds & feed::inbox_any) != 0;
    if (!runs_.contains(session_no) && listens) hold_anew(session_no);
    const auto found = runs_.find(session_no);
    // One that is not at its turn yet is parked when it is.
    if (found != runs_.end() && found->second.state == State::active)
      park(session_no, found->second);
  }
}

/// What it was sent before does not count any more.
void Backlogs::placed_anew(SessionNo session_no, const Place& place,
                           const std::vector<sql::Placed>& placed) {
  needs_.auto_got.forget(session_no);
  if (needs_.positions.follows(session_no)) begin(session_no);
  since_ever_.insert(session_no);
  if (place.device.empty()) {
    auto& held = placed_[session_no];
    held.clear();
    for (const auto& one : placed) held.emplace(one.conversation, one);
  }
  if (const auto found = runs_.find(session_no); found != runs_.end()) {
    found->second.listed = false;  // again at most so many
    found->second.missed.clear();
  }
}

void Backlogs::resume(const Place& place, const std::vector<sql::Placed>* placed) {
  const auto paused = paused_.find(place);
  if (paused != paused_.end() && --paused->second == 0) paused_.erase(paused);
  auto sessions = sessions_at(place);
  if (!needs_.plugin.sessions_sure()) {  // nor are those known that have been held back
    for (const auto& [session_no, run] : runs_) {
      const bool seen = needs_.sessions.find(session_no) != nullptr;
      if (!seen && run.place == place) sessions.push_back(session_no);
    }
  }
  for (const auto session_no : sessions) {
    if (placed != nullptr) placed_anew(session_no, place, *placed);
    const auto found = runs_.find(session_no);
    if (found == runs_.end() || found->second.state != State::paused) continue;
    enqueue(session_no, found->second);
  }
}

}  // namespace parley
