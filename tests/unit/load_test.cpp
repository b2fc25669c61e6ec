// The load side of `parley bench`: what it counts, and whether it would notice.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "tools/load/histogram.hpp"
#include "tools/load/message_text.hpp"
#include "tools/load/packet_stream.hpp"
#include "tools/load/tally.hpp"

using namespace parley::load;

namespace {

Tally tally_of(const std::vector<std::uint32_t>& numbers) {
  Tally tally;
  for (const auto number : numbers) tally.arrived(number);
  return tally;
}

struct Seen {
  PacketType type;
  std::string body;
  bool operator==(const Seen&) const = default;
};

}  // namespace

TEST_CASE("load tally: nothing is wrong when everything comes once and in order") {
  const auto tally = tally_of({1, 2, 3, 4});
  CHECK(tally.counters(4) == Counters{});
  CHECK(tally.counters(4).good());
  CHECK(tally.received() == 4);
}

TEST_CASE("load tally: what is lost, doubled or swapped is counted, each for itself") {
  struct Row {
    const char* what;
    std::vector<std::uint32_t> numbers;
    std::uint32_t sent;
    Counters expected;
  };
  const std::vector<Row> rows{
      {"nothing came", {}, 3, {.lost = 3}},
      {"the first is missing", {2, 3}, 3, {.lost = 1}},
      {"one in the middle", {1, 3}, 3, {.lost = 1}},
      {"the last", {1, 2}, 3, {.lost = 1}},
      {"several", {1, 5, 7}, 9, {.lost = 6}},
      {"the last one twice", {1, 2, 2}, 2, {.duplicates = 1}},
      {"an early one again", {1, 2, 3, 1}, 3, {.duplicates = 1}},
      {"two swapped", {2, 1, 3}, 3, {.out_of_order = 1}},
      {"one much too late", {1, 3, 4, 5, 2}, 5, {.out_of_order = 1}},
      {"too late, and again", {1, 3, 2, 2}, 3, {.duplicates = 1, .out_of_order = 1}},
      {"doubled and lost do not make up for each other",
       {1, 1, 3},
       3,
       {.lost = 1, .duplicates = 1}}};
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const Counters counted = tally_of(row.numbers).counters(row.sent);
    CHECK(counted == row.expected);
    CHECK_FALSE(counted.good());
  }
}

TEST_CASE("load tally: after a reconnect earlier ones may come again, but in order") {
  Tally tally = tally_of({1, 2, 3});
  tally.restart();
  CHECK_FALSE(tally.arrived(2));
  CHECK_FALSE(tally.arrived(3));
  CHECK(tally.arrived(4));
  CHECK(tally.counters(4) == Counters{.repeated = 2});
  CHECK(tally.counters(4).good());
  CHECK_FALSE(tally.arrived(4));
  CHECK(tally.counters(4) == Counters{.duplicates = 1, .repeated = 2});
}

TEST_CASE("load histogram: exact below 64, at most 1.6 % off above") {
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{63}, std::int64_t{64}, std::int64_t{127},
        std::int64_t{128}, std::int64_t{1000}, std::int64_t{123'456'789}, std::int64_t{1} << 42}) {
    CAPTURE(value);
    Histogram one;
    one.add(value);
    one.add(value * 4);  // so that the greatest does not cut it off
    const auto found = one.quantile(0.5);
    CHECK(found >= value);
    CHECK(static_cast<double>(found) <= static_cast<double>(value) * 1.016 + 0.5);
  }
}

TEST_CASE("load histogram: quantiles of known values") {
  Histogram histogram;
  CHECK(histogram.quantile(0.99) == 0);
  for (int i = 1; i <= 1000; ++i) histogram.add(i * 1000);
  CHECK(histogram.count() == 1000);
  CHECK(histogram.max() == 1'000'000);
  for (const double share : {0.5, 0.9, 0.99, 0.999}) {
    CAPTURE(share);
    const double expected = share * 1'000'000;
    CHECK(static_cast<double>(histogram.quantile(share)) >= expected);
    CHECK(static_cast<double>(histogram.quantile(share)) <= expected * 1.016);
  }
  CHECK(histogram.quantile(1) == 1'000'000);
  Histogram other;
  other.add(5'000'000);
  other.add(histogram);
  CHECK(other.count() == 1001);
  CHECK(other.quantile(1) == 5'000'000);
}

TEST_CASE("load packets: a stream cut anywhere gives the same packets") {
  const std::vector<std::string> packets{
      encode_publish({.topic = "a/b", .payload = "words", .qos = 1, .packet_id = 0x1234}, 4),
      encode_ack(PacketType::puback, 7),
      encode_publish({.topic = "c", .payload = std::string(20'000, 'x'), .qos = 0}, 4),
      encode_empty(PacketType::pingreq),
      encode_publish({.topic = "d", .payload = std::string(120, 'y'), .qos = 1, .packet_id = 9},
                     4)};
  std::string bytes;
  for (const auto& packet : packets) bytes += packet;
  const auto read = [&](const std::vector<std::size_t>& cuts) {
    std::vector<Seen> seen;
    PacketStream stream;
    std::size_t at = 0;
    const auto feed = [&](std::size_t end) {
      // A copy that ends where the part ends: nothing may be read beyond it, or kept.
      const std::string part = bytes.substr(at, end - at);
      stream.feed(part, [&](const PacketView& packet) {
        seen.push_back({packet.type, std::string{packet.body}});
      });
      at = end;
    };
    for (const auto cut : cuts) feed(cut);
    feed(bytes.size());
    return seen;
  };
  const auto whole = read({});
  REQUIRE(whole.size() == packets.size());
  CHECK(whole[2].body.size() == 20'003);
  for (std::size_t cut = 1; cut < bytes.size(); cut += cut < 40 || cut > 20'000 ? 1 : 997) {
    CAPTURE(cut);
    CHECK(read({cut}) == whole);
  }
  std::vector<std::size_t> each;
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) each.push_back(cut);
  CHECK(read(each) == whole);
  std::mt19937 chance{1};
  for (int round = 0; round < 50; ++round) {
    std::vector<std::size_t> cuts;
    for (std::size_t cut = 0; (cut += 1 + chance() % 3000) < bytes.size();) cuts.push_back(cut);
    CHECK(read(cuts) == whole);
  }
}

TEST_CASE("load packets: what a PUBLISH says, and bytes that are no MQTT") {
  std::string bytes =
      encode_publish({.topic = "a/b", .payload = "words", .qos = 1, .packet_id = 0x1234}, 4);
  std::string_view left{bytes};
  const auto packet = next_packet(left);
  REQUIRE(packet);
  const PublishView seen = view_publish(*packet);
  CHECK(seen.topic == "a/b");
  CHECK(seen.payload == "words");
  CHECK(seen.packet_id == 0x1234);
  std::string_view endless{"\x30\xff\xff\xff\xff\x01"};
  CHECK_THROWS(next_packet(endless));
  CHECK_THROWS(view_publish({PacketType::publish, 2, std::string_view{"\x00\x09xy", 4}}));
  CHECK_THROWS(view_packet_id({PacketType::puback, 0, "x"}));
}

TEST_CASE("load texts: carry their numbers, also behind a sender's name") {
  std::string text = numbered_text({0xdeadbeef, 123'456, 7}, 100);
  CHECK(text.size() == 100);
  set_number(text.data(), 4'000'000'001U);
  const auto read = read_numbered("alice: " + text);
  REQUIRE(read);
  CHECK(read->run == 0xdeadbeef);
  CHECK(read->writer == 123'456);
  CHECK(read->number == 4'000'000'001U);
  CHECK(numbered_text({1, 2, 3}, text_bytes_min).size() == text_bytes_min);
  CHECK(read_numbered(numbered_text({1, 2, 3}, text_bytes_min))->number == 3);
  for (const char* other : {"", "hi", "# no numbers are in this one at all, never", "#deadbeef"}) {
    CAPTURE(other);
    CHECK_FALSE(read_numbered(other));
  }
}
