#include "worker/cursors.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "core/fault_point.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {
constexpr auto every = std::chrono::milliseconds{100};
constexpr std::int64_t apart_ms = 600;  // batches: at most two in a second, unless somebody waits
constexpr std::size_t batch_max = 1'000;

/// Whether raising `later` alone leaves everything where `earlier` and it would.
bool says_all_of(const sql::MarkUpdate& later, const sql::MarkUpdate& earlier) {
  return later.got_seq >= earlier.got_seq && later.read_seq >= earlier.read_seq &&
         later.said_seq >= earlier.said_seq && later.got_rev >= earlier.got_rev &&
         later.got_before >= earlier.got_before && later.read_before >= earlier.read_before &&
         later.published >= earlier.published && later.confirms >= earlier.confirms;
}
}  // namespace

Cursors::Cursors(asio::io_context& loop, const std::string& uri, Handlers handlers)
    : handlers_{std::move(handlers)}, timer_{loop}, database_{loop, "cursors", uri} {}

void Cursors::start() {
  database_.start();
  tick();
}

Cursors::Waiting& Cursors::add(const sql::MarkUpdate& update) {
  auto& waiting = waiting_[{update.user, update.device, update.conversation}];
  auto& known = waiting.update;
  known.user = update.user;
  known.device = update.device;
  known.conversation = update.conversation;
  known.got_seq = std::max(known.got_seq, update.got_seq);
  known.read_seq = std::max(known.read_seq, update.read_seq);
  known.got_before = std::max(known.got_before, update.got_before);
  known.read_before = std::max(known.read_before, update.read_before);
  known.said_seq = std::max(known.said_seq, update.said_seq);
  known.got_rev = std::max(known.got_rev, update.got_rev);
  known.published = known.published || update.published;
  known.confirms = known.confirms || update.confirms;
  return waiting;
}

void Cursors::raise(const sql::MarkUpdate& update) { add(update); }

void Cursors::raise(const sql::MarkUpdate& update, const Origin& origin) {
  auto& waiting = add(update);
  // The record that is last does for all before it, should they have to be carried out again. So
  // what many say often does not use up the credit.
  if (says_all_of(update, waiting.update)) {
    for (const auto& earlier : std::exchange(waiting.origins, {})) handlers_.done(earlier);
  }
  waiting.origins.push_back(origin);
}

void Cursors::tick() {
  timer_.expires_after(every);
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    if (mono_now().value - sent_at_.value >= apart_ms) flush();
    tick();
  });
}

void Cursors::after_raised(std::function<void()> fn) {
  if (idle()) {
    fn();
  } else if (waiting_.empty()) {
    after_this_.push_back(std::move(fn));
  } else {
    after_next_.push_back(std::move(fn));
    flush();
  }
}

void Cursors::end_turn(bool credit_short) {
  if (!credit_short) return;
  // A database that refuses is not asked at every turn.
  if (failing_ && mono_now().value - sent_at_.value < apart_ms) return;
  flush();
}

void Cursors::flush() {
  if (busy_ || waiting_.empty()) return;
  std::vector<Waiting> batch;
  // Somebody waits for all of it: then all of it goes.
  while (!waiting_.empty() && (batch.size() < batch_max || !after_next_.empty())) {
    batch.push_back(std::move(waiting_.extract(waiting_.begin()).mapped()));
  }
  after_this_ = std::exchange(after_next_, {});
  busy_ = true;
  sent_at_ = mono_now();
  send(std::move(batch));
}

void Cursors::send(std::vector<Waiting> batch) {
  std::vector<sql::MarkUpdate> updates;
  bool confirms = false;
  for (const auto& one : batch) {
    updates.push_back(one.update);
    confirms = confirms || one.update.confirms;
  }
  std::vector<PgQuery> queries;
  for (const auto& [user, device] : begins_) queries.push_back(sql::add_device(user, device));
  // A device may confirm before it subscribes anything: then it becomes known here.
  for (const auto& update : updates) {
    if (update.confirms) queries.push_back(sql::add_device(update.user, update.device));
  }
  // Devices before their marks, as a `sync` does.
  if (confirms) queries.push_back(sql::set_confirms(updates));
  const auto moved_at = queries.size();
  queries.push_back(sql::raise_user_marks(updates));
  queries.push_back(sql::raise_device_marks(updates));
  auto kept = std::make_shared<std::vector<Waiting>>(std::move(batch));
  auto begun = std::exchange(begins_, {});
  database_.submit(
      std::move(queries), [this, kept, moved_at, begun = std::move(begun)](auto result) {
        busy_ = false;
        if (result) {
          crash_point(CrashPoint::worker_after_marks);
          for (const auto& one : *kept) {
            for (const auto& origin : one.origins) handlers_.done(origin);
          }
          handlers_.moved(sql::moved_of(result->at(moved_at)));
          if (std::exchange(failing_, false)) log::info("event=cursors_back");
          for (const auto& fn : std::exchange(after_this_, {})) fn();
          if (!after_next_.empty()) flush();
          return;
        }
        // Cursors only rise: raising them again with what came meanwhile is the same.
        if (!std::exchange(failing_, true)) {
          log::warn("event=cursors_failed err={}", log::quoted(result.error().what));
        }
        begins_.insert(begun.begin(), begun.end());
        for (auto& one : *kept) {
          auto& waiting = add(one.update);
          waiting.origins.insert(waiting.origins.end(), one.origins.begin(), one.origins.end());
        }
        after_next_.insert(after_next_.begin(), after_this_.begin(), after_this_.end());
        after_this_.clear();
      });
}

}  // namespace parley
