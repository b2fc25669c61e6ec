// The numbered stream of records from plugin to worker, as the worker sees it: takes each record
// once, notices gaps (docs/ARCHITECTURE.md, "The two streams"). Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "core/commit_tracker.hpp"
#include "core/ids.hpp"
#include "core/link.hpp"

namespace parley {

class InboundStream {
 public:
  /// What a batch brought.
  struct Taken {
    std::vector<link::SpooledRecord> records;  // in order, each for the first time
    bool gap = false;                          // ask for everything from next() on
  };

  /// Begins with a spool, or goes on with it if it is the same.
  /// @param oldest  the first record that is not committed
  void begin(std::uint64_t spool_id, IngestNo oldest);
  Taken take(link::InboundBatch batch);
  /// @param spool_id  where the record came from: those of an earlier spool are ignored
  void done(std::uint64_t spool_id, IngestNo ingest_no);

  [[nodiscard]] std::uint64_t spool_id() const { return spool_id_; }
  [[nodiscard]] IngestNo next() const { return tracker_.last() + 1; }
  [[nodiscard]] const CommitTracker& tracker() const { return tracker_; }

 private:
  std::uint64_t spool_id_ = 0;
  CommitTracker tracker_;
};

}  // namespace parley
