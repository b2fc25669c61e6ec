// Which records of one spool are finished with: the mark and the ranges above it that tell the
// plugin what it may release (docs/ARCHITECTURE.md, "The two streams"). Pure.
#pragma once

#include <cstddef>
#include <deque>

#include "core/ids.hpp"
#include "core/link.hpp"

namespace parley {

class CommitTracker {
 public:
  /// @param mark  every record up to it is finished with
  explicit CommitTracker(IngestNo mark = 0) : mark_{mark} {}

  /// Says that a record has been received. Numbers between the last one and this one are finished
  /// with: the plugin leaves out what it has released. Must be above `last()`.
  void received(IngestNo ingest_no);
  /// Says that a record is stored or refused with an answer. Unknown numbers and repeats are
  /// ignored.
  void done(IngestNo ingest_no);

  [[nodiscard]] IngestNo mark() const { return mark_; }
  [[nodiscard]] IngestNo last() const { return mark_ + open_.size(); }
  [[nodiscard]] std::size_t outstanding() const { return outstanding_; }
  /// The mark and at most `ranges_max` ranges above it, lowest first.
  [[nodiscard]] link::Commit commit(std::size_t ranges_max) const;

 private:
  void advance();

  IngestNo mark_;
  std::deque<bool> open_;  // of mark_ + 1, mark_ + 2 …: finished with?
  std::size_t outstanding_ = 0;
};

}  // namespace parley
