#include "core/outbound_stream.hpp"

#include <algorithm>
#include <utility>

namespace parley {

void OutboundStream::push(link::OutboundBatch batch, std::size_t bytes) {
  batch.batch_no = last_batch_no() + 1;
  held_.push_back({std::move(batch), bytes});
  held_bytes_ += bytes;
}

std::vector<const link::OutboundBatch*> OutboundStream::due(MonoMillis now,
                                                            std::int64_t repeat_after_ms) {
  if (sent_ == 0) {
    progress_at_ = now;
  } else if (now.value - progress_at_.value >= repeat_after_ms) {
    sent_ = 0;
    progress_at_ = now;
  }
  std::vector<const link::OutboundBatch*> batches;
  for (const std::size_t end = std::min(held_.size(), window_); sent_ < end; ++sent_) {
    batches.push_back(&held_[sent_].batch);
  }
  return batches;
}

void OutboundStream::applied(std::uint64_t batch_no, MonoMillis now) {
  // A number above our last one is another stream's: ignored, the handshake sorts it out.
  if (batch_no <= applied_ || batch_no > last_batch_no()) return;
  for (; applied_ < batch_no; ++applied_) {
    held_bytes_ -= held_.front().bytes;
    held_.pop_front();
    if (sent_ > 0) --sent_;
  }
  progress_at_ = now;
}

void OutboundStream::resume(std::uint64_t batch_no) {
  if (batch_no <= applied_) return;
  sent_ = std::min<std::size_t>(sent_, static_cast<std::size_t>(batch_no - applied_ - 1));
}

void OutboundStream::restart() {
  applied_ = 0;
  sent_ = 0;
  std::uint64_t number = 0;
  for (auto& held : held_) held.batch.batch_no = ++number;
}

}  // namespace parley
