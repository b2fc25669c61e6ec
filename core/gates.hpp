// Which session a delivery is for, when the broker only knows topics (docs/ARCHITECTURE.md,
// "Addressed delivery"). What is published goes through the broker's queue and is checked later, in
// order; a gate is a mark in that queue. Whoever publishes sets it, whoever checks passes it. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "core/link.hpp"

namespace parley {

/// What holds for everything behind it in the queue, until the next one.
struct Gate {
  SessionNo only = 0;                       // 0: everybody
  std::vector<link::SyncDone> sync_done{};  // have caught up: live messages reach them from here on
  std::vector<link::Hold> holds{};          // live messages are held back from them from here on
};

class Gates {
 public:
  // ---- the side that publishes ----

  /// Whether something for `only` (0: everybody) needs a gate in front of it.
  [[nodiscard]] bool needs_gate(SessionNo only) const { return only != published_; }
  /// The caller publishes a fence at this point of the queue.
  void publish(Gate gate) {
    published_ = gate.only;
    waiting_.push_back(std::move(gate));
  }

  // ---- the side that checks ----

  /// A fence has come to the front of the queue. The gate that holds from here on.
  Gate pass() {
    if (waiting_.empty()) return {};
    Gate gate = std::move(waiting_.front());
    waiting_.pop_front();
    if (due_ > 0) --due_;
    current_ = gate.only;
    return gate;
  }
  /// The only session that may be given what is checked now; 0: everybody.
  [[nodiscard]] SessionNo current() const { return current_; }

  // ---- once per pass of the broker's loop, which empties the queue first ----

  /// At the start of the tick: the gates whose fence nobody saw, as the worker's connection is
  /// gone.
  std::vector<Gate> take_lost() {
    std::vector<Gate> lost;
    for (; due_ > 0; --due_) {
      lost.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return lost;
  }
  /// At its end: what is published from here on is checked in the pass after the next.
  void end_tick() {
    due_ = waiting_.size();
    published_ = 0;
    current_ = 0;
  }

 private:
  std::deque<Gate> waiting_;
  std::size_t due_ = 0;  // of them: checked in the coming pass
  SessionNo published_ = 0;
  SessionNo current_ = 0;
};

}  // namespace parley
