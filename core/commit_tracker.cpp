#include "core/commit_tracker.hpp"

namespace parley {

void CommitTracker::received(IngestNo ingest_no) {
  if (ingest_no <= last()) return;
  while (last() + 1 < ingest_no) open_.push_back(true);
  open_.push_back(false);
  ++outstanding_;
  advance();
}

void CommitTracker::done(IngestNo ingest_no) {
  if (ingest_no <= mark_ || ingest_no > last()) return;
  auto&& finished = open_[ingest_no - mark_ - 1];
  if (finished) return;
  finished = true;
  --outstanding_;
  advance();
}

void CommitTracker::advance() {
  while (!open_.empty() && open_.front()) {
    open_.pop_front();
    ++mark_;
  }
}

link::Commit CommitTracker::commit(std::size_t ranges_max) const {
  link::Commit commit{mark_, {}};
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (!open_[i]) continue;
    const IngestNo n = mark_ + 1 + i;
    if (!commit.above.empty() && commit.above.back().last + 1 == n) {
      commit.above.back().last = n;
    } else if (commit.above.size() < ranges_max) {
      commit.above.push_back({n, n});
    } else {
      break;
    }
  }
  return commit;
}

}  // namespace parley
