#include "core/outbound_receiver.hpp"

#include <doctest/doctest.h>

using namespace parley;
using Verdict = OutboundReceiver::Verdict;

TEST_CASE("outbound_receiver: each batch once and in order") {
  OutboundReceiver stream;
  CHECK(stream.judge(2) == Verdict::early);
  CHECK(stream.judge(1) == Verdict::expected);
  stream.applied();
  CHECK(stream.judge(1) == Verdict::repeated);
  CHECK(stream.judge(2) == Verdict::expected);
  stream.applied();
  CHECK(stream.applied_batch_no() == 2);
  stream.begin();
  CHECK(stream.judge(1) == Verdict::expected);
}

TEST_CASE("outbound_receiver: a gap is asked for at once, then not too often") {
  OutboundReceiver stream;
  CHECK(stream.ask({1'000}, 200) == 0);
  stream.judge(1);
  stream.applied();
  stream.judge(3);
  CHECK(stream.ask({1'001}, 200) == 2);
  stream.judge(4);
  CHECK(stream.ask({1'100}, 200) == 0);
  CHECK(stream.ask({1'201}, 200) == 2);
  stream.judge(2);
  stream.applied();
  CHECK(stream.ask({1'500}, 200) == 0);  // progress: the next ones may be on their way
  CHECK(stream.ask({1'700}, 200) == 3);
}

TEST_CASE("outbound_receiver: a lost last batch shows by its number") {
  OutboundReceiver stream;
  stream.judge(1);
  stream.applied();
  stream.saw_last(2);
  CHECK(stream.ask({1'000}, 200) == 0);  // may be on its way
  CHECK(stream.ask({1'199}, 200) == 0);
  CHECK(stream.ask({1'200}, 200) == 2);
  stream.saw_last(1);
  CHECK(stream.ask({1'400}, 200) == 2);
  stream.judge(2);
  stream.applied();
  CHECK(stream.ask({2'000}, 200) == 0);
}
