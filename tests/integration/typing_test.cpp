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
  carol.publish("typing/ops", "1", 0);
  carol.publish("typing/nowhere", "1", 0);
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
