#include "worker/backlog.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "core/fault_point.hpp"
#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {
constexpr std::size_t active_max = 32;              // runs at once; the others wait
constexpr std::int64_t page_max = 200;              // messages
constexpr std::size_t page_bytes_max = 128 * 1024;  // as stored; about
constexpr Rev revs_factor = 4;                      // events go back so much further than messages
constexpr auto retry_after = std::chrono::milliseconds{300};
}  // namespace

Backlogs::Backlogs(asio::io_context& loop, Needs needs, Settings settings)
    : retry_timer_{loop},
      tick_timer_{loop},
      needs_{std::move(needs)},
      settings_{settings},
      next_hold_no_{std::max(1U, settings.first_hold_no)} {}

void Backlogs::start() { tick(); }

bool Backlogs::current(SessionNo session_no, std::uint64_t id) const {
  const auto found = runs_.find(session_no);
  return found != runs_.end() && found->second.id == id;
}

void Backlogs::changed(const link::Session& session) {
  const auto session_no = session.session_no;
  const auto known = runs_.find(session_no);
  if (known != runs_.end() && known->second.state == State::holding) {
    held(known->second, session);
    return;
  }
  if (!session.syncing) return;
  const auto finished = finished_.find(session_no);
  if (finished != finished_.end() && finished->second == session.sync_no) {
    needs_.sessions.synced(session_no);  // the plugin is about to hear it
    return;
  }
  if (known == runs_.end()) {
    begin(session_no);
    auto& run = runs_.try_emplace(session_no, settings_.delivery, place_of(session)).first->second;
    run.sync_no = session.sync_no;
    enqueue(session_no, run);
    return;
  }
  auto& run = known->second;
  if (run.sync_no == session.sync_no) return;
  // Once more, from the beginning: what was sent may have been lost on the broker's side, or have
  // gone to fewer subscriptions.
  begin(session_no);
  run.sync_no = session.sync_no;
  run.listed = false;
  if (run.state == State::active) {
    run.id = ++last_id_;
    ask(session_no);
  }
}

void Backlogs::held(Run& run, const link::Session& session) {
  needs_.sessions.hold(session.session_no);
  if (session.hold_no != run.hold_no) {
    // From before. If the plugin itself began again with the session, some that were published
    // live did not reach it.
    run.anew = run.anew || session.sync_no >= run.sync_no;
    return;
  }
  if (run.anew || session.sync_no != run.sync_no) {
    begin(session.session_no);
    run.listed = false;
  }
  run.sync_no = session.sync_no;
  enqueue(session.session_no, run);
}

/// What it was sent before does not count any more.
void Backlogs::begin(SessionNo session_no) {
  needs_.positions.begin(session_no);
  told_up_to_.erase(session_no);
}

void Backlogs::hold(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  if (session == nullptr || session->syncing || runs_.contains(session_no)) return;
  auto& run = runs_.try_emplace(session_no, settings_.delivery, place_of(*session)).first->second;
  run.state = State::holding;
  run.sync_no = session->sync_no + 1;
  run.hold_no = next_hold_no_++;
  run.listed = true;  // it has been brought up to date: from there on it gets everything
  needs_.sessions.hold(session_no);
  needs_.plugin.hold({session_no, run.hold_no});
}

void Backlogs::drop(SessionNo session_no) {
  finished_.erase(session_no);
  blocked_.erase(session_no);
  told_up_to_.erase(session_no);
  placed_.erase(session_no);
  since_ever_.erase(session_no);
  told_all_.erase(session_no);
  needs_.positions.drop(session_no);
  const auto found = runs_.find(session_no);
  if (found == runs_.end()) return;
  if (found->second.state == State::active) --active_;
  runs_.erase(found);
  next_waiting();
}

void Backlogs::forget_gone() {
  const auto is_up = [this](SessionNo session_no) {
    return needs_.sessions.find(session_no) != nullptr;
  };
  std::vector<SessionNo> gone;
  for (const auto& [session_no, run] : runs_) {
    if (!is_up(session_no)) gone.push_back(session_no);
  }
  for (const auto session_no : gone) drop(session_no);
  std::erase_if(finished_, [&](const auto& entry) { return !is_up(entry.first); });
  std::erase_if(placed_, [&](const auto& entry) { return !is_up(entry.first); });
  std::erase_if(since_ever_, [&](SessionNo session_no) { return !is_up(session_no); });
  std::erase_if(told_all_, [&](SessionNo session_no) { return !is_up(session_no); });
  std::erase_if(told_up_to_, [&](const auto& entry) { return !is_up(entry.first); });
  needs_.positions.keep_only(is_up);
}

void Backlogs::lost_sight() {
  for (auto& [session_no, run] : runs_) run.overflowed = true;
}

void Backlogs::enqueue(SessionNo session_no, Run& run) {
  const auto* session = needs_.sessions.find(session_no);
  if (session != nullptr && (session->feeds & feed::inbox_any) == 0) {
    activate(session_no, run);  // needs nothing of the database, and nobody would keep what comes
    return;
  }
  run.state = State::waiting;
  waiting_.push_back(session_no);
  next_waiting();
}

void Backlogs::activate(SessionNo session_no, Run& run) {
  run.state = State::active;
  run.id = ++last_id_;
  ++active_;
  ask(session_no);
}

void Backlogs::next_waiting() {
  // A session that needs nothing is finished at once, and that comes back here.
  if (std::exchange(starting_, true)) return;
  while (!waiting_.empty() && active_ < active_max) {
    const auto session_no = waiting_.front();
    waiting_.pop_front();
    const auto found = runs_.find(session_no);
    if (found == runs_.end() || found->second.state != State::waiting) continue;
    activate(session_no, found->second);
  }
  starting_ = false;
}

void Backlogs::ask(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  run.wait_for = 0;
  if (session == nullptr) {  // a snapshot is on its way: it says whether the session is still there
    retry(session_no);
    return;
  }
  if ((session->feeds & feed::inbox_any) == 0) {
    send_what_came(*session, run);
    finish(session_no);
    return;
  }
  if (paused_.contains(place_of(*session))) {
    park(session_no, run);
    return;
  }
  // The client may have said `got` a moment ago, before it came back. That is written before the
  // list is read: only what is said from now on may be missing there. An earlier one beyond the
  // newest message would swallow what was stored since.
  run.confirmed.clear();
  needs_.cursors.after_raised([this, session_no, id = run.id] {
    if (current(session_no, id)) list(session_no);
  });
}

void Backlogs::list(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {
    retry(session_no);
    return;
  }
  // What is stored from here on may or may not be in the answer: it is kept, and compared by seq.
  // An observer gets nothing from the database: for him it is kept since he subscribed.
  if (run.listed || !session->device.empty()) {
    // The database does not show copies of what one has sent to where one has not subscribed.
    std::erase_if(run.live, [&](const Live& live) { return covers(*session, live.conv); });
    run.events.clear();
  }
  run.passed.clear();
  run.overflowed = false;
  std::vector<PgQuery> queries;
  if (!session->device.empty() && !run.listed)
    queries.push_back(sql::add_device(session->user_id, session->device));
  queries.push_back(sql::session_kind(session->user_id, session->device));
  queries.push_back(sql::behind(session->user_id, session->device, placed_.contains(session_no)));
  run.wants_missed = run.wants_missed || !run.listed;
  needs_.database.submit(std::move(queries), [this, session_no, id = run.id](auto result) {
    if (!current(session_no, id)) return;
    if (result) {
      listed(session_no, *result);
    } else {
      retry(session_no);
    }
    needs_.turn();
  });
}

void Backlogs::retry(SessionNo session_no) {
  retrying_.push_back({session_no, runs_.at(session_no).id});
  if (retrying_.size() > 1) return;
  retry_timer_.expires_after(retry_after);
  retry_timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    for (const auto& due : std::exchange(retrying_, {})) {
      // With a new answer of the database; what was sent already is remembered.
      if (current(due.session_no, due.id)) ask(due.session_no);
    }
  });
}

void Backlogs::follow(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  if (session == nullptr || (session->feeds & feed::inbox_any) == 0) return;
  std::vector<PgQuery> queries;
  queries.push_back(sql::session_kind(session->user_id, session->device));
  needs_.database.submit(std::move(queries), [this, session_no](auto result) {
    const auto* up = needs_.sessions.find(session_no);
    if (up == nullptr || up->syncing) return;
    // Without an answer the device just gets some messages twice later; one that confirms would
    // miss some, so it is taken for such a one.
    const auto kind = result ? sql::session_kind_of(result->at(0))
                             : sql::SessionKind{up->device.empty(), !up->device.empty()};
    if (kind.confirms) {
      // What was sent to it does not count any more, but the broker may still hold it.
      if (needs_.positions.follows(session_no)) begin(session_no);
      needs_.auto_got.set_confirms(session_no);
      // Nobody knows what it has been sent and has not confirmed: from its mark on, again.
      hold(session_no);
      needs_.turn();
      return;
    }
    needs_.positions.drop(session_no);
    if (!kind.observes) {
      needs_.auto_got.follow(session_no, up->user_id, up->device, got_after_ms(up->keep_alive_s),
                             false);
    }
  });
}

void Backlogs::listed(SessionNo session_no, const std::vector<PgRows>& results) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {
    retry(session_no);
    return;
  }
  const auto rows = results.end() - 2;
  const auto kind = sql::session_kind_of(rows[0]);
  if (!needs_.positions.follows(session_no)) begin(session_no);
  if (kind.confirms) needs_.positions.set_confirms(session_no, mono_now());
  if (!kind.observes) {
    needs_.auto_got.follow(session_no, session->user_id, session->device,
                           got_after_ms(session->keep_alive_s),
                           needs_.positions.confirms(session_no));
  }
  run.todo.clear();
  run.observes = kind.observes;
  if (kind.observes) {
    needs_.positions.drop(session_no);
  } else {
    plan(*session, run, rows[1]);
  }
  run.listed = true;
  next_page(session_no);
}

/// What is to be sent, in the order of conversations.
void Backlogs::plan(const link::Session& session, Run& run, const PgRows& rows) {
  run.with_events = (session.feeds & feed::event_any) != 0;
  for (auto& behind : sql::behind_of(rows)) {
    positions_of(session, run, behind);
    const bool lacks = behind.got_seq < behind.last_seq || behind.got_rev < behind.last_rev;
    if (!lacks) continue;
    if (!run.listed) limit(session, behind);
    run.todo.push_back(std::move(behind));
  }
}

/// What this session was sent already, or has said that it holds, beside what the database knows.
void Backlogs::positions_of(const link::Session& session, Run& run, sql::Behind& behind) {
  const auto id = behind.conversation;
  const auto confirmed = run.confirmed.find(id);
  behind.got_seq =
      std::max(behind.got_seq, needs_.positions.position(session.session_no, id).value_or(0));
  if (confirmed != run.confirmed.end()) {
    behind.got_seq = std::max(behind.got_seq, std::min(confirmed->second, behind.last_seq));
  }
  if (const auto placed = placed_.find(session.session_no); placed != placed_.end()) {
    const auto found = placed->second.find(id);
    if (found != placed->second.end()) {
      behind.got_seq = std::max(behind.got_seq, found->second.got_seq);
      behind.got_rev = std::max(behind.got_rev, found->second.got_rev);
    }
  }
  if (const auto told = told_up_to_.find(session.session_no); told != told_up_to_.end()) {
    const auto up_to = told->second.find(id);
    if (up_to != told->second.end()) behind.got_rev = std::max(behind.got_rev, up_to->second);
  }
  if (!covers(session, behind.conv)) behind.got_seq = behind.last_seq;
  if (!run.with_events) behind.got_rev = behind.last_rev;
}

/// No flood: older messages are in history, and what was told of them is seen there.
void Backlogs::limit(const link::Session& session, sql::Behind& behind) {
  const auto most = settings_.sync_messages_max;
  const bool many_messages = behind.last_seq > behind.got_seq + most;
  const bool many_events = behind.last_rev > behind.got_rev + revs_factor * most;
  if (many_events) behind.got_rev = behind.last_rev - revs_factor * most;
  if (many_messages) behind.got_seq = behind.last_seq - most;
  if (many_messages || many_events || behind.cut) truncated(session, behind, behind.got_seq + 1);
}

void Backlogs::truncated(const link::Session& session, const sql::Behind& behind, Seq from) {
  needs_.positions.sent(session.session_no, {behind.conversation, from - 1, 0}, mono_now());
  const Truncated event{behind.conv, behind.last_rev, wall_now(), from};
  for (const auto& [bit, format] :
       {std::pair{feed::event_json, Format::json}, {feed::event_pb, Format::pb}}) {
    if ((session.feeds & bit) == 0) continue;
    link::Delivery delivery;
    delivery.to = {session.user};
    delivery.session_no = session.session_no;
    delivery.suffix = event_rest(format, behind.conv);
    delivery.payload = encode_truncated(format, event);
    delivery.qos = 1;
    needs_.plugin.deliver(std::move(delivery));
  }
}

void Backlogs::next_page(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {
    retry(session_no);
    return;
  }
  const auto through = [](const sql::Behind& behind) {
    return behind.got_seq >= behind.last_seq && behind.got_rev >= behind.last_rev;
  };
  while (!run.todo.empty() && through(run.todo.front())) run.todo.pop_front();
  if (run.todo.empty() && run.missed.empty()) {
    const bool may_miss = !run.observes && (session->feeds & feed::event_any) != 0;
    if (std::exchange(run.wants_missed, false) && may_miss) {
      ask_missed(session_no);
    } else {
      settle(session_no);
    }
    return;
  }
  const auto packets = allowance(session_no);
  if (packets < std::max(1U, packets_of(*session))) {
    block(session_no, run);
  } else if (run.todo.empty()) {
    next_missed(session_no, packets);
  } else {
    ask_page(session_no, packets);
  }
}

/// Messages and events of the conversation in front, in the order of their revs: who holds one has
/// been told everything before it.
/// @param packets  at most so many
void Backlogs::ask_page(SessionNo session_no, std::int64_t packets) {
  const auto* session = needs_.sessions.find(session_no);
  const auto& run = runs_.at(session_no);
  const auto& behind = run.todo.front();
  const auto messages_max = std::min(page_max, packets / std::max(1U, packets_of(*session)));
  const auto events_max = std::min(page_max, packets);
  const bool messages = behind.got_seq < behind.last_seq;
  const bool events = behind.got_rev < behind.last_rev;
  std::vector<PgQuery> queries;
  if (messages) {
    queries.push_back(sql::message_range({behind.conversation, session->user_id, behind.got_seq,
                                          behind.last_seq + 1, messages_max, false}));
  }
  if (events) {
    queries.push_back(sql::event_range(
        {behind.conversation, session->user_id, behind.got_rev, behind.last_rev, events_max}));
  }
  needs_.database.submit(std::move(queries), [this, session_no, id = run.id, messages_max,
                                              events_max, messages, events](auto result) {
    if (!current(session_no, id)) return;
    if (!result) {
      retry(session_no);
      needs_.turn();
      return;
    }
    Page page;
    if (messages) page.messages = sql::messages_of(result->front());
    if (events) page.events = sql::events_of(result->back());
    page.all_messages = static_cast<std::int64_t>(page.messages.size()) < messages_max;
    page.all_events = static_cast<std::int64_t>(page.events.size()) < events_max;
    send_page(session_no, page);
    needs_.turn();
  });
}

void Backlogs::send_page(SessionNo session_no, const Page& page) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {
    retry(session_no);
    return;
  }
  auto& behind = run.todo.front();
  // Beyond the end of either list the other one has to wait.
  constexpr auto no_end = std::numeric_limits<Rev>::max();
  const auto end = std::min(page.all_messages ? no_end : page.messages.back().rev,
                            page.all_events ? no_end : page.events.back().rev);
  auto message = page.messages.begin();
  auto event = page.events.begin();
  bool delivered = false;
  std::size_t bytes = 0;
  for (;;) {
    const auto message_rev = message == page.messages.end() ? no_end : message->rev;
    const auto event_rev = event == page.events.end() ? no_end : event->rev;
    const auto rev = std::min(message_rev, event_rev);
    if (rev == no_end || rev > end || bytes > page_bytes_max) break;
    behind.got_rev = std::max(behind.got_rev, rev);
    if (event_rev <= message_rev) {
      run.pace.sent(send_event(*session, {behind.conv, event->rev, event->time, event->what}));
      bytes += event++->what.size();
      delivered = true;
    } else {
      bytes += message->text.size() + (message->extra ? message->extra->size() : 0);
      delivered = send_row(*session, run, *message++) || delivered;
    }
  }
  const bool last = message == page.messages.end() && event == page.events.end() &&
                    page.all_messages && page.all_events;
  end_page(*session, run, last);
  if (delivered) {
    wait_for_plugin(session_no, run);
  } else {
    next_page(session_no);
  }
}

/// @return whether anything of it was to be delivered
bool Backlogs::send_row(const link::Session& session, Run& run, const sql::MessageRow& row) {
  auto& behind = run.todo.front();
  if (row.seq <= behind.got_seq) return false;  // the client said so meanwhile
  behind.got_seq = row.seq;
  if (row.deleted) {  // nothing is left of it that a late reader could use
    needs_.positions.sent(session.session_no, {behind.conversation, row.seq, 0}, mono_now());
    return false;
  }
  return send(session, run, stored_message(behind.conversation, row), behind.is_room, behind.conv);
}

void Backlogs::end_page(const link::Session& session, Run& run, bool last) {
  auto& behind = run.todo.front();
  if (last) {
    behind.got_seq = std::max(behind.got_seq, behind.last_seq);
    behind.got_rev = std::max(behind.got_rev, behind.last_rev);
  }
  run.passed[behind.conversation] = behind.got_seq;
  if (covers(session, behind.conv)) {
    needs_.positions.sent(session.session_no, {behind.conversation, behind.got_seq, 0}, mono_now());
    needs_.auto_got.published(session.session_no, behind.conversation, behind.got_seq, mono_now());
  }
  if (run.with_events) {
    told_live(session, behind.conversation, behind.got_rev);
  }
}

/// One page at a time: the plugin sets the pace, too.
void Backlogs::wait_for_plugin(SessionNo session_no, Run& run) {
  run.wait_for = needs_.plugin.filling_total();
  unapplied_.push_back(session_no);
}

/// @return whether there was anything of it that the session has subscribed
bool Backlogs::send(const link::Session& session, Run& run, const StoredMessage& message,
                    bool is_room, std::string_view conv) {
  auto deliveries = deliver_to_session(message, is_room, conv, session);
  const auto packets = static_cast<std::uint32_t>(deliveries.size());
  for (auto& delivery : deliveries) needs_.plugin.deliver(std::move(delivery));
  const bool own = message.sender == session.user_id;
  if (own || !needs_.positions.confirms(session.session_no)) run.pace.sent(packets);
  if (covers(session, conv)) {
    needs_.positions.sent(session.session_no,
                          {message.conversation, message.message.seq, own ? 0 : packets},
                          mono_now());
  }
  return packets > 0;
}

void Backlogs::applied() {
  std::vector<SessionNo> due;
  std::erase_if(unapplied_, [&](SessionNo session_no) {
    const auto found = runs_.find(session_no);
    if (found == runs_.end() || found->second.wait_for == 0) return true;
    if (found->second.wait_for > needs_.plugin.applied_total()) return false;
    found->second.wait_for = 0;
    due.push_back(session_no);
    return true;
  });
  for (const auto session_no : due) {
    crash_point(CrashPoint::worker_between_pages);
    const auto found = runs_.find(session_no);
    if (found != runs_.end() && found->second.state == State::active) next_page(session_no);
  }
}

void Backlogs::settle(SessionNo session_no) {
  // What the database showed us may not have been settled by its lane yet: its live publish must
  // come while this session is still held back, or it would get those messages twice.
  const auto id = runs_.at(session_no).id;
  needs_.lanes.after_in_flight([this, session_no, id] {
    if (!current(session_no, id)) return;
    auto& run = runs_.at(session_no);
    const auto* session = needs_.sessions.find(session_no);
    if (session == nullptr) {
      retry(session_no);
      return;
    }
    // Copies of what one has sent oneself are not counted: nobody would confirm them.
    const auto counted = std::count_if(run.live.begin(), run.live.end(), [&](const Live& live) {
      return covers(*session, live.conv);
    });
    const auto packets = std::int64_t{packets_of(*session)} * counted;
    const bool too_much = packets > 0 && packets > allowance(session_no);
    if (!run.observes && (run.overflowed || too_much)) {
      ask(session_no);
      return;
    }
    send_what_came(*session, run);
    if (!run.observes && needs_.positions.room(session_no) == 0) {
      block(session_no, run);  // live messages have no more room than these had
      return;
    }
    finish(session_no);
    needs_.turn();
  });
}

void Backlogs::finish(SessionNo session_no) {
  const auto found = runs_.find(session_no);
  const auto sync_no = found->second.sync_no;
  if (const auto* session = needs_.sessions.find(session_no); session != nullptr) {
    for (const auto& [about, event] : found->second.unnumbered) send_event(*session, *event);
    const bool all = (session->feeds & feed::event_any) != 0 && !found->second.observes &&
                     !found->second.wants_missed && found->second.missed_told;
    if (all) told_all_.insert(session_no);
  }
  crash_point(CrashPoint::worker_before_sync_done);
  runs_.erase(found);
  placed_.erase(session_no);
  --active_;
  finished_[session_no] = sync_no;
  needs_.sessions.synced(session_no);
  needs_.plugin.sync_done({session_no, sync_no});
  next_waiting();
}

}  // namespace parley
