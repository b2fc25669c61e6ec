#include "core/outbound_filling.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

using namespace parley;
using Next = OutboundFilling::Next;

namespace {

constexpr std::size_t items_max = link::frame_deliveries_max;

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
  filling.add(delivery(std::string(link::frame_bytes_target, 'x')));
  CHECK_FALSE(filling.ends_before(Next::delivery));
  filling.between_messages();
  CHECK(filling.ends_before(Next::delivery));
  while (!filling.ends_before(Next::delivery)) {
    filling.add(delivery(std::string(link::frame_bytes_target, 'x')));
  }
  (void)filling.take();
  // More than the broker may carry out in one turn.
  while (!filling.ends_before(Next::delivery)) filling.add(delivery());
  CHECK(filling.take().deliveries.size() == items_max);
}

TEST_CASE("outbound filling: what is for very many is parted, and nobody is left out") {
  constexpr std::size_t everybody = 2 * items_max + 7;
  link::Delivery left = delivery("to all");
  left.properties = {{"id", "1"}};
  left.to.clear();
  for (std::size_t i = 0; i < everybody; ++i) left.to.push_back("m" + std::to_string(i));
  const auto all = left.to;
  OutboundFilling filling;
  filling.add(delivery());
  std::vector<std::size_t> sizes;
  std::vector<std::string> got;
  const auto end = [&] {
    const auto batch = filling.take();
    std::size_t items = 0;
    for (const auto& part : batch.deliveries) {
      items += part.to.size();
      if (part.payload != "to all") continue;
      CHECK(part.suffix == left.suffix);
      CHECK(part.properties == std::vector<link::Property>{{"id", "1"}});
      got.insert(got.end(), part.to.begin(), part.to.end());
    }
    sizes.push_back(items);
  };
  while (left.to.size() > filling.room()) {
    filling.add_part(left);
    REQUIRE(filling.ends_before(Next::delivery));
    end();
  }
  filling.add(left);
  CHECK_FALSE(filling.ends_before(Next::delivery));
  end();
  CHECK(sizes == std::vector<std::size_t>{items_max, items_max, 8});
  CHECK(std::set<std::string>(got.begin(), got.end()) ==
        std::set<std::string>(all.begin(), all.end()));
  CHECK(got.size() == everybody);
}

TEST_CASE("outbound filling: a message that would not fit behind another begins a batch") {
  OutboundFilling filling;
  filling.add(delivery());
  filling.between_messages();
  CHECK_FALSE(filling.ends_before(Next::delivery, items_max - 1));
  CHECK(filling.ends_before(Next::delivery, items_max));
  filling.add(delivery());
  // In the middle of one it is parted: its beginning and its end are to travel together.
  CHECK_FALSE(filling.ends_before(Next::delivery, items_max));
  (void)filling.take();
  CHECK_FALSE(filling.ends_before(Next::delivery, 2 * items_max));
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
