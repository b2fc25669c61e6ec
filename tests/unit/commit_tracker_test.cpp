#include "core/commit_tracker.hpp"

#include <doctest/doctest.h>

using namespace parley;

TEST_CASE("commit_tracker: the mark moves only when everything below it is done") {
  CommitTracker tracker{10};
  for (const IngestNo n : {11U, 12U, 13U}) tracker.received(n);
  tracker.done(12);
  tracker.done(13);
  CHECK(tracker.mark() == 10);
  CHECK(tracker.commit(8).above == std::vector<link::Range>{{12, 13}});
  tracker.done(11);
  CHECK(tracker.mark() == 13);
  CHECK(tracker.commit(8).above.empty());
  CHECK(tracker.outstanding() == 0);
}

TEST_CASE("commit_tracker: numbers that the plugin leaves out are done already") {
  CommitTracker tracker;
  tracker.received(1);
  tracker.received(5);
  CHECK(tracker.outstanding() == 2);
  tracker.done(1);
  CHECK(tracker.mark() == 4);
  tracker.done(5);
  CHECK(tracker.mark() == 5);
}

TEST_CASE("commit_tracker: repeats and unknown numbers change nothing") {
  CommitTracker tracker;
  tracker.received(1);
  tracker.received(2);
  tracker.done(2);
  tracker.done(2);
  tracker.done(99);
  tracker.done(0);
  CHECK(tracker.mark() == 0);
  CHECK(tracker.outstanding() == 1);
  tracker.received(1);
  CHECK(tracker.last() == 2);
}

TEST_CASE("commit_tracker: no more ranges than asked for, the lowest ones") {
  CommitTracker tracker;
  for (IngestNo n = 1; n <= 9; ++n) tracker.received(n);
  for (const IngestNo n : {2U, 4U, 5U, 8U}) tracker.done(n);
  CHECK(tracker.commit(2).above == std::vector<link::Range>{{2, 2}, {4, 5}});
  CHECK(tracker.commit(9).above == std::vector<link::Range>{{2, 2}, {4, 5}, {8, 8}});
}
