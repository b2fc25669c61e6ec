// The numbered stream of batches from worker to plugin: numbering, window, repetition until applied
// (docs/ARCHITECTURE.md, "The two streams"). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "core/ids.hpp"
#include "core/link.hpp"

namespace parley {

class OutboundStream {
 public:
  /// @param window  batches that may be sent and not yet applied
  explicit OutboundStream(std::size_t window) : window_{window} {}

  /// Adds a batch at the end; gives it its number.
  /// @param bytes  about how much memory it holds
  void push(link::OutboundBatch batch, std::size_t bytes);
  /// What to send now, in order: new ones within the window, or everything unapplied again when
  /// repetition is due. Pointers are good until the next call of a non-const member.
  /// @param repeat_after_ms  without progress for so long, unapplied ones are sent again
  std::vector<const link::OutboundBatch*> due(MonoMillis now, std::int64_t repeat_after_ms);
  /// The plugin has carried out everything up to `batch_no`.
  void applied(std::uint64_t batch_no, MonoMillis now);
  /// The plugin asks for everything from `batch_no` on.
  void resume(std::uint64_t batch_no);
  /// A new plugin knows nothing of the old numbers: what is unapplied is numbered from 1 again.
  void restart();

  [[nodiscard]] std::uint64_t last_batch_no() const { return applied_ + held_.size(); }
  [[nodiscard]] std::uint64_t applied_batch_no() const { return applied_; }
  [[nodiscard]] std::size_t held() const { return held_.size(); }
  [[nodiscard]] std::size_t held_bytes() const { return held_bytes_; }

 private:
  struct Held {
    link::OutboundBatch batch;
    std::size_t bytes;
  };
  const std::size_t window_;
  std::deque<Held> held_;  // numbers applied_ + 1 …
  std::size_t held_bytes_ = 0;
  std::uint64_t applied_ = 0;
  std::size_t sent_ = 0;    // of held_, from the front
  MonoMillis progress_at_;  // last time something was applied, or sent while nothing was waiting
};

}  // namespace parley
