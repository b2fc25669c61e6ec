// `parley bench` against a real server: each scenario counts what it should, and nothing is wrong.
// Speeds are not looked at.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/instance.hpp"

using namespace parley::test;
using nlohmann::json;

namespace {

/// Others may log in, and use topics outside of Parley's.
BrokerOptions open_broker() {
  return {.lines = {"allow_anonymous true"}, .plugin_options = {"foreign_acl allow"}};
}

json bench(Instance& instance, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "bench");
  arguments.emplace_back("--json");
  const Ran ran = instance.parley(arguments);
  CAPTURE(ran.err);
  REQUIRE(ran.code == 0);
  return json::parse(ran.out);
}

void check_clean(const json& report, const std::string& scenario) {
  CAPTURE(scenario);
  const json& one = report["scenarios"][scenario];
  CAPTURE(one.dump());
  for (const char* side : {"acks", "deliveries"}) {
    for (const char* fault : {"lost", "duplicates", "out_of_order", "refused"}) {
      CHECK(one[side][fault] == 0);
    }
  }
  CHECK(report["good"] == true);
}

}  // namespace

TEST_CASE("bench: pairs, beside the broker alone") {
  Instance instance({.broker = open_broker()});
  const json report = bench(instance, {"relay", "chat", "--pairs", "3", "--window", "4",
                                       "--messages", "300", "--repeat", "2"});
  for (const char* scenario : {"relay", "chat"}) {
    check_clean(report, scenario);
    const json& median = report["scenarios"][scenario]["median"];
    CHECK(median["messages"] == 300);
    CHECK(median["delivery_p50_ms"] > 0);
    CHECK(median["delivery_p999_ms"] >= median["delivery_p50_ms"]);
    CHECK(report["scenarios"][scenario]["runs"].size() == 2);
  }
  CHECK(report["ratios"]["chat / relay"] > 0);
  CHECK(report["found"] == json{{"broker", true}, {"worker", true}, {"postgres", true}});
  // Twice 300, and a tenth of that before each.
  CHECK(instance.database().number("SELECT count(*) FROM messages") == 660);
}

TEST_CASE("bench: an offered rate") {
  Instance instance;
  const json report =
      bench(instance, {"chat", "--pairs", "2", "--rate", "200", "--seconds", "1", "--bytes", "28"});
  check_clean(report, "chat");
  const double messages = report["scenarios"]["chat"]["median"]["messages"];
  CHECK(messages > 100);
  CHECK(messages < 300);
}

TEST_CASE("bench: a room, beside the broker's own fan-out") {
  Instance instance({.broker = open_broker()});
  const json report =
      bench(instance, {"fanout", "room", "--members", "8", "--writers", "2", "--messages", "50"});
  for (const char* scenario : {"fanout", "room"}) {
    check_clean(report, scenario);
    const json& median = report["scenarios"][scenario]["median"];
    CHECK(median["messages"] == 50);
    CHECK(median["other_client_waits_max_ms"] > 0);
  }
  CHECK(report["ratios"]["room / fanout"] > 0);
  CHECK(instance.database().number(
            "SELECT member_count FROM conversations WHERE name IS NOT NULL") == 10);
}

TEST_CASE("bench: everything at once") {
  Instance instance;
  const json report =
      bench(instance, {"mixed", "--pairs", "3", "--members", "5", "--seconds", "1"});
  check_clean(report, "mixed");
  const json& median = report["scenarios"]["mixed"]["median"];
  CHECK(median["messages"] > 0);
  CHECK(median["reads"] > 0);
  CHECK(median["reconnects"] > 0);
}

TEST_CASE("bench: logins and idle connections") {
  Instance instance({.broker = open_broker()});
  const json report = bench(instance, {"connect", "--connections", "20", "--logins", "30"});
  const json& median = report["scenarios"]["connect"]["median"];
  CHECK(median["user_logins_per_s"] > 0);
  CHECK(median["other_logins_per_s"] > 0);
  CHECK(median["logins_user_to_other"] > 0);
}

TEST_CASE("bench: users who come back") {
  Instance instance;
  const json report = bench(
      instance, {"sync", "--users", "12", "--unread", "6", "--within", "0.2", "--repeat", "2"});
  check_clean(report, "sync");
  CHECK(report["scenarios"]["sync"]["median"]["users"] == 12);
  CHECK(report["scenarios"]["sync"]["median"]["seconds_until_all_up_to_date"] > 0);
  CHECK(instance.database().number("SELECT count(*) FROM messages") == 2 * 12 * 6);
}

TEST_CASE("bench: without a login past Parley only what compares is missing") {
  Instance instance;
  const json report =
      bench(instance, {"relay", "chat", "fanout", "connect", "--pairs", "1", "--messages", "20",
                       "--members", "2", "--connections", "3", "--logins", "3"});
  CHECK(report["scenarios"]["relay"].contains("missing"));
  CHECK(report["scenarios"]["fanout"].contains("missing"));
  CHECK(report["scenarios"]["chat"]["median"]["messages"] == 20);
  CHECK(report["scenarios"]["connect"]["median"]["user_logins_per_s"] > 0);
  CHECK_FALSE(report["scenarios"]["connect"]["median"].contains("other_logins_per_s"));
  CHECK(report["ratios"].empty());
}

TEST_CASE("bench: a message that comes twice is seen, and the exit code says so") {
  Instance instance({.broker = open_broker()});
  MqttClient meddler = instance.connect({.client_id = "meddler"});
  meddler.subscribe("bench/relay/1");
  std::thread doubles{[&] {
    const Publication first = meddler.expect("bench/relay/1");
    meddler.publish("bench/relay/1", first.payload, 1);
  }};
  const Ran ran = instance.parley({"bench", "relay", "--pairs", "1", "--seconds", "1"});
  doubles.join();
  CHECK(ran.code == 1);
  CHECK(ran.err.find("relay: deliveries: 0 lost, 1 duplicates") != std::string::npos);
}

TEST_CASE("bench: a refusal ends it at once") {
  Instance instance;
  const std::vector<std::string> chat{"bench", "chat", "--pairs", "1", "--messages", "5"};
  CHECK(instance.parley(chat).code == 0);
  const Ran blocked =
      instance.parley({"do", "block.add", R"({"user":"bench-w1"})", "--as", "bench-r1"});
  REQUIRE(blocked.code == 0);
  const Ran refused = instance.parley(chat);
  CHECK(refused.code == 1);
  CHECK(refused.err.find("refused BLOCKED") != std::string::npos);
}

TEST_CASE("bench: not on a server that others use, unless told so") {
  Instance instance;
  for (int i = 0; i < 20; ++i) instance.user("person" + std::to_string(i));
  const Ran refused = instance.parley({"bench", "chat", "--messages", "5"});
  CHECK(refused.code == 1);
  CHECK(refused.err.find("--yes") != std::string::npos);
  CHECK(instance.database().number("SELECT count(*) FROM users WHERE name LIKE 'bench-%'") == 0);
  CHECK(instance.parley({"bench", "chat", "--pairs", "1", "--messages", "5", "--yes"}).code == 0);
}
