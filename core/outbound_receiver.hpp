// The numbered stream of batches from worker to plugin, as the plugin sees it: each batch once and
// in order, and what to ask for when one is missing (docs/ARCHITECTURE.md, "Two numbered streams").
// Pure.
#pragma once

#include <cstdint>

#include "core/ids.hpp"

namespace parley {

class OutboundReceiver {
 public:
  /// A new worker's numbers begin at 1.
  void begin() { *this = {}; }

  enum class Verdict {
    expected,  // carry it out, then call applied()
    repeated,  // known: acknowledge it again
    early,     // one before it is missing
  };
  Verdict judge(std::uint64_t batch_no);
  /// The expected batch has been carried out.
  void applied() { ++applied_; }
  /// The last batch that the worker has: when it does not come, it was lost.
  void saw_last(std::uint64_t batch_no) { last_ = batch_no > last_ ? batch_no : last_; }

  /// The batch to ask for: at once when a later one came, else when there was no progress for
  /// `after_ms`; not more often than that. 0: nothing to ask for.
  std::uint64_t ask(MonoMillis now, std::int64_t after_ms);

  [[nodiscard]] std::uint64_t applied_batch_no() const { return applied_; }

 private:
  std::uint64_t applied_ = 0;
  std::uint64_t last_ = 0;
  bool early_ = false;  // one came before its time: those before it are lost, not late
  std::uint64_t applied_at_look_ = 0;  // when ask() last looked
  MonoMillis quiet_since_;             // no progress since; 0: has not looked yet
  MonoMillis asked_at_;                // 0: never
};

}  // namespace parley
