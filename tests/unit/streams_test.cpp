#include <doctest/doctest.h>

#include "core/inbound_stream.hpp"
#include "core/outbound_stream.hpp"

using namespace parley;

namespace {

link::InboundBatch batch_of(IngestNo after, std::initializer_list<IngestNo> numbers) {
  link::InboundBatch batch{after, {}};
  for (const auto n : numbers) batch.records.push_back({n, "r" + std::to_string(n)});
  return batch;
}

std::vector<IngestNo> numbers_of(const InboundStream::Taken& taken) {
  std::vector<IngestNo> numbers;
  for (const auto& record : taken.records) numbers.push_back(record.ingest_no);
  return numbers;
}

link::OutboundBatch marked(const char* suffix) {
  link::OutboundBatch batch;
  batch.deliveries.push_back({{"alice"}, suffix, "", 0, 0, {}, std::nullopt});
  return batch;
}

std::vector<std::uint64_t> numbers_of(const std::vector<const link::OutboundBatch*>& batches) {
  std::vector<std::uint64_t> numbers;
  for (const auto* batch : batches) numbers.push_back(batch->batch_no);
  return numbers;
}

using Numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("inbound_stream: every record is taken once, whatever is sent again") {
  InboundStream stream;
  stream.begin(7, 1);
  CHECK(numbers_of(stream.take(batch_of(0, {1, 2, 3}))) == Numbers{1, 2, 3});
  CHECK(numbers_of(stream.take(batch_of(0, {1, 2, 3}))).empty());
  CHECK(numbers_of(stream.take(batch_of(1, {2, 3, 4}))) == Numbers{4});
  CHECK(stream.next() == 5);
}

TEST_CASE("inbound_stream: a gap takes nothing and asks") {
  InboundStream stream;
  stream.begin(7, 1);
  CHECK(stream.take(batch_of(0, {1})).gap == false);
  const auto taken = stream.take(batch_of(2, {3}));
  CHECK(taken.gap);
  CHECK(taken.records.empty());
  CHECK(stream.next() == 2);
  CHECK(numbers_of(stream.take(batch_of(1, {2, 3}))) == Numbers{2, 3});
}

TEST_CASE(
    "inbound_stream: going on with the same spool forgets nothing, another spool everything") {
  InboundStream stream;
  stream.begin(7, 1);
  stream.take(batch_of(0, {1, 2}));
  stream.done(7, 1);
  stream.begin(7, 2);
  CHECK(stream.next() == 3);
  CHECK(stream.tracker().mark() == 1);
  stream.begin(8, 1);
  CHECK(stream.next() == 1);
  stream.done(7, 2);  // of the old one
  CHECK(stream.tracker().mark() == 0);
}

TEST_CASE("inbound_stream: what the spool has leapt over is not waited for") {
  InboundStream stream;
  stream.begin(7, 1);
  CHECK(numbers_of(stream.take(batch_of(0, {1, 2}))) == Numbers{1, 2});
  stream.done(7, 1);
  // The same spool again, with both still in it: nothing changes.
  stream.begin(7, 1);
  CHECK(stream.next() == 3);
  CHECK(stream.tracker().mark() == 1);
  // Its broker's machine went down; what it had is gone, or was committed.
  stream.begin(7, 1'000);
  CHECK(stream.next() == 1'000);
  const auto taken = stream.take(batch_of(999, {1'000}));
  CHECK_FALSE(taken.gap);
  CHECK(numbers_of(taken) == Numbers{1'000});
  stream.done(7, 2);
  CHECK(stream.tracker().commit(8).mark == 999);
}

TEST_CASE("outbound_stream: sends each batch once within the window") {
  OutboundStream stream{2};
  for (const char* suffix : {"a", "b", "c"}) stream.push(marked(suffix), 10);
  CHECK(numbers_of(stream.due(MonoMillis{0}, 1000)) == Numbers{1, 2});
  CHECK(stream.due(MonoMillis{10}, 1000).empty());
  stream.applied(1, MonoMillis{20});
  CHECK(numbers_of(stream.due(MonoMillis{20}, 1000)) == Numbers{3});
  CHECK(stream.held_bytes() == 20);
}

TEST_CASE("outbound_stream: repeats after a time without progress, and when asked") {
  OutboundStream stream{8};
  for (const char* suffix : {"a", "b", "c"}) stream.push(marked(suffix), 10);
  CHECK(stream.due(MonoMillis{0}, 1000).size() == 3);
  stream.applied(1, MonoMillis{500});
  CHECK(stream.due(MonoMillis{1400}, 1000).empty());
  CHECK(numbers_of(stream.due(MonoMillis{1500}, 1000)) == Numbers{2, 3});
  stream.resume(3);
  CHECK(numbers_of(stream.due(MonoMillis{1501}, 1000)) == Numbers{3});
  stream.resume(1);  // applied already
  CHECK(stream.due(MonoMillis{1502}, 1000).empty());
}

TEST_CASE("outbound_stream: a new plugin gets what is unapplied under numbers from 1") {
  OutboundStream stream{8};
  for (const char* suffix : {"a", "b", "c"}) stream.push(marked(suffix), 10);
  CHECK(stream.due(MonoMillis{0}, 1000).size() == 3);
  stream.applied(2, MonoMillis{1});
  stream.restart();
  const auto due = stream.due(MonoMillis{2}, 1000);
  REQUIRE(numbers_of(due) == Numbers{1});
  CHECK(due[0]->deliveries[0].suffix == "c");
  CHECK(stream.last_batch_no() == 1);
}

TEST_CASE("outbound_stream: numbers that were never given are not believed") {
  OutboundStream stream{8};
  stream.push(marked("a"), 10);
  stream.applied(5, MonoMillis{0});
  CHECK(stream.held() == 1);
}
