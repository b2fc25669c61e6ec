// The numbered stream of records from plugin to worker, as the plugin sees it: what to send next,
// how much may be outstanding, when to repeat (docs/ARCHITECTURE.md, "Two numbered streams"). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/ids.hpp"
#include "core/link.hpp"
#include "core/spool.hpp"

namespace parley {

class InboundSender {
 public:
  /// What the worker is willing to hold: records and bytes that were sent and are not released.
  struct Credit {
    std::size_t records = 0;
    std::size_t bytes = 0;
  };

  /// Begins anew, with the oldest record that is not released.
  void begin(const Spool& spool, Credit credit, MonoMillis now);
  /// After begin(): the worker has everything up to here from before.
  void skip(const Spool& spool, IngestNo ingest_no, MonoMillis now);
  /// The worker has every record up to this one.
  void received(IngestNo ingest_no, MonoMillis now);
  /// The worker wants everything from this record on again.
  void resume(const Spool& spool, IngestNo from, MonoMillis now);
  /// A record was released. To be called for each, with what Spool::release reports.
  void released(const Spool::Entry& entry);
  /// Goes back to what the worker has not got if it made no progress for this long.
  /// @return whether it went back
  bool repeat(const Spool& spool, MonoMillis now, std::int64_t after_ms);
  /// The next batch: about link::frame_bytes_target bytes, more only for one single record.
  /// @param last  nothing behind this record
  /// @return nothing if there is nothing to send, or no credit
  std::optional<link::InboundBatch> next(const Spool& spool, MonoMillis now,
                                         IngestNo last = std::numeric_limits<IngestNo>::max());

  /// How many records may not have been sent yet.
  [[nodiscard]] std::uint64_t unsent(const Spool& spool) const { return spool.next() - 1 - sent_; }
  [[nodiscard]] std::size_t outstanding_records() const { return outstanding_records_; }
  [[nodiscard]] std::size_t outstanding_bytes() const { return outstanding_bytes_; }
  [[nodiscard]] IngestNo received() const { return received_; }

 private:
  void go_back(const Spool& spool, IngestNo to);

  Credit credit_;
  IngestNo sent_ = 0;      // the last number sent, or passed over as released
  IngestNo received_ = 0;  // by the worker
  std::size_t outstanding_records_ = 0;
  std::size_t outstanding_bytes_ = 0;
  MonoMillis
      progress_at_;  // last time `received_` moved, or something was sent while nothing waited
};

}  // namespace parley
