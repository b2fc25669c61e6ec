#include "worker/linger.hpp"

#include <doctest/doctest.h>

using namespace parley;
using namespace std::chrono_literals;

namespace {

struct Senders {
  Linger linger;
  Linger::Time now{1h};

  /// So many times so many records come together, while something is under way or not.
  void send(int times, Linger::Duration apart, std::size_t records, bool under_way) {
    for (int i = 0; i < times; ++i) {
      now += apart;
      linger.came(now, records, under_way);
      if (!under_way) linger.finished(now + apart / 2);
    }
  }
  [[nodiscard]] bool waits() const { return linger.wait() > 0ms; }
};

}  // namespace

TEST_CASE("linger: many small batches of many senders are worth waiting for") {
  Senders senders;
  CHECK_FALSE(senders.waits());
  senders.send(300, 400us, 2, true);  // 5,000 a second
  CHECK(senders.waits());
}

TEST_CASE("linger: it goes on while it helps") {
  Senders senders;
  senders.send(300, 400us, 2, true);
  // Half of what came together came before all was done that had come before.
  senders.send(100, 4ms, 20, false);
  CHECK(senders.waits());
  senders.send(100, 4ms, 7, false);  // hardly worth it any more
  CHECK_FALSE(senders.waits());
}

TEST_CASE("linger: who waits for his answer before he goes on is not kept waiting") {
  Senders senders;
  senders.send(300, 200us, 1, false);
  CHECK_FALSE(senders.waits());
  // Ten of them seem to be many at first. Then all wait, and nothing comes but what was answered.
  senders.send(400, 100us, 1, true);
  CHECK(senders.waits());
  for (int i = 0; i < 20; ++i) {
    senders.linger.finished(senders.now + 1ms);
    senders.now += 5'100us;
    senders.linger.came(senders.now, 10, false);
  }
  CHECK_FALSE(senders.waits());
  // Not tried again at once.
  senders.send(1'000, 100us, 1, true);
  CHECK_FALSE(senders.waits());
  senders.send(50'000, 100us, 1, true);
  CHECK(senders.waits());
}

TEST_CASE("linger: not for what comes rarely, nor after a pause") {
  Senders senders;
  senders.send(50, 5ms, 1, true);  // 200 a second
  CHECK_FALSE(senders.waits());
  senders.send(300, 400us, 2, true);
  CHECK_FALSE(senders.linger.is_over(senders.now + 7ms));
  CHECK(senders.linger.is_over(senders.now + 8ms));
  CHECK_FALSE(senders.waits());
  CHECK_FALSE(senders.linger.is_over(senders.now + 9ms));  // said once
}
