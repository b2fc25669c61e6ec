// Who is writing: passed on to those who may hear it, never stored.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

const std::string begins = R"({"from":"alice","typing":true})";
const std::string ends = R"({"from":"alice","typing":false})";

struct Pair {
  Pair()
      : instance{"alice", "bob", "carol"},
        alice{instance.person("alice")},
        bob{instance.person("bob")} {
    alice.listen({"ack/+", "err", "typing.json/+", "re.json/+"});
    bob.listen({"typing.json/+", "re.json/+"});
    CHECK(alice.send("bob", "hi") == "stored 1");
  }
  Instance instance;
  Person alice, bob;
};

}  // namespace

TEST_CASE("typing: goes to the other one, ends when it is said, or after six seconds") {
  Pair pair;
  pair.alice.publish("typing/bob", "1", 0);
  CHECK(pair.bob.expect_text("typing.json/alice") == begins);
  pair.alice.publish("typing/bob", "0", 0);
  CHECK(pair.bob.expect_text("typing.json/alice") == ends);
  pair.alice.publish("typing/bob", "0", 0);
  pair.alice.publish("typing/bob", "1", 0);
  CHECK(pair.bob.expect_text("typing.json/alice") == begins);
  CHECK(pair.bob.expect_text("typing.json/alice") == ends);
  CHECK(pair.alice.mqtt.drain().empty());
  CHECK(pair.instance.database().number("SELECT count(*) FROM messages") == 1);
}

TEST_CASE("typing: in a room everybody but the writer; an outsider is not heard") {
  Pair pair;
  done(ask(pair.alice, "room.create", {{"room", "ops"}, {"members", {"bob"}}}));
  pair.alice.publish("typing/ops", "1", 0);
  CHECK(pair.bob.expect_text("typing.json/ops") == begins);
  Person carol = pair.instance.person("carol");
  carol.listen({"err"});
  carol.publish("typing/ops", "1", 0);
  CHECK(carol.expect_text("err").starts_with("NOT_MEMBER im/u/carol/typing/ops "));
  carol.publish("typing/nowhere", "1", 0);
  CHECK(carol.expect_text("err").starts_with("USER_NOT_FOUND im/u/carol/typing/nowhere "));
  pair.alice.publish("typing/ops", "0", 0);
  CHECK(pair.bob.expect_text("typing.json/ops") == ends);
  CHECK(pair.bob.mqtt.drain().empty());
}

TEST_CASE("typing: one who is blocked writes for himself") {
  Pair pair;
  done(ask(pair.bob, "block.add", {{"user", "alice"}}));
  // What is remembered of the members is renewed by the next message.
  CHECK(pair.alice.send("bob", "hello?") == "refused BLOCKED");
  pair.alice.publish("typing/bob", "1", 0);
  pair.alice.publish("typing/bob", "0", 0);
  pair.instance.settle();
  CHECK(pair.bob.mqtt.drain().empty());
  done(ask(pair.bob, "block.remove", {{"user", "alice"}}));
  CHECK(pair.alice.send("bob", "thanks") == "stored 2");
  pair.alice.publish("typing/bob", "1", 0);
  CHECK(pair.bob.expect_text("typing.json/alice") == begins);
}

TEST_CASE("typing: a payload that means nothing is refused") {
  Pair pair;
  pair.alice.publish("typing/bob", "perhaps", 0);
  CHECK(pair.alice.expect_text("err").starts_with("BAD_PAYLOAD im/u/alice/typing/bob"));
}

TEST_CASE("typing: reaches somebody before the first message, and makes no conversation") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  bob.listen({"typing.json/+"});
  // At once: the end does not overtake the beginning, though it is looked up who may see it.
  alice.publish("typing/bob", "1", 0);
  alice.publish("typing/bob", "0", 0);
  CHECK(bob.expect_text("typing.json/alice") == begins);
  CHECK(bob.expect_text("typing.json/alice") == ends);
  alice.publish("typing/alice", "1", 0);  // to herself there is nobody to tell
  instance.settle();
  CHECK(bob.mqtt.drain().empty());
  CHECK(instance.database().number("SELECT count(*) FROM direct_pairs p JOIN users u ON u.name ="
                                   " 'alice' AND u.user_id IN (p.user_lo, p.user_hi)") == 0);
  // The first message changes nothing of it.
  alice.publish("typing/bob", "1", 0);
  CHECK(bob.expect_text("typing.json/alice") == begins);
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "hi") == "stored 1");
  alice.publish("typing/bob", "0", 0);
  CHECK(bob.expect_text("typing.json/alice") == ends);
}

TEST_CASE("typing: before the first message, only to whom one may write") {
  Instance instance{"alice", "bob", "carol", "dave"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  Person carol = instance.person("carol");
  Person dave = instance.person("dave");
  for (Person* person : {&alice, &bob, &carol, &dave}) {
    person->listen({"typing.json/+", "re.json/+", "err"});
  }
  done(ask(bob, "block.add", {{"user", "alice"}}));
  done(ask(carol, "me.set", {{"write_to_me", "contacts"}}));
  alice.publish("typing/bob", "1", 0);
  bob.publish("typing/alice", "1", 0);
  alice.publish("typing/carol", "1", 0);
  alice.publish("typing/dave", "1", 0);
  CHECK(dave.expect_text("typing.json/alice") == begins);
  carol.publish("typing/alice", "1", 0);  // only others have to be her contacts
  CHECK(alice.expect_text("typing.json/carol") == R"({"from":"carol","typing":true})");
  instance.settle();
  CHECK(bob.mqtt.drain().empty());
  CHECK(carol.mqtt.drain().empty());
  CHECK(alice.mqtt.drain().empty());
}

TEST_CASE("typing: over the limit there is one line a second on err") {
  InstanceOptions options{.broker = {.plugin_options = {"typing_per_s 2"}}};
  Instance instance({"alice", "bob"}, options);
  Person alice = instance.person("alice");
  alice.listen({"err"});
  for (int i = 0; i < 100; ++i) alice.publish("typing/bob", "1", 0);
  CHECK(alice.expect_text("err").starts_with("RATE_LIMITED im/u/alice/typing/bob "));
  // All hundred were taken before the PINGREQ: some milliseconds.
  CHECK(alice.mqtt.drain().size() <= 1);
  CHECK(alice.mqtt.ping());
  // The limit is one of his own: what he sends is not held back.
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "hi") == "stored 1");
}
