#include "core/inbound_stream.hpp"

#include <utility>

namespace parley {

void InboundStream::begin(std::uint64_t spool_id, IngestNo oldest) {
  const bool same = spool_id == spool_id_ && spool_id_ != 0;
  // Numbers that the spool has leapt over do not come: to wait for them would be for ever.
  if (same && oldest <= next()) return;
  spool_id_ = spool_id;
  tracker_ = CommitTracker{oldest > 0 ? oldest - 1 : 0};
}

InboundStream::Taken InboundStream::take(link::InboundBatch batch) {
  Taken taken;
  if (batch.after > tracker_.last()) {
    taken.gap = true;
    return taken;
  }
  for (auto& record : batch.records) {
    if (record.ingest_no <= tracker_.last()) continue;
    tracker_.received(record.ingest_no);
    taken.records.push_back(std::move(record));
  }
  return taken;
}

void InboundStream::done(std::uint64_t spool_id, IngestNo ingest_no) {
  if (spool_id == spool_id_) tracker_.done(ingest_no);
}

}  // namespace parley
