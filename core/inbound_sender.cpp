#include "core/inbound_sender.hpp"

#include <algorithm>
#include <string>

namespace parley {
namespace {

constexpr std::size_t item_overhead_bytes = 16;  // numbers and tags around a record in a frame

}  // namespace

void InboundSender::begin(const Spool& spool, Credit credit, MonoMillis now) {
  credit_ = {std::max<std::size_t>(credit.records, 1), credit.bytes};
  received_ = spool.oldest() - 1;
  progress_at_ = now;
  go_back(spool, received_);
}

void InboundSender::skip(const Spool& spool, IngestNo ingest_no, MonoMillis now) {
  received_ = std::clamp(ingest_no, spool.oldest() - 1, spool.next() - 1);
  progress_at_ = now;
  go_back(spool, received_);
}

void InboundSender::received(IngestNo ingest_no, MonoMillis now) {
  if (ingest_no <= received_ || ingest_no > sent_) return;
  received_ = ingest_no;
  progress_at_ = now;
}

void InboundSender::resume(const Spool& spool, IngestNo from, MonoMillis now) {
  if (from == 0 || from > sent_) return;
  progress_at_ = now;
  // Not from the oldest one on: what was released in between is no gap, and must not look like one.
  go_back(spool, from - 1);
  received_ = std::min(received_, sent_);
}

void InboundSender::released(const Spool::Entry& entry) {
  if (entry.ingest_no > sent_ || outstanding_records_ == 0) return;
  --outstanding_records_;
  outstanding_bytes_ -= std::min<std::size_t>(outstanding_bytes_, entry.length);
}

bool InboundSender::repeat(const Spool& spool, MonoMillis now, std::int64_t after_ms) {
  if (received_ >= sent_ || now.value - progress_at_.value < after_ms) return false;
  progress_at_ = now;
  go_back(spool, received_);
  return true;
}

void InboundSender::go_back(const Spool& spool, IngestNo to) {
  sent_ = to;
  outstanding_records_ = 0;
  outstanding_bytes_ = 0;
  for (const auto& entry : spool.entries()) {
    if (entry.ingest_no > to) break;
    if (entry.released) continue;
    ++outstanding_records_;
    outstanding_bytes_ += entry.length;
  }
}

std::optional<link::InboundBatch> InboundSender::next(const Spool& spool, MonoMillis now,
                                                      IngestNo last) {
  link::InboundBatch batch;
  batch.after = sent_;
  std::size_t frame_bytes = 0;
  if (received_ >= sent_) progress_at_ = now;
  const auto& entries = spool.entries();
  for (std::size_t i = spool.find(sent_ + 1); i < entries.size(); ++i) {
    const auto& entry = entries[i];
    if (entry.released) continue;
    if (entry.ingest_no > last) break;
    const std::size_t item_bytes = entry.length + item_overhead_bytes;
    if (!batch.records.empty() && frame_bytes + item_bytes > link::frame_bytes_target) break;
    if (outstanding_records_ + 1 > credit_.records) break;
    if (outstanding_records_ > 0 && outstanding_bytes_ + entry.length > credit_.bytes) break;
    batch.records.push_back({entry.ingest_no, std::string{spool.read(entry)}});
    sent_ = entry.ingest_no;
    ++outstanding_records_;
    outstanding_bytes_ += entry.length;
    frame_bytes += item_bytes;
  }
  if (batch.records.empty()) return std::nullopt;
  return batch;
}

}  // namespace parley
