// The judge of the fault rounds, judged: each promise is broken once, and it has to notice.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/fault_rounds.hpp"

using namespace parley::fault;

TEST_CASE("fault_checker: a round in which nothing went wrong") {
  CHECK(found(good_round()) == Names{});
  Checker checker{membership()};
  checker.check(good_round());
  CHECK(checker.counts().sent == 3);
  CHECK(checker.counts().taken == 3);
  CHECK(checker.counts().acked == 3);
  CHECK(checker.counts().stored == 3);
  CHECK(checker.counts().delivered == 9);
  CHECK(checker.counts().redelivered == 0);
}

TEST_CASE("fault_checker: what was acked and is not stored") {
  Round round = good_round();
  round.rows.pop_back();
  round.heads[0] = {.conversation = "ann|ben",
                    .last_seq = 2,
                    .last_rev = 2,
                    .rows = 2,
                    .seq_max = 2,
                    .rev_max = 2};
  round.cursors[0].got = 2;
  for (SessionLog& session : round.sessions) session.deliveries.pop_back();
  CHECK(found(round) == Names{"ack", "taken"});
  round.acks.pop_back();
  CHECK(found(round) == Names{"taken"});
  round.sends[2].answers.clear();  // nobody promised anything
  CHECK(found(round) == Names{});
}

TEST_CASE("fault_checker: what a destroyed spool held may be gone, and only that") {
  Round round = good_round();
  round.rows.pop_back();
  round.acks.pop_back();
  round.heads.clear();
  round.cursors.clear();
  for (SessionLog& session : round.sessions) session.deliveries.pop_back();
  round.void_until = 40;
  CHECK(found(round) == Names{});
  round.void_until = 20;
  CHECK(found(round) == Names{"taken"});
}

TEST_CASE("fault_checker: an ack that says another seq, or another content's") {
  Round round = good_round();
  round.acks[0].seq = 2;
  CHECK(found(round) == Names{"ack"});
  round = good_round();
  round.acks[1].seq = 7;  // the one without an id: only its conversation tells
  CHECK(found(round) == Names{"ack"});
}

TEST_CASE("fault_checker: refused what was good, and stored what was not") {
  Round round = good_round();
  round.acks[0].seq = 0;
  round.acks[0].code = "NOT_MEMBER";
  CHECK(found(round) == Names{"ack"});
  round = good_round();
  round.sends[0].refusal = "NOT_MEMBER";
  CHECK(found(round) == Names{"ack", "refused"});
  round = good_round();
  round.acks.push_back({.client = ann_client, .connection = 1, .user = "ann", .code = "BUSY"});
  CHECK(found(round) == Names{"ack"});
}

TEST_CASE("fault_checker: a message in two rows") {
  Round round = good_round();
  Row twice = round.rows[0];
  twice.seq = twice.rev = 4;
  round.rows.push_back(twice);
  round.heads.clear();
  const auto deliver_it = [&] {
    round.sessions[0].deliveries.push_back(delivery(sent_json, 4, twice.text));
    round.sessions[1].deliveries.push_back(delivery(inbox_json, 4, twice.text));
    round.sessions[2].deliveries.push_back(delivery(inbox_text, 4, twice.text));
  };
  deliver_it();
  CHECK(found(round) == Names{"twice"});
  round = good_round();
  round.heads.clear();
  twice = round.rows[1];  // without an id: as often as it was published, not more
  twice.seq = twice.rev = 4;
  round.rows.push_back(twice);
  deliver_it();
  CHECK(found(round) == Names{"twice"});
  round.sends[1].transmissions.push_back({1, 90});
  CHECK(found(round) == Names{});
}

TEST_CASE("fault_checker: a repeat in a later round is answered with the first one's seq") {
  Checker checker{membership()};
  CHECK(checker.check(good_round()).empty());
  Round later;
  later.readers = good_round().readers;
  later.sends = {good_round().sends[0]};
  later.sends[0].transmissions = {{1, 1000}};
  later.acks = {good_round().acks[0]};
  CHECK(checker.check(later).empty());
  later.acks[0].seq = 3;
  CHECK_FALSE(checker.check(later).empty());
}

TEST_CASE("fault_checker: every PUBLISH was turned away, and yet it is stored") {
  Round round = good_round();
  round.sends[0].answers[0].reason = 0x87;
  CHECK(found(round) == Names{"turned away"});
  round.sends[0].transmissions.push_back({1, 15});  // of this one nobody knows
  CHECK(found(round) == Names{});
}

TEST_CASE("fault_checker: rows that nobody sent, or that say something else") {
  Round round = good_round();
  round.sends.erase(round.sends.begin() + 1);
  CHECK(found(round) == Names{"unknown"});
  round = good_round();
  round.rows[0].request_id = "other";
  CHECK(found(round) == Names{"altered"});
  round = good_round();
  round.sends[1].conversation = "ann|cat";
  CHECK(found(round).contains("altered"));
}

TEST_CASE("fault_checker: a gap in seq, and a rev that goes back") {
  Round round = good_round();
  erase_at(round.rows, 1);
  CHECK(found(round).contains("numbering"));
  round = good_round();
  round.rows[2].rev = 2;
  CHECK(found(round) == Names{"numbering"});
  round = good_round();
  round.rows[2].seq = 2;
  CHECK(found(round).contains("numbering"));
}

TEST_CASE("fault_checker: heads, cursors and orphans") {
  Round round = good_round();
  round.heads[0].last_seq = 4;
  CHECK(found(round) == Names{"database"});
  round = good_round();
  round.heads[0].rev_max = 4;
  CHECK(found(round) == Names{"database"});
  round = good_round();
  round.cursors[0].got = 4;
  CHECK(found(round) == Names{"database", "got"});
  round = good_round();
  round.cursors[0].user = "cat";
  CHECK(found(round) == Names{"database", "got"});
  round = good_round();
  round.orphans[0].second = 1;
  CHECK(found(round) == Names{"database"});
}

TEST_CASE("fault_checker: stored in another order than it was published") {
  Round round = good_round();
  std::swap(round.sends[0].transmissions, round.sends[2].transmissions);
  CHECK(found(round) == Names{"order"});
}

TEST_CASE("fault_checker: the order that MQTT promises, and no other") {
  Round round = good_round();
  // m1 was lost with connection 1, together with m3's first time, and went out again behind it.
  round.sends[0].transmissions = {{1, 50}, {4, 60}};
  round.sends[2].transmissions = {{1, 30}, {4, 70}};
  CHECK(found(round) == Names{});
  // Again in the same order on both: then it counts, for a client with an id of its own.
  round.sends[0].transmissions = {{1, 50}, {4, 70}};
  round.sends[2].transmissions = {{1, 30}, {4, 60}};
  CHECK(found(round) == Names{"order"});
  round.readers[0].same_id = false;
  CHECK(found(round) == Names{});
  // What was turned away once may come later than what was not.
  round = good_round();
  std::swap(round.sends[1].transmissions, round.sends[2].transmissions);
  CHECK(found(round) == Names{"order"});
  round.sends[2].answers.insert(round.sends[2].answers.begin(), {1, 21, 0x87});
  CHECK(found(round) == Names{});
}

TEST_CASE("fault_checker: a delivery that was skipped") {
  Round round = good_round();
  erase_at(round.sessions[1].deliveries, 1);
  CHECK(found(round) == Names{"gap"});
  round = good_round();
  erase_at(round.sessions[1].deliveries, 0);
  CHECK(found(round) == Names{"gap"});
  round = good_round();
  round.sessions[1].deliveries.pop_back();
  CHECK(found(round) == Names{"complete"});
  round = good_round();
  erase_at(round.sessions[2].deliveries, 1);
  CHECK(found(round) == Names{"gap"});
}

TEST_CASE("fault_checker: a repeat goes back, and on from there") {
  Round round = good_round();
  auto& got = round.sessions[1].deliveries;
  got.insert(got.end(), {got[1], got[2]});
  CHECK(found(round) == Names{});
  Checker checker{membership()};
  checker.check(round);
  CHECK(checker.counts().redelivered == 2);
  got.insert(got.end(), {got[0], got[2]});  // behind the first one comes the second
  CHECK(found(round) == Names{"gap"});
}

TEST_CASE("fault_checker: what a device held stays, over sessions and rounds") {
  Round round = good_round();
  SessionLog again = round.sessions[1];
  again.connection = 4;
  again.deliveries = {ben_gets(round, 2)};
  round.sessions[1].deliveries.resize(1);
  round.sessions[1].ended_at = 200;
  round.sessions.push_back(again);
  CHECK(found(round) == Names{"gap"});
  round.sessions.back().truncations = {{"ann|ben", 3, 20}};  // it was told so
  CHECK(found(round) == Names{});

  Checker checker{membership()};
  CHECK(checker.check(good_round()).empty());
  Round later;
  later.readers = good_round().readers;
  later.sends = {good_round().sends[0]};
  later.sends[0].text = later.sends[0].id = "m4";
  later.rows = {{.conversation = "ann|ben",
                 .seq = 4,
                 .rev = 4,
                 .sender = "ann",
                 .request_id = "m4",
                 .text = "m4"}};
  later.sessions = {good_round().sessions[0], good_round().sessions[1]};
  later.sessions[0].deliveries = {delivery(sent_json, 4, "m4")};
  later.sessions[1].deliveries.clear();
  const auto violations = checker.check(later);
  REQUIRE(violations.size() == 1);
  CHECK(violations[0].check == "complete");
}

/// Something in another conversation, before all else: it shows each session that live has begun.
Round begun_round() {
  Round round = good_round();
  round.sends.insert(round.sends.begin(), {.client = ann_client,
                                           .user = "ann",
                                           .conversation = "#ops",
                                           .to = "ops",
                                           .text = "o1",
                                           .transmissions = {{1, 5}}});
  round.rows.insert(round.rows.begin(),
                    {.conversation = "#ops", .seq = 1, .rev = 1, .sender = "ann", .text = "o1"});
  for (SessionLog& session : round.sessions) {
    const FeedFormat feed =
        *round.readers[static_cast<std::size_t>(session.client - 1)].feeds.begin();
    Delivery first = delivery(feed, 1, "o1");
    first.conversation = "#ops";
    first.at = 6;
    session.deliveries.insert(session.deliveries.begin(), first);
  }
  return round;
}

TEST_CASE("fault_checker: an observer gets everything once live has begun") {
  CHECK(found(begun_round()) == Names{});
  Round round = begun_round();
  erase_at(round.sessions[2].deliveries, 1);  // m1
  CHECK(found(round) == Names{"live"});
  erase_at(round.sessions[2].deliveries, 0);  // nothing came before m2: m1 may have been too early
  CHECK(found(round) == Names{});
  round = good_round();
  round.sessions[2].deliveries.pop_back();
  CHECK(found(round) == Names{"live"});
  round.sessions[2].ended_at = 50;
  CHECK(found(round) == Names{});
}

TEST_CASE("fault_checker: an observer may see a replay, and is due what came after it") {
  Round round = begun_round();
  erase_at(round.sessions[2].deliveries, 2);  // m2, sent when live had begun
  CHECK(found(round) == Names{"gap"});
  round = good_round();
  round.sessions[2].deliveries[0].at = 25;  // m1, stored before it came
  round.sessions[2].deliveries[2].at = 40;
  erase_at(round.sessions[2].deliveries, 1);
  CHECK(found(round) == Names{});
  // A repeat does not make a message a new one.
  round = begun_round();
  erase_at(round.sessions[2].deliveries, 0);
  erase_at(round.sessions[2].deliveries, 0);
  Send repeat = round.sends[1];
  repeat.transmissions = {{1, 90}};
  round.sends.push_back(repeat);
  CHECK(found(round) == Names{});
}

TEST_CASE("fault_checker: an observer that never gets anything is noticed") {
  Round round = good_round();
  round.sessions[2].deliveries.clear();
  CHECK(found(round) == Names{});
  for (Send& send : round.sends) send.transmissions[0].at += 11'000'000;
  CHECK(found(round) == Names{"live"});
}

TEST_CASE("fault_checker: contents that are not what is stored") {
  Round round = good_round();
  ben_gets(round, 1).text = "m1";
  CHECK(found(round).contains("content"));
  round = good_round();
  ben_gets(round, 1).from = "cat";
  CHECK(found(round).contains("content"));
  round = good_round();
  round.sessions[1].deliveries.push_back(delivery(inbox_json, 4, "m4"));
  CHECK(found(round) == Names{"content"});
}

TEST_CASE("fault_checker: somebody gets what is not his") {
  Round round = good_round();
  round.sessions[1].deliveries.push_back(delivery(inbox_json, 1, "m1"));
  round.sessions[1].deliveries.back().conversation = "#den";
  CHECK(found(round) == Names{"foreign"});
  round = good_round();
  round.sessions[1].deliveries.push_back(delivery(inbox_text, 1, "m1"));  // not subscribed
  CHECK(found(round) == Names{"foreign"});
  round = good_round();
  round.readers[0].feeds.insert(inbox_json);  // one's own message on the inbox
  round.sessions[0].deliveries.push_back(delivery(inbox_json, 1, "m1"));
  CHECK(found(round) == Names{"feed"});
}

TEST_CASE("fault_checker: Last Wills") {
  Round round = good_round();
  const auto will_round = [&](WillDue due, int rows) {
    round = good_round();
    round.heads.clear();
    round.sends.push_back({.client = ann_client,
                           .user = "ann",
                           .conversation = "#ops",
                           .to = "ops",
                           .text = "dead",
                           .will = due,
                           .transmissions = {{1, 1}}});
    for (Seq seq = 1; seq <= rows; ++seq) {
      round.rows.push_back(
          {.conversation = "#ops", .seq = seq, .rev = seq, .sender = "ann", .text = "dead"});
      for (SessionLog& session : round.sessions) {
        const FeedFormat feed = session.client == ann_client   ? sent_json
                                : session.client == ben_client ? inbox_json
                                                               : inbox_text;
        Delivery got = delivery(feed, seq, "dead");
        got.conversation = "#ops";
        session.deliveries.push_back(got);
      }
    }
    return found(round);
  };
  CHECK(will_round(WillDue::must, 1) == Names{});
  CHECK(will_round(WillDue::must, 0) == Names{"will"});
  CHECK(will_round(WillDue::must_not, 0) == Names{});
  CHECK(will_round(WillDue::must_not, 1) == Names{"will"});
  CHECK(will_round(WillDue::unknown, 1) == Names{});
  CHECK(will_round(WillDue::unknown, 2) == Names{"will"});
}

TEST_CASE("fault_checker: foreign traffic, and clients that do not come to rest") {
  Round round = good_round();
  round.foreign[0].received = {2};
  CHECK(found(round) == Names{"coexistence"});
  round.foreign[0].received = {1};
  CHECK(found(round) == Names{"coexistence"});
  round.foreign[0].ended_in_order = false;  // the last ones went down with the broker
  CHECK(found(round) == Names{});
  round.stuck = {"ben.phone lacks ann|ben 3"};
  CHECK(found(round) == Names{"stuck"});
}

TEST_CASE("fault_checker: the history of a message names all that happened to it") {
  Checker checker{membership()};
  const Round round = good_round();
  checker.check(round);
  const std::string text = explain(round, checker.archive(), "m1");
  for (const char* part : {"sent by ann", "PUBLISH on connection 1", "PUBACK", "stored 1",
                           "row ann|ben 1", "delivered to ben.phone"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}
