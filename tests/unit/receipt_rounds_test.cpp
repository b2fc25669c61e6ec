#include "core/receipt_rounds.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace parley;

namespace {

using Names = std::vector<std::string>;

ReceiptRounds::Key key(std::int64_t conversation, std::int64_t reader) {
  return {ConversationId{conversation}, UserId{reader}};
}

Names told(ReceiptRounds& rounds, std::int64_t reader, Seq got, const Names& to) {
  return rounds.add(key(7, reader), {"ops", "r" + std::to_string(reader), got, 0}, to).to;
}

}  // namespace

TEST_CASE("receipt rounds: who has had enough waits, and nobody else") {
  ReceiptRounds rounds{2, 100};
  CHECK(rounds.idle());
  CHECK(told(rounds, 1, 5, {"alice", "bob"}) == Names{"alice", "bob"});
  CHECK(told(rounds, 2, 5, {"alice"}) == Names{"alice"});
  CHECK(told(rounds, 3, 5, {"alice", "bob"}) == Names{"bob"});
  CHECK(told(rounds, 4, 5, {"alice", "bob", "carol"}) == Names{"carol"});
  CHECK(rounds.waiting() == 3);
  // Alice's two and bob's one: what is the same for both is one.
  const auto next = rounds.next_round();
  REQUIRE(next.size() == 2);
  CHECK(next[0].receipt->reader == "r3");
  CHECK(next[0].to == Names{"alice"});
  CHECK(next[1].receipt->reader == "r4");
  CHECK(next[1].to == Names{"alice", "bob"});
  CHECK(rounds.waiting() == 0);
  CHECK(!rounds.idle());  // alice has had all of this round
  CHECK(told(rounds, 5, 5, {"alice"}).empty());
  CHECK(rounds.next_round().size() == 1);
  CHECK(rounds.next_round().empty());
  CHECK(rounds.idle());
}

TEST_CASE("receipt rounds: what waits is told as it is then, once") {
  ReceiptRounds rounds{1, 100};
  CHECK(told(rounds, 1, 1, {"alice"}) == Names{"alice"});
  CHECK(told(rounds, 2, 1, {"alice"}).empty());
  CHECK(told(rounds, 2, 9, {"alice", "bob"}) == Names{"bob"});
  const auto next = rounds.next_round();
  REQUIRE(next.size() == 1);
  CHECK(next[0].receipt->got_seq == 9);
  CHECK(next[0].to == Names{"alice"});
  CHECK(rounds.next_round().empty());
}

TEST_CASE("receipt rounds: whatever is said anew, each comes to its turn") {
  ReceiptRounds rounds{10, 100'000};
  const auto all_move = [&] {
    for (std::int64_t reader = 1; reader <= 100; ++reader) told(rounds, reader, 1, {"alice"});
  };
  all_move();
  std::set<std::string> heard;
  for (int round = 1; round <= 10; ++round) {
    for (const auto& one : rounds.next_round()) heard.insert(one.receipt->reader);
    all_move();
  }
  CHECK(heard.size() >= 90);  // ten were told at once
  CHECK(rounds.waiting() <= 100);
}

TEST_CASE("receipt rounds: only so many wait") {
  ReceiptRounds rounds{1, 5};
  for (std::int64_t reader = 1; reader <= 20; ++reader) told(rounds, reader, 1, {"alice"});
  CHECK(rounds.waiting() == 5);
}
