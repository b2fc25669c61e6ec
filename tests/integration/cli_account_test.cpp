// The command line's requests about one's own account and past: search, devices, tokens, export,
// end.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

// `parley --help` lists them.
constexpr int usage = 2;
constexpr int login_refused = 6;

struct Alice {
  Instance instance{"alice", "bob"};
  std::string token = instance.token("alice");

  Ran operator()(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--as", "alice", "--token", token});
    return instance.parley(arguments);
  }
  std::string good(const std::vector<std::string>& arguments) {
    const Ran ran = (*this)(arguments);
    return ran.code == 0 ? ran.out : "ended with " + std::to_string(ran.code) + ": " + ran.err;
  }
};

}  // namespace

TEST_CASE("cli account: words and mentions are found") {
  Alice alice;
  Person bob = alice.instance.person("bob");
  bob.listen({"ack/+"});
  bob.publish("send.json/alice/1", R"({"text":"the backup\nfailed","mentions":["alice"]})");
  CHECK(bob.expect_text("ack/1") == "stored 1");
  eventually("it is found", [&] { return !alice.good({"search", "backup"}).empty(); });
  const std::string found = alice.good({"search", "backup failed", "--in", "bob", "--limit", "5"});
  CHECK(found.starts_with("bob\t1\t20"));
  CHECK(found.find("\tbob\t") != std::string::npos);
  CHECK(lines_of(found).size() == 1);
  CHECK(alice.good({"search", "nothing"}).empty());
  CHECK(alice.good({"mentions"}).ends_with("\tbob\tthe backup failed\n"));
  CHECK(alice.good({"mentions", "--before", "2020-01-01T00:00:00.000Z"}).empty());
}

TEST_CASE("cli account: devices are removed") {
  Alice alice;
  Person phone = alice.instance.device("alice", "phone");
  phone.listen({"inbox/+"});
  alice.instance.settle();
  CHECK(alice.good({"device", "list"}).starts_with("phone\ttrue\t"));
  CHECK(alice.good({"device", "remove", "phone"}) == "done\n");
  CHECK(phone.mqtt.wait_closed());
  CHECK(alice.good({"device", "list"}).empty());
  CHECK(alice.good({"device", "remove", "tablet"}) == "done\n");  // nothing is known of it
}

TEST_CASE("cli account: a user issues tokens of his own and makes all void") {
  Alice alice;
  const std::string issued =
      alice.good({"token", "issue", "--scope", "send", "--expires", "1h", "--device", "pump"});
  REQUIRE(issued.size() == 69);
  const std::string token = issued.substr(0, 68);
  const Ran explained = alice.instance.parley({"token", "verify", token, "--device", "pump"});
  CHECK(explained.code == 0);
  CHECK(explained.out.find("scope:      send\n") != std::string::npos);
  CHECK(explained.out.find("never") == std::string::npos);
  const Json json = Json::parse(alice.good({"token", "issue", "--json"}));
  CHECK(!json.contains("expires_time"));
  CHECK(alice({"token", "issue", "--scope", "fly"}).code == usage);
  CHECK(alice.good({"token", "revoke-all"}) == "done\n");
  eventually("it is void", [&] { return alice({"unread"}).code == login_refused; });
}

TEST_CASE("cli account: everything is exported, and nothing left") {
  Alice alice;
  REQUIRE(alice.good({"send", "bob", "hi"}) == "stored 1\n");
  const auto lines = lines_of(alice.good({"me", "export"}));
  REQUIRE(lines.size() >= 4);
  CHECK(Json::parse(lines.front())["profile"]["name"] == "alice");
  CHECK(Json::parse(lines.back())["end"]["lines"] == lines.size());
  CHECK(alice({"me", "erase", "bob"}).code == usage);
  CHECK(alice.good({"me", "erase", "alice"}) == "done\n");
  eventually("she is gone", [&] { return alice({"unread"}).code == login_refused; });
  CHECK(alice.instance.parley({"user", "list"}).out.find("alice\terased") != std::string::npos);
  for (const auto* const command : {"enable", "disable"}) {
    const auto refused = alice.instance.parley({"user", command, "alice"});
    CHECK(refused.code != 0);
    CHECK(refused.err.find("alice has erased the account") != std::string::npos);
  }
}
