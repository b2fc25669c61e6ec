#include "worker/chores.hpp"

#include <chrono>
#include <utility>

#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr int idle_ms = 1'000;
constexpr int next_ms = 20;  // others shall have their turn at the database
constexpr int failed_ms = 5'000;
constexpr std::int64_t erased_max = 2'000;  // messages at once
constexpr std::int64_t removed_max = 1'000;
constexpr std::int64_t retain_every_ms = 600'000;

}  // namespace

Chores::Chores(asio::io_context& loop, const std::string& uri, std::uint32_t retention_days,
               Needs needs)
    : retention_days_{retention_days},
      needs_{std::move(needs)},
      timer_{loop},
      database_{loop, "chores", uri, {&sql::limit_chores}} {}

void Chores::start() {
  database_.start();
  tick(idle_ms);
}

/// One chore at a time: each begins the next.
void Chores::tick(int wait_ms) {
  timer_.expires_after(std::chrono::milliseconds{wait_ms});
  timer_.async_wait([this](const asio::error_code& error) {
    if (!error) work();
  });
}

/// In turn: neither waits until the other has nothing more to do.
void Chores::work() {
  if (!database_.ready()) {
    tick(idle_ms);
  } else if (std::exchange(retain_next_, !retain_next_) && retention_due()) {
    retain();
  } else {
    erase();
  }
}

bool Chores::retention_due() const { return phase_ != Phase::idle || mono_now() >= retain_at_; }

void Chores::erase() {
  database_.submit({sql::erasure_room()}, [this](auto result) {
    if (!result) {
      failed("erase", result.error());
    } else if (const auto room = sql::erasure_room_of(result->at(0))) {
      leave_room(*room);
    } else {
      erase_contents();
    }
  });
}

/// In the order of what is said in the room, and told to those who stay.
void Chores::leave_room(const sql::ErasureRoom& room) {
  sql::Asker asker;
  asker.user = room.user;
  asker.name = room.name;
  asker.received_at = wall_now();
  asker.limits = "{}";
  // Names this change for ever, as the origin of a request does: no spool has such a number.
  asker.origin = {static_cast<std::uint64_t>(-room.user.value),
                  static_cast<IngestNo>(room.conversation.value)};
  PendingChange change{room.conversation,
                       "me.erase_room",
                       std::move(asker),
                       "{}",
                       [] { return true; },
                       [this, room](const Result<Changed, PgFault>& result) {
                         left_room(room, result);
                         needs_.turn();
                       }};
  needs_.lanes.push(std::move(change));
  needs_.turn();
}

void Chores::left_room(const sql::ErasureRoom& room, const Result<Changed, PgFault>& result) {
  if (result) needs_.tell(*result);
  if (result && (!result->outcome || result->outcome->code.empty())) {
    tick(next_ms);
    return;
  }
  log::error("event=chore_failed chore=erase user={} room={} err={}", room.user.value,
             room.conversation.value,
             log::quoted(result ? result->outcome->detail : result.error().what));
  postpone(room.user, room.conversation);
}

void Chores::erase_contents() {
  database_.submit({sql::erase_contents(erased_max)}, [this](auto result) {
    if (!result) {
      log::error("event=chore_failed chore=erase sqlstate={} err={}", result.error().sqlstate,
                 log::quoted(result.error().what));
      postpone(UserId{0}, ConversationId{0});
      return;
    }
    const auto step = sql::erase_contents_of(result->at(0));
    if (step.changed) needs_.contents_gone(*step.changed);
    tick(step.more || retention_due() ? next_ms : idle_ms);
  });
}

void Chores::postpone(UserId user, ConversationId room) {
  database_.submit({sql::postpone_erasure(user, room)}, [this](auto result) {
    if (!result) {
      failed("erase", result.error());
    } else {
      tick(next_ms);
    }
  });
}

void Chores::retain() {
  if (phase_ == Phase::idle) {
    phase_ = Phase::partitions;
    after_ = 0;
  }
  const char* const name = phase_ == Phase::partitions ? "partitions"
                           : phase_ == Phase::rows     ? "rows"
                                                       : "rooms";
  database_.submit({sql::retention_step(name, retention_days_, after_, removed_max)},
                   [this](auto result) {
                     if (!result) {
                       failed("retention", result.error());
                     } else {
                       retained(sql::retention_step_of(result->at(0)));
                     }
                   });
}

void Chores::retained(const sql::RetentionStep& step) {
  if (step.changed) needs_.contents_gone(*step.changed);
  after_ = step.next;
  if (step.next < 0) {
    after_ = 0;
    switch (phase_) {
      case Phase::partitions:
        phase_ = Phase::rows;
        break;
      case Phase::rows:
        phase_ = Phase::rooms;
        break;
      case Phase::idle:
      case Phase::rooms:
        phase_ = Phase::idle;
        retain_at_ = {mono_now().value + retain_every_ms};
        break;
    }
  }
  tick(next_ms);
}

void Chores::failed(const char* what, const PgFault& fault) {
  log::error("event=chore_failed chore={} sqlstate={} err={}", what, fault.sqlstate,
             log::quoted(fault.what));
  tick(failed_ms);
}

}  // namespace parley
