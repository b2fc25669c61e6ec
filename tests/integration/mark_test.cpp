// `got` and `read` about what one is not in.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;

namespace {

struct Ops {
  Ops()
      : instance{"alice", "bob", "carol"},
        alice{instance.person("alice")},
        phone{instance.device("bob", "phone")} {
    alice.listen({"ack/+", "re.json/+"});
    phone.listen({"err", "inbox/+"});
    done(ask(alice, "room.create", {{"room", "ops"}}));
    CHECK(alice.send("ops", "one") == "stored 1");
  }
  [[nodiscard]] std::string refusal(const std::string& topic) {
    phone.publish(topic, "1");
    const auto line = phone.expect_text("err");
    CHECK(line.find(" im/u/bob/" + topic + " ") != std::string::npos);
    return line.substr(0, line.find(' '));
  }
  /// How far bob has read in ops.
  std::int64_t read() {
    return instance.database().number(
        "SELECT COALESCE(max(read_seq), 0) FROM members m JOIN users u USING (user_id)"
        " JOIN conversations c USING (conversation_id) WHERE u.name = 'bob' AND c.name = 'ops'");
  }
  bool confirms() {
    return instance.database().number("SELECT count(*) FROM devices WHERE confirms") > 0;
  }
  Instance instance;
  Person alice, phone;
};

}  // namespace

TEST_CASE("mark: of a room one is not in, it is refused and means nothing") {
  Ops ops;
  CHECK(ops.refusal("got/ops") == "NOT_MEMBER");
  CHECK(ops.refusal("read/ops") == "NOT_MEMBER");
  CHECK(ops.refusal("got/nobody") == "USER_NOT_FOUND");
  // What is said later is written later, or together.
  CHECK(ops.alice.send("bob", "hi") == "stored 1");
  ops.phone.publish("read/alice", "1");
  eventually("it is written", [&] {
    return ops.instance.database().number("SELECT count(*) FROM members WHERE read_seq = 1") == 1;
  });
  CHECK(!ops.confirms());
  CHECK(ops.instance.database().number("SELECT count(*) FROM device_marks WHERE conversation_id ="
                                       " (SELECT id FROM names WHERE name = 'ops')") == 0);
  // Of somebody who has said nothing yet it is no mistake: the device says that it confirms.
  ops.phone.publish("got/carol", "0");
  eventually("it confirms", [&] { return ops.confirms(); });
  CHECK(ops.phone.mqtt.drain().size() == 1);  // hi
}

TEST_CASE("mark: who is removed is refused from then on, and who is added is heard") {
  Ops ops;
  CHECK(ops.refusal("got/ops") == "NOT_MEMBER");
  done(ask(ops.alice, "room.add", {{"room", "ops"}, {"users", {"bob"}}}));
  CHECK(ops.phone.expect_text("inbox/ops") == "* alice added bob");
  ops.phone.publish("read/ops", "2");
  eventually("it counts", [&] { return ops.read() == 2; });
  done(ask(ops.alice, "room.kick", {{"room", "ops"}, {"users", {"bob"}}}));
  CHECK(ops.refusal("got/ops") == "NOT_MEMBER");
  CHECK(!ops.confirms());
  // By the operator's hand: the worker hears nothing of it.
  CHECK(ops.instance.parley({"room", "add", "ops", "bob"}).code == 0);
  ops.phone.publish("got/ops", "3");
  eventually("it counts again", [&] { return ops.confirms(); });
  CHECK(ops.phone.mqtt.drain().empty());
  // None of this is left behind for a worker that starts anew.
  ops.instance.stop_worker();
  ops.instance.start_worker();
  CHECK(ops.alice.send("ops", "two") == "stored 4");
  CHECK(ops.phone.expect_text("inbox/ops") == "alice: two");
}
