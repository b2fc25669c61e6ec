// The judge of the fault rounds, judged: what shows only in a later round, on a later connection,
// or in what the server believes.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/unit/fault_rounds.hpp"

using namespace parley::fault;

namespace {

/// A round after good_round() in which nothing is sent, and `text` is stored (once more) and given
/// to everybody.
Round later_round(const std::string& text, const std::string& id) {
  Round round = good_round();
  round.sends.clear();
  round.acks.clear();
  round.heads.clear();
  round.foreign.clear();
  round.rows = {{.conversation = "ann|ben",
                 .seq = 4,
                 .rev = 4,
                 .sender = "ann",
                 .request_id = id,
                 .text = text}};
  for (SessionLog& session : round.sessions) {
    const FeedFormat feed =
        *round.readers[static_cast<std::size_t>(session.client - 1)].feeds.begin();
    session.deliveries = {delivery(feed, 4, text)};
    session.marks.clear();
  }
  return round;
}

/// What is found in the second of two rounds.
Names found_then(const Round& first, const Round& second) {
  Checker checker{membership()};
  checker.check(first);
  Names names;
  for (const Violation& violation : checker.check(second)) names.insert(violation.check);
  return names;
}

/// good_round() with one more message, which is not stored.
Round round_with(Send send) {
  Round round = good_round();
  send.client = ann_client;
  send.user = "ann";
  send.conversation = "ann|ben";
  send.to = "ben";
  send.text = "m4";
  send.transmissions = {{1, 90}};
  round.sends.push_back(std::move(send));
  return round;
}

/// good_round(), where Ben's phone has confirmed up to `said`, comes back on a new connection, and
/// gets these.
Round round_with_return(Seq said, const std::vector<Seq>& seqs) {
  Round round = good_round();
  round.sessions[1].marks = {{"ann|ben", said, 35}};
  round.cursors.clear();
  round.device_marks.clear();
  SessionLog again = round.sessions[1];
  again.connection = 4;
  again.marks.clear();
  again.deliveries.clear();
  for (const Seq seq : seqs) {
    again.deliveries.push_back(delivery(inbox_json, seq, "m" + std::to_string(seq)));
    again.deliveries.back().at += 100;
  }
  round.sessions.push_back(again);
  return round;
}

}  // namespace

TEST_CASE("fault_checker: a message that a later round stores once more") {
  CHECK(found_then(good_round(), later_round("m1", "id1")) == Names{"twice"});
  CHECK(found_then(good_round(), later_round("m2", "")) == Names{"twice"});
  Round first = good_round();
  first.sends[1].transmissions.push_back({1, 90});  // it may be there as often as it was published
  CHECK(found_then(first, later_round("m2", "")) == Names{});
}

TEST_CASE("fault_checker: what must not be stored, and is in a later round") {
  const Round later = later_round("m4", "");
  CHECK(found_then(round_with({}), later) == Names{});  // nobody had promised anything
  CHECK(found_then(round_with({.refusal = "NOT_MEMBER"}), later) == Names{"refused"});
  CHECK(found_then(round_with({.will = WillDue::must_not}), later) == Names{"will"});
  CHECK(found_then(round_with({.answers = {{1, 91, 0x87}}}), later) == Names{"turned away"});
  CHECK(found_then(round_with({.answers = {{1, 91, 0}}}), later) == Names{});
}

TEST_CASE("fault_checker: what is turned away in every round must not be stored") {
  Round first = round_with({.answers = {{1, 91, 0x87}}});
  Round later = later_round("m4", "");
  later.sends = {first.sends.back()};
  CHECK(found_then(first, later) == Names{"turned away"});
  later.sends[0].answers[0].reason = 0;
  CHECK(found_then(first, later) == Names{});
}

TEST_CASE("fault_checker: a return begins where the device stands, and goes on in order") {
  CHECK(found(round_with_return(1, {2, 3})) == Names{});
  CHECK(found(round_with_return(1, {1, 2, 3, 2, 3})) == Names{});
  CHECK(found(round_with_return(1, {})) == Names{});
  CHECK(found(round_with_return(1, {3})) == Names{"gap"});
  CHECK(found(round_with_return(0, {1, 3})) == Names{"gap"});
  CHECK(found(round_with_return(2, {1, 3})) == Names{});  // it said so meanwhile
  Round round = round_with_return(0, {1, 3});
  round.sessions.back().session_present = true;  // the broker's own queue
  CHECK(found(round) == Names{});
  round = round_with_return(0, {3});
  round.sessions.back().truncations = {{"ann|ben", 3, 5}};
  CHECK(found(round) == Names{});
  round = round_with_return(0, {3});
  round.readers[1].confirms = false;  // only the server knows where such a one stands
  CHECK(found(round) == Names{});
  round = round_with_return(0, {1, 3});
  round.readers[1].confirms = false;
  CHECK(found(round) == Names{"gap"});
}

TEST_CASE("fault_checker: a text that is in two rows, where the format says no seq") {
  Round round = good_round();
  round.heads.clear();
  round.sends[1].transmissions.push_back({1, 90});
  round.rows.push_back(later_round("m2", "").rows[0]);
  round.sends.push_back(round_with({}).sends.back());
  round.rows.push_back(later_round("m4", "").rows[0]);
  round.rows.back().seq = round.rows.back().rev = 5;
  round.readers = {round.readers[2]};
  round.readers[0].kind = ReaderKind::sole;
  round.cursors.clear();
  const auto gets = [&](std::size_t index) {
    Delivery one = delivery(inbox_text, 0, round.rows[index].text);
    one.at = 100;
    return one;
  };
  SessionLog view = round.sessions[2];
  view.deliveries = {gets(0), gets(1), gets(2), gets(3), gets(4)};
  SessionLog again = view;
  again.connection = 4;
  round.sessions = {view, again};
  CHECK(found(round) == Names{});
  erase_at(round.sessions[1].deliveries, 3);
  CHECK(found(round) == Names{"gap"});
}

TEST_CASE("fault_checker: nothing live before what a device gets once more") {
  Round later = later_round("m4", "");
  later.device_marks.clear();
  later.cursors.clear();
  later.sessions[1].connection = 4;
  Round first = round_with_return(1, {2, 3});
  first.sends = round_with({}).sends;
  CHECK(found_then(first, later) == Names{});
  first.sessions.back().deliveries.pop_back();
  CHECK(found_then(first, later) == Names{"gap"});
}

TEST_CASE("fault_checker: the server believes what a confirming device has said, and no more") {
  Round round = good_round();
  round.sessions[1].marks = {{"ann|ben", 2, 35}};
  CHECK(found(round) == Names{"got"});  // the device's mark, and the user's got
  round.cursors.clear();
  CHECK(found(round) == Names{"got"});
  round.readers[1].confirms = false;
  CHECK(found(round) == Names{});
  round = good_round();
  round.sessions[1].marks = {{"ann|ben", 2, 35}};
  round.device_marks.clear();
  CHECK(found(round) == Names{"got"});
  round.cursors[0].got = 2;
  CHECK(found(round) == Names{});
  round.cursors[0].read = 3;
  CHECK(found(round) == Names{"got"});
}

TEST_CASE("fault_checker: what was said in an earlier round still counts") {
  Round later = good_round();
  later.sends.clear();
  later.acks.clear();
  later.rows.clear();
  for (SessionLog& session : later.sessions) {
    session.deliveries.clear();
    session.marks.clear();
  }
  CHECK(found_then(good_round(), later) == Names{});
}

TEST_CASE("fault_checker: who sends has read what came before, if he gets messages at all") {
  Round round = good_round();
  round.readers[0].confirms = true;
  round.cursors.push_back({.conversation = "ann|ben", .user = "ann", .got = 3, .read = 3});
  CHECK(found(round) == Names{});
  round.readers[0].kind = ReaderKind::none;
  round.readers[0].feeds.clear();
  round.sessions[0].deliveries.clear();
  CHECK(found(round) == Names{"got"});
}

TEST_CASE("fault_checker: topics of others, and what no client can read") {
  Round round = good_round();
  round.sessions[0].strange_topics = {"im/u/ben/inbox.json/cat"};
  CHECK(found(round) == Names{"foreign"});
  round = good_round();
  round.failures = {"ben.phone: bad protobuf"};
  CHECK(found(round) == Names{"nonsense"});
}
