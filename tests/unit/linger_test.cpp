#include "worker/linger.hpp"

#include <doctest/doctest.h>

using namespace parley;
using namespace std::chrono_literals;

namespace {

/// A lane in time: so many messages come between two batches, so many of them during the first.
struct Lane {
  Linger linger;
  Linger::Time now{1h};

  void batches(int times, Linger::Duration each, int messages, int while_busy) {
    for (int i = 0; i < times; ++i) {
      for (int n = 0; n < messages; ++n) linger.arrived(n < while_busy);
      now += each;
      linger.started(now);
    }
  }
  [[nodiscard]] bool waits(std::size_t waiting = 1) const {
    return linger.wait(now + 100us, waiting) > 0ms;
  }
};

}  // namespace

TEST_CASE("linger: many small batches of many senders are worth waiting for") {
  Lane lane;
  CHECK_FALSE(lane.waits());
  lane.batches(50, 400us, 1, 1);  // 2,500 a second
  CHECK(lane.waits());
  CHECK_FALSE(lane.waits(64));  // it is a good batch already
}

TEST_CASE("linger: it goes on while it helps") {
  Lane lane;
  lane.batches(50, 400us, 1, 1);
  lane.batches(50, 2'500us, 6, 1);
  CHECK(lane.waits());
}

TEST_CASE("linger: who waits for his answer before he goes on is not kept waiting") {
  Lane lane;
  lane.batches(50, 400us, 1, 0);
  CHECK_FALSE(lane.waits());
}

TEST_CASE("linger: not for what comes rarely, nor after a pause") {
  Lane lane;
  lane.batches(50, 5ms, 1, 1);  // 200 a second
  CHECK_FALSE(lane.waits());
  lane.batches(50, 400us, 1, 1);
  lane.now += 10ms;
  CHECK_FALSE(lane.waits());
}
