#include "core/inbound_sender.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace parley;

namespace {

struct Bench {
  Bench() {
    Spool::format(span(), 5);
    spool.emplace(std::move(*Spool::open(span(), {1})));
  }
  std::span<std::byte> span() {
    return {reinterpret_cast<std::byte*>(words.data()), words.size() * 8};
  }
  void put(int count, std::size_t bytes = 10) {
    for (int i = 0; i < count; ++i) {
      REQUIRE(spool->append(std::string(bytes, 'r'), Spool::Reserve::keep).has_value());
    }
  }
  void commit(const link::Commit& commit) {
    spool->release(commit, [this](const Spool::Entry& entry) { sender.released(entry); });
  }
  /// The numbers of all batches that go out now; checks that they hang together.
  std::vector<IngestNo> send() {
    std::vector<IngestNo> numbers;
    while (auto batch = sender.next(*spool, now)) {
      if (!numbers.empty()) REQUIRE(batch->after == numbers.back());
      for (const auto& record : batch->records) numbers.push_back(record.ingest_no);
      after = batch->after;
      ++batches;
    }
    return numbers;
  }
  std::vector<std::uint64_t> words =
      std::vector<std::uint64_t>((Spool::header_bytes + 1'048'576) / 8);
  std::optional<Spool> spool;
  InboundSender sender;
  MonoMillis now{1'000};
  IngestNo after = 0;
  int batches = 0;
};

using Numbers = std::vector<IngestNo>;

}  // namespace

TEST_CASE(
    "inbound_sender: who asks from a number that is released gets what follows it, joined on") {
  Bench bench;
  bench.put(3);
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  REQUIRE(bench.send() == Numbers{1, 2, 3});
  bench.commit({3, {}});
  bench.put(1);
  REQUIRE(bench.send() == Numbers{4});
  // It has everything up to 2. If what comes did not follow 2, it would ask for ever.
  bench.sender.resume(*bench.spool, 3, bench.now);
  CHECK(bench.send() == Numbers{4});
  CHECK(bench.after == 2);
  CHECK(bench.sender.outstanding_records() == 1);
}

TEST_CASE("inbound_sender: everything goes out once, in order") {
  Bench bench;
  bench.put(3);
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  CHECK(bench.send() == Numbers{1, 2, 3});
  CHECK(bench.send().empty());
  bench.put(1);
  CHECK(bench.send() == Numbers{4});
  CHECK(bench.after == 3);
}

TEST_CASE("inbound_sender: a batch grows beyond its size only by one record") {
  Bench bench;
  bench.put(1, 100'000);
  bench.put(2, 40'000);
  bench.put(1, 20'000);
  bench.sender.begin(*bench.spool, {100, 1'000'000}, bench.now);
  std::vector<std::size_t> sizes;
  while (auto batch = bench.sender.next(*bench.spool, bench.now))
    sizes.push_back(batch->records.size());
  CHECK(sizes == std::vector<std::size_t>{1, 1, 2});
}

TEST_CASE("inbound_sender: credit counts what is outstanding, so one stuck record holds nobody") {
  Bench bench;
  bench.put(10);
  bench.sender.begin(*bench.spool, {4, 10'000}, bench.now);
  CHECK(bench.send() == Numbers{1, 2, 3, 4});
  bench.commit({0, {{2, 4}}});
  CHECK(bench.sender.outstanding_records() == 1);
  CHECK(bench.send() == Numbers{5, 6, 7});
  bench.commit({7, {}});
  CHECK(bench.send() == Numbers{8, 9, 10});
  CHECK(bench.sender.outstanding_bytes() == 30);
}

TEST_CASE("inbound_sender: credit in bytes lets one record through, however large") {
  Bench bench;
  bench.put(3, 1'000);
  bench.sender.begin(*bench.spool, {100, 500}, bench.now);
  CHECK(bench.send() == Numbers{1});
  bench.commit({1, {}});
  CHECK(bench.send() == Numbers{2});
}

TEST_CASE("inbound_sender: a new worker gets everything that is not released, without the holes") {
  Bench bench;
  bench.put(6);
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  bench.send();
  bench.commit({1, {{3, 4}}});
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  CHECK(bench.send() == Numbers{2, 5, 6});
  CHECK(bench.sender.outstanding_records() == 3);
}

TEST_CASE("inbound_sender: without progress it repeats what was not received") {
  Bench bench;
  bench.put(5);
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  bench.send();
  bench.sender.received(2, bench.now);
  bench.now.value += 999;
  CHECK_FALSE(bench.sender.repeat(*bench.spool, bench.now, 1'000));
  bench.now.value += 1;
  CHECK(bench.sender.repeat(*bench.spool, bench.now, 1'000));
  CHECK(bench.send() == Numbers{3, 4, 5});
  CHECK(bench.after == 2);
  CHECK_FALSE(bench.sender.repeat(*bench.spool, bench.now, 1'000));
  bench.sender.received(5, bench.now);
  bench.now.value += 5'000;
  CHECK_FALSE(bench.sender.repeat(*bench.spool, bench.now, 1'000));
  // Idle time does not count against what is sent after it.
  bench.put(1);
  CHECK(bench.send() == Numbers{6});
  CHECK_FALSE(bench.sender.repeat(*bench.spool, bench.now, 1'000));
}

TEST_CASE("inbound_sender: it goes back to where the worker asks it to") {
  Bench bench;
  bench.put(5);
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  bench.send();
  bench.sender.received(5, bench.now);
  bench.commit({1, {{4, 4}}});
  bench.sender.resume(*bench.spool, 2, bench.now);
  CHECK(bench.send() == Numbers{2, 3, 5});
  CHECK(bench.sender.outstanding_records() == 3);
  for (const IngestNo nonsense : {IngestNo{0}, IngestNo{6}, UINT64_MAX}) {
    bench.sender.resume(*bench.spool, nonsense, bench.now);
    CHECK(bench.send().empty());
  }
}

TEST_CASE("inbound_sender: a worker that comes back goes on behind what it has") {
  Bench bench;
  bench.put(5);
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  bench.send();
  bench.sender.begin(*bench.spool, {4, 10'000}, bench.now);
  bench.sender.skip(*bench.spool, 3, bench.now);
  CHECK(bench.sender.outstanding_records() == 3);
  CHECK(bench.send() == Numbers{4});  // the credit is his, the outstanding ones as well
  bench.sender.skip(*bench.spool, 99, bench.now);
  CHECK(bench.send().empty());
}

TEST_CASE("inbound_sender: what waits goes out up to a record, and it says how many wait") {
  Bench bench;
  bench.put(5);
  bench.sender.begin(*bench.spool, {100, 10'000}, bench.now);
  CHECK(bench.sender.unsent(*bench.spool) == 5);
  const auto batch = bench.sender.next(*bench.spool, bench.now, 3);
  REQUIRE(batch);
  CHECK(batch->records.size() == 3);
  CHECK(bench.sender.unsent(*bench.spool) == 2);
  CHECK_FALSE(bench.sender.next(*bench.spool, bench.now, 3));
  CHECK(bench.send() == Numbers{4, 5});
  CHECK(bench.sender.unsent(*bench.spool) == 0);
}
