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

void Chores::stop() {
  timer_.cancel();
  database_.stop();
}

/// One chore at a time: each begins the next.
void Chores::tick(int wait_ms) {
  timer_.expires_after(std::chrono::milliseconds{wait_ms});
  timer_.async_wait([this](const asio::error_code& error) {
    if (!error) work();
  });
}

void Chores::work() {
  if (!database_.ready()) {
    tick(idle_ms);
    return;
  }
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
                       [this](const Result<Changed, PgFault>& result) {
                         if (!result) {
                           failed("erase", result.error());
                           return;
                         }
                         needs_.tell(*result);
                         needs_.turn();
                         tick(next_ms);
                       }};
  needs_.lanes.push(std::move(change));
  needs_.turn();
}

void Chores::erase_contents() {
  database_.submit({sql::erase_contents(erased_max)}, [this](auto result) {
    if (!result) {
      failed("erase", result.error());
    } else if (sql::erase_contents_of(result->at(0))) {
      tick(next_ms);
    } else {
      retain();
    }
  });
}

void Chores::retain() {
  if (phase_ == Phase::idle) {
    if (mono_now() < retain_at_) {
      tick(idle_ms);
      return;
    }
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

void Chores::retained(std::int64_t next) {
  after_ = next;
  if (next < 0) {
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
