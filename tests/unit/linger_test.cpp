#include "worker/linger.hpp"

#include <doctest/doctest.h>

using namespace parley;
using namespace std::chrono_literals;

namespace {

struct Senders {
  Linger linger;
  Linger::Time now{1h};

  /// So many times so many records come together.
  void send(int times, Linger::Duration apart, std::size_t records, bool under_way = true) {
    for (int i = 0; i < times; ++i) {
      now += apart;
      linger.came(now, records, under_way);
    }
  }
  [[nodiscard]] bool waits() const { return linger.wait() > 0ms; }
};

}  // namespace

TEST_CASE("linger: many small batches of many senders are worth waiting for") {
  Senders senders;
  CHECK_FALSE(senders.waits());
  senders.send(150, 400us, 2);  // 5,000 a second
  CHECK(senders.waits());
}

TEST_CASE("linger: it goes on while it helps") {
  Senders senders;
  senders.send(150, 400us, 2);
  senders.send(100, 4ms, 20, false);
  CHECK(senders.waits());
  senders.send(100, 4ms, 7, false);  // hardly worth it any more
  CHECK_FALSE(senders.waits());
}

TEST_CASE("linger: who wait for answers before they go on are not kept waiting") {
  Senders senders;
  senders.send(300, 200us, 1, false);  // one of them
  CHECK_FALSE(senders.waits());
  // Ten seem to be many at first. Then all of them wait, and less comes than before.
  senders.send(250, 100us, 1);
  CHECK(senders.waits());
  senders.send(20, 5'100us, 10, false);
  CHECK_FALSE(senders.waits());
  // Not tried again at once.
  senders.send(1'000, 100us, 1);
  CHECK_FALSE(senders.waits());
  senders.send(50'000, 100us, 1);
  CHECK(senders.waits());
}

TEST_CASE("linger: who all wait for answers to what waits are not kept waiting again at once") {
  Senders senders;
  senders.send(70, 400us, 2);
  CHECK(senders.waits());
  // Nothing more comes, as all of it lies in the plugin.
  senders.now += 8ms;
  CHECK(senders.linger.is_over(senders.now));
  senders.send(1'000, 400us, 2);
  CHECK_FALSE(senders.waits());
  senders.send(12'000, 400us, 2);
  CHECK(senders.waits());
  // It has worked for long: that was a pause.
  senders.now += 8ms;
  CHECK(senders.linger.is_over(senders.now));
  senders.send(300, 400us, 2);
  CHECK(senders.waits());
}

TEST_CASE("linger: not for what comes rarely, nor after a pause") {
  Senders senders;
  senders.send(50, 5ms, 1);  // 200 a second
  CHECK_FALSE(senders.waits());
  senders.send(150, 400us, 2);
  CHECK_FALSE(senders.linger.is_over(senders.now + 7ms));
  CHECK(senders.linger.is_over(senders.now + 8ms));
  CHECK_FALSE(senders.waits());
  CHECK_FALSE(senders.linger.is_over(senders.now + 9ms));  // said once
}
