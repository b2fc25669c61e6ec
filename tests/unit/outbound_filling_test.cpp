#include "core/outbound_filling.hpp"

#include <doctest/doctest.h>

using namespace parley;
using Next = OutboundFilling::Next;

namespace {

link::Delivery delivery(std::string payload = "x") {
  return {{"alice"}, "inbox/bob", std::move(payload), 1, 0, {}, std::nullopt};
}

}  // namespace

TEST_CASE("outbound filling: deliveries come first, then who has caught up, then who is held") {
  OutboundFilling filling;
  CHECK(filling.empty());
  filling.add(delivery());
  CHECK_FALSE(filling.ends_before(Next::delivery));
  CHECK_FALSE(filling.ends_before(Next::sync_done));
  filling.add(link::SyncDone{1, 1});
  CHECK(filling.ends_before(Next::delivery));
  CHECK_FALSE(filling.ends_before(Next::sync_done));
  CHECK_FALSE(filling.ends_before(Next::hold));
  filling.add(link::Hold{2, 1});
  CHECK(filling.ends_before(Next::sync_done));
  CHECK_FALSE(filling.ends_before(Next::hold));
  CHECK(filling.ends_before(Next::generations));
  const auto batch = filling.take();
  CHECK(batch.deliveries.size() == 1);
  CHECK(batch.sync_done.size() == 1);
  CHECK(batch.holds.size() == 1);
  CHECK(filling.empty());
  CHECK(filling.bytes() == 0);
  CHECK_FALSE(filling.ends_before(Next::generations));
}

TEST_CASE("outbound filling: a message is not parted, unless it is very large") {
  OutboundFilling filling;
  for (std::size_t i = 0; i < link::frame_deliveries_max; ++i) filling.add(delivery());
  CHECK_FALSE(filling.ends_before(Next::delivery));
  filling.between_messages();
  CHECK(filling.ends_before(Next::delivery));
  filling.add(delivery());
  CHECK_FALSE(filling.ends_before(Next::delivery));
  while (!filling.ends_before(Next::delivery)) filling.add(delivery());
  CHECK(filling.take().deliveries.size() == 4 * link::frame_deliveries_max);
  filling.add(delivery(std::string(link::frame_bytes_target, 'x')));
  CHECK_FALSE(filling.ends_before(Next::delivery));
  filling.between_messages();
  CHECK(filling.ends_before(Next::delivery));
}

TEST_CASE("outbound filling: however many are held at once, a batch has its end") {
  OutboundFilling filling;
  for (const bool holds : {true, false}) {
    std::size_t count = 0;
    for (; !filling.ends_before(holds ? Next::hold : Next::sync_done); ++count) {
      REQUIRE(count < 10'000);
      if (holds) {
        filling.add(link::Hold{count, 1});
      } else {
        filling.add(link::SyncDone{count, 1});
      }
    }
    CHECK(count == link::frame_deliveries_max);
    CHECK(filling.bytes() > count * 16);
    (void)filling.take();
  }
}
