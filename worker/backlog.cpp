#include "worker/backlog.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {
constexpr std::size_t runs_max = 32;                // at once; the others wait
constexpr std::int64_t page_max = 200;              // messages
constexpr std::size_t page_bytes_max = 128 * 1024;  // as stored; about
constexpr auto retry_after = std::chrono::milliseconds{300};
constexpr std::size_t live_max = 4'096;  // messages kept per session while it catches up
}  // namespace

StoredMessage stored_message(ConversationId conversation, const sql::MessageRow& row) {
  StoredMessage stored{conversation, row.sender_id, {}};
  auto& message = stored.message;
  message.id = row.request_id;
  message.from = row.sender;
  message.seq = row.seq;
  message.rev = row.rev;
  message.time = row.received_at;
  message.content.kind = row.kind;
  message.content.text = row.text;
  if (row.extra && !decode_content_rest(*row.extra, message.content)) {
    log::error("event=bad_extra conversation={} seq={}", conversation.value, row.seq);
  }
  message.edited_time = row.edited_at;
  message.deleted = row.deleted;
  message.expires_time = row.expires_at;
  return stored;
}

bool Backlogs::current(SessionNo session_no, std::uint64_t id) const {
  const auto found = runs_.find(session_no);
  return found != runs_.end() && found->second.id == id;
}

void Backlogs::start(const link::Session& session) {
  const auto finished = finished_.find(session.session_no);
  if (finished != finished_.end() && finished->second == session.sync_no) {
    needs_.sessions.synced(session.session_no);  // the plugin is about to hear it
    return;
  }
  const auto [entry, fresh] = runs_.try_emplace(session.session_no);
  auto& run = entry->second;
  if (!fresh && run.sync_no == session.sync_no) return;
  // Once more, from the beginning: what was sent may have been lost on the broker's side, or have
  // gone to fewer subscriptions.
  const bool begun = run.id != 0;
  run.sync_no = session.sync_no;
  run.sent.clear();
  run.listed = false;
  run.wait_for = 0;
  if (begun) {
    run.id = ++last_id_;
    ask(session.session_no);
  } else if (fresh) {
    waiting_.push_back(session.session_no);
    next_waiting();
  }
}

void Backlogs::drop(SessionNo session_no) {
  finished_.erase(session_no);
  const auto found = runs_.find(session_no);
  if (found == runs_.end()) return;
  if (found->second.id != 0) --running_;
  runs_.erase(found);
  next_waiting();
}

void Backlogs::forget_gone() {
  std::vector<SessionNo> gone;
  for (const auto& [session_no, run] : runs_) {
    if (needs_.sessions.find(session_no) == nullptr) gone.push_back(session_no);
  }
  for (const auto session_no : gone) drop(session_no);
  std::erase_if(finished_,
                [this](const auto& entry) { return needs_.sessions.find(entry.first) == nullptr; });
}

void Backlogs::next_waiting() {
  // A session that needs nothing is finished at once, and that comes back here.
  if (std::exchange(starting_, true)) return;
  while (!waiting_.empty() && running_ < runs_max) {
    const auto session_no = waiting_.front();
    waiting_.pop_front();
    const auto found = runs_.find(session_no);
    if (found == runs_.end() || found->second.id != 0) continue;
    found->second.id = ++last_id_;
    ++running_;
    ask(session_no);
  }
  starting_ = false;
}

void Backlogs::ask(SessionNo session_no) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {  // a snapshot is on its way: it says whether the session is still there
    retry(session_no);
    return;
  }
  if ((session->feeds & feed::inbox_any) == 0) {
    finish(session_no);
    return;
  }
  // The client may have said `got` a moment ago, before it came back.
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
  run.live.clear();
  run.overflowed = false;
  std::vector<PgQuery> queries;
  if (!session->device.empty())
    queries.push_back(sql::add_device(session->user_id, session->device));
  queries.push_back(sql::session_kind(session->user_id, session->device));
  queries.push_back(sql::behind(session->user_id, session->device));
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
  timer_.expires_after(retry_after);
  timer_.async_wait([this](const asio::error_code& error) {
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
    if (!result || up == nullptr)
      return;  // without it the device just gets some messages twice later
    const auto kind = sql::session_kind_of(result->at(0));
    if (kind.observes || kind.confirms) return;
    needs_.auto_got.follow(session_no, up->user_id, up->device, got_after_ms(up->keep_alive_s));
  });
}

void Backlogs::listed(SessionNo session_no, const std::vector<PgRows>& results) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {
    retry(session_no);
    return;
  }
  const auto kind = sql::session_kind_of(results.at(results.size() - 2));
  if (!kind.observes && !kind.confirms) {
    needs_.auto_got.follow(session_no, session->user_id, session->device,
                           got_after_ms(session->keep_alive_s));
  }
  run.todo.clear();
  if (!kind.observes) {
    for (auto& behind : sql::behind_of(results.back())) {
      auto& sent = run.sent[behind.conversation];
      sent = std::max(sent, behind.got_seq);
      if (sent >= behind.last_seq || !covers(*session, behind.conv)) continue;
      if (!run.listed && behind.last_seq - sent > sync_messages_max_) {
        sent = behind.last_seq - sync_messages_max_;
        truncated(*session, behind, sent + 1);
      }
      run.todo.push_back(std::move(behind));
    }
  }
  run.listed = true;
  next_page(session_no);
}

void Backlogs::truncated(const link::Session& session, const sql::Behind& behind, Seq from) {
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
  if (run.todo.empty()) {
    settle(session_no);
    return;
  }
  const auto behind = run.todo.front();
  const auto sent = run.sent[behind.conversation];
  const sql::MessageRange range{behind.conversation, session->user_id, sent,
                                behind.last_seq + 1, page_max,         false};
  std::vector<PgQuery> queries;
  queries.push_back(sql::message_range(range));
  needs_.database.submit(std::move(queries), [this, session_no, id = run.id, behind](auto result) {
    if (!current(session_no, id)) return;
    if (result) {
      page(session_no, behind, sql::messages_of(result->at(0)));
    } else {
      retry(session_no);
    }
    needs_.turn();
  });
}

void Backlogs::page(SessionNo session_no, const sql::Behind& behind,
                    const std::vector<sql::MessageRow>& rows) {
  const auto* session = needs_.sessions.find(session_no);
  auto& run = runs_.at(session_no);
  if (session == nullptr) {
    retry(session_no);
    return;
  }
  auto& sent = run.sent[behind.conversation];
  bool delivered = false;
  std::size_t bytes = 0;
  bool cut = false;
  for (const auto& row : rows) {
    cut = bytes > page_bytes_max;
    if (cut) break;  // the rest comes with the next page
    bytes += row.text.size() + (row.extra ? row.extra->size() : 0);
    sent = std::max(sent, row.seq);
    if (row.deleted) continue;  // nothing is left of it that a late reader could use
    for (auto& delivery : deliver_to_session(stored_message(behind.conversation, row),
                                             behind.is_room, behind.conv, *session)) {
      needs_.plugin.deliver(std::move(delivery));
      delivered = true;
    }
  }
  const bool last = !cut && static_cast<std::int64_t>(rows.size()) < page_max;
  if (last) {
    sent = std::max(sent, behind.last_seq);
    run.todo.pop_front();
  }
  needs_.auto_got.published(session_no, behind.conversation, sent, mono_now());
  if (!delivered) {
    next_page(session_no);
    return;
  }
  // One page at a time: the broker's queue for this session must not overflow.
  run.wait_for = needs_.plugin.filling_total();
}

void Backlogs::applied() {
  std::vector<SessionNo> due;
  for (auto& [session_no, run] : runs_) {
    if (run.wait_for == 0 || run.wait_for > needs_.plugin.applied_total()) continue;
    run.wait_for = 0;
    due.push_back(session_no);
  }
  for (const auto session_no : due) {
    if (runs_.contains(session_no)) next_page(session_no);
  }
}

void Backlogs::settle(SessionNo session_no) {
  // What the database showed us may not have been settled by its lane yet: its live publish must
  // come while this session is still held back, or it would get those messages twice.
  const auto id = runs_.at(session_no).id;
  needs_.lanes.after_in_flight([this, session_no, id] {
    if (!current(session_no, id)) return;
    auto& run = runs_.at(session_no);
    if (run.overflowed) {
      ask(session_no);
      return;
    }
    const auto* session = needs_.sessions.find(session_no);
    if (session == nullptr) {
      retry(session_no);
      return;
    }
    for (const auto& live : run.live) {
      auto& sent = run.sent[live.message->conversation];
      if (live.message->message.seq <= sent) continue;
      sent = live.message->message.seq;
      for (auto& delivery : deliver_to_session(*live.message, live.is_room, live.conv, *session)) {
        needs_.plugin.deliver(std::move(delivery));
      }
      needs_.auto_got.published(session_no, live.message->conversation, sent, mono_now());
    }
    finish(session_no);
    needs_.turn();
  });
}

void Backlogs::finish(SessionNo session_no) {
  const auto found = runs_.find(session_no);
  const auto sync_no = found->second.sync_no;
  runs_.erase(found);
  --running_;
  finished_[session_no] = sync_no;
  needs_.sessions.synced(session_no);
  needs_.plugin.sync_done({session_no, sync_no});
  next_waiting();
}

void Backlogs::stored(const std::shared_ptr<const StoredMessage>& message,
                      const Conversation& conversation) {
  for (auto& [session_no, run] : runs_) {
    if (run.id == 0) continue;  // has not asked yet: the answer will have it
    const auto* session = needs_.sessions.find(session_no);
    if (session == nullptr) {  // a snapshot is on its way: what it misses now is asked for again
      run.live.clear();
      run.overflowed = true;
      continue;
    }
    if (!conversation.has(session->user_id)) continue;
    const auto conv = conv_for(conversation, session->user_id);
    if (!covers(*session, conv)) continue;
    if (run.live.size() == live_max) {
      run.live.clear();
      run.overflowed = true;
    }
    if (!run.overflowed) run.live.push_back({message, conversation.is_room, std::string{conv}});
  }
}

}  // namespace parley
