// Full spools, fast senders, large messages.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

constexpr int more_than_fits = 5000;  // of a KiB each, into a spool of 1 MiB

/// Without a worker nobody subscribes what is sent: 0x10 is a success then.
bool is_success(int reason) { return reason == 0x00 || reason == 0x10; }

std::string numbered(int i) {
  std::string text = std::to_string(i) + " ";
  text.resize(1024, 'x');
  return text;
}

InstanceOptions small_spool() { return {.broker = {.plugin_options = {"spool_mib 1"}}}; }

void check_stored(Instance& instance, const std::vector<std::string>& accepted) {
  eventually(
      "everything accepted is stored",
      [&] { return instance.stored_direct("alice", "bob").size() >= accepted.size(); },
      Deadline{slowed(Milliseconds{30'000})});
  instance.settle();
  const auto rows = instance.stored_direct("alice", "bob");
  REQUIRE(rows.size() == accepted.size());
  for (std::size_t i = 0; i < rows.size(); ++i) REQUIRE(rows[i][1] == accepted[i]);
}

}  // namespace

TEST_CASE("limits: with a full spool MQTT 5 hears 0x87, and what was PUBACKed is stored later") {
  Instance instance({"alice", "bob"}, small_spool());
  instance.kill_worker();
  Person alice = instance.person5("alice");
  alice.listen({"re.json/+"});
  std::vector<std::string> accepted;
  // Large ones until they do not fit, then small ones until nothing fits.
  for (const std::size_t bytes : {std::size_t{1024}, std::size_t{1}}) {
    int refused = 0;
    for (int i = 0; i < more_than_fits && refused < 3; ++i) {
      const std::string text = numbered(i).substr(0, bytes);
      const int reason = alice.publish("send/bob", text);
      if (is_success(reason)) {
        accepted.push_back(text);
      } else {
        CHECK(reason == 0x87);
        ++refused;
      }
    }
    CHECK(refused == 3);
  }
  CHECK(accepted.size() > 300);
  CHECK(alice.mqtt.ping());
  // A `do` is refused, at once or with an answer, and a lost `got` harms nobody.
  const int asked = alice.publish("do.json/history/h1", R"({"conv":"bob"})");
  CHECK((is_success(asked) || asked == 0x87));
  alice.publish("got/bob", "1");
  CHECK(alice.mqtt.ping());
  instance.start_worker();
  if (is_success(asked)) CHECK(Json::parse(alice.expect_text("re.json/h1"))["code"] == "BUSY");
  check_stored(instance, accepted);
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", "room again") == with_number("stored ", accepted.size() + 1));
}

TEST_CASE("limits: with a full spool MQTT 3.1.1 is disconnected, never given a false PUBACK") {
  Instance instance({"alice", "bob"}, small_spool());
  instance.kill_worker();
  Person alice = instance.person("alice");
  std::vector<std::string> accepted;
  int answer = 0;
  for (int i = 0; i < more_than_fits && answer == 0; ++i) {
    answer = alice.publish("send/bob", numbered(i));
    if (answer == 0) accepted.push_back(numbered(i));
  }
  CHECK(answer == disconnected);
  CHECK(accepted.size() > 300);
  Person again = instance.person("alice");
  CHECK(again.publish("send/bob", numbered(0)) == disconnected);
  instance.start_worker();
  check_stored(instance, accepted);
}

TEST_CASE("limits: a full spool survives kill -9 of the broker") {
  Instance instance({"alice", "bob"}, small_spool());
  instance.kill_worker();
  Person alice = instance.person5("alice");
  std::vector<std::string> accepted;
  for (int i = 0; i < more_than_fits; ++i) {
    if (!is_success(alice.publish("send/bob", numbered(i)))) break;
    accepted.push_back(numbered(i));
  }
  REQUIRE(accepted.size() < more_than_fits);
  instance.broker().kill();
  instance.broker().start();
  instance.start_worker();
  check_stored(instance, accepted);
}

TEST_CASE("limits: a small spool passes any number of messages while the worker keeps up") {
  Instance instance({"alice", "bob"}, small_spool());
  Person alice = instance.person5("alice");
  alice.listen({"ack/+"});
  for (int i = 0; i < 3000; ++i) {
    const std::string ack = alice.send("bob", numbered(i));
    REQUIRE(ack == with_number("stored ", i + 1));
  }
  CHECK(instance.stored_direct("alice", "bob").size() == 3000);
}

TEST_CASE("limits: a small spool that went round many times survives kill -9 of the broker") {
  Instance instance({"alice", "bob"}, small_spool());
  std::vector<std::string> accepted;
  for (int round = 0; round < 4; ++round) {
    Person alice = instance.person("alice");
    const int first = round * 1000;
    for (int i = first; i < first + 1000; ++i) {
      if (i % 200 == 0) instance.settle();  // so that it never gets full
      if (i == first + 800) instance.kill_worker();
      alice.mqtt.publish_soon({.topic = alice.topic("send/bob"), .payload = numbered(i)});
      REQUIRE(alice.mqtt.await_answers(50));
      accepted.push_back(numbered(i));
    }
    REQUIRE(alice.mqtt.await_answers());
    instance.broker().kill();
    instance.broker().start();
    instance.start_worker();
    instance.settle();
  }
  check_stored(instance, accepted);
}

TEST_CASE("limits: over the rate MQTT 5 is refused and MQTT 3.1.1 disconnected") {
  InstanceOptions options{.broker = {.plugin_options = {"publishes_per_s 5", "publish_burst 20"}}};
  Instance instance({"alice", "bob"}, options);
  Person alice = instance.person5("alice");
  constexpr int sent = 200;
  for (int i = 0; i < sent; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob"), .payload = std::to_string(i)});
  }
  REQUIRE(alice.mqtt.await_answers());
  std::vector<std::string> accepted;
  int i = 0;
  for (const auto& [id, reason] : alice.mqtt.answers()) {
    if (reason == 0) accepted.push_back(std::to_string(i));
    ++i;
  }
  CHECK(accepted.size() >= 20);
  CHECK(accepted.size() < sent / 2);
  CHECK(alice.mqtt.ping());
  const auto rows = [&] { return instance.stored_direct("alice", "bob"); };
  eventually("the accepted ones are stored", [&] { return rows().size() >= accepted.size(); });

  Person bob = instance.person("bob");
  int acked = 0;
  while (acked < sent && bob.publish("send/alice", "again") == 0) ++acked;
  CHECK(acked >= 20);
  CHECK(acked < sent / 2);
  CHECK(bob.mqtt.closed());
  const std::size_t all = accepted.size() + static_cast<std::size_t>(acked);
  eventually("all that was PUBACKed is stored", [&] { return rows().size() >= all; });
  CHECK(rows().size() == all);
}

TEST_CASE("limits: marks over the rate are dropped, and the client hears it once a second") {
  InstanceOptions options{.broker = {.plugin_options = {"publishes_per_s 5", "publish_burst 20"}}};
  Instance instance({"alice", "bob"}, options);
  Person alice = instance.person("alice");
  alice.listen({"err"});
  for (int i = 0; i < 200; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic("read/bob"), .payload = "1"});
  }
  REQUIRE(alice.mqtt.await_answers());
  CHECK(alice.expect_text("err").starts_with("RATE_LIMITED im/u/alice/read/bob "));
  CHECK(alice.mqtt.drain().size() <= 1);
  CHECK(alice.mqtt.ping());

  // MQTT 5 is told by the reason, and needs no line.
  Person bob = instance.person5("bob");
  bob.listen({"err"});
  for (int i = 0; i < 50; ++i) {
    bob.mqtt.publish_soon({.topic = bob.topic("got/alice"), .payload = "1"});
  }
  REQUIRE(bob.mqtt.await_answers());
  std::size_t refused = 0;
  for (const auto& [id, reason] : bob.mqtt.answers()) refused += reason == 0x87 ? 1 : 0;
  CHECK(refused >= 20);
  CHECK(bob.mqtt.drain().empty());
}

TEST_CASE("limits: a JSON payload may be larger than a text, and no larger than its limit") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  Person bob = instance.person("bob");
  alice.listen({"ack/+"});
  bob.listen({"inbox.json/+", "inbox.pb/+"});
  const auto body = [](std::size_t bytes) {
    return Json{{"body", std::string(bytes, 'A')}, {"content_type", "x/y"}}.dump();
  };
  CHECK(alice.publish("send.json/bob/b1", body(200'000)) == 0);
  CHECK(alice.expect_text("ack/b1") == "stored 1");
  CHECK(Json::parse(bob.expect_text("inbox.json/alice"))["body"] == std::string(200'000, 'A'));
  CHECK(bob.expect_text("inbox.pb/alice").size() > 150'000);
  CHECK(alice.publish("send.json/bob/b2", body(262'144)) == 0);
  CHECK(alice.expect_text("ack/b2") == "refused TOO_LARGE");
  CHECK(alice.publish("send.json/bob/b3", Json{{"text", std::string(65'537, 'x')}}.dump()) == 0);
  CHECK(alice.expect_text("ack/b3") == "refused TOO_LARGE");
  CHECK(alice.publish("send/bob/b4", std::string(3'000'000, 'x')) == 0);
  CHECK(alice.expect_text("ack/b4") == "refused TOO_LARGE");
  CHECK(alice.mqtt.ping());
}

TEST_CASE("limits: configured sizes are what counts, and info tells them") {
  InstanceOptions options{.broker = {.plugin_options = {"text_bytes_max 100"}},
                          .config = "[limits]\ntext_bytes_max = 100\nmentions_max = 2\n"};
  Instance instance({"alice", "bob"}, options);
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("bob", std::string(100, 'x')) == "stored 1");
  CHECK(alice.send("bob", std::string(101, 'x')) == "refused TOO_LARGE");
  CHECK(alice.publish("send.json/bob", R"({"text":"x","mentions":["bob","alice","watcher"]})") ==
        0);
  CHECK(alice.expect_text("ack/-") == "refused TOO_LARGE");
  alice.mqtt.subscribe("im/s/info");
  const Json info = Json::parse(alice.mqtt.expect("im/s/info").payload);
  REQUIRE(info.contains("limits"));
  CHECK(info["limits"]["text_bytes_max"] == 100);
  CHECK(info.contains("version"));
  CHECK(info.contains("epoch"));
  CHECK(info.contains("formats"));
  CHECK(info.contains("endpoints"));
}
