// The command line against a running server.
#include <doctest/doctest.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

// `parley --help` lists them.
constexpr int failed = 1;
constexpr int usage = 2;
constexpr int refused = 3;
constexpr int timed_out = 4;
constexpr int unreachable = 5;
constexpr int login_refused = 6;

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

TEST_CASE("cli: send prints where it is stored and ends with 0") {
  Instance instance{"alice", "bob"};
  const Ran first = instance.parley({"send", "bob", "good morning", "--as", "alice"});
  CHECK(first.code == 0);
  CHECK(first.out == "stored 1\n");
  const Ran piped = instance.parley({"send", "bob", "-", "--as", "alice"}, "two\nlines\n");
  CHECK(piped.code == 0);
  CHECK(piped.out == "stored 2\n");
  CHECK(instance.stored_direct("alice", "bob") ==
        std::vector<Row>{{"1", "good morning"}, {"2", "two\nlines"}});
}

TEST_CASE("cli: send with an id is stored once, and a conflict is a refusal") {
  Instance instance{"alice", "bob"};
  const std::vector<std::string> line{"send", "bob", "ok", "--id", "nightly", "--as", "alice"};
  CHECK(instance.parley(line).out == "stored 1\n");
  CHECK(instance.parley(line).out == "stored 1\n");
  const Ran other = instance.parley({"send", "bob", "not ok", "--id", "nightly", "--as", "alice"});
  CHECK(other.code == refused);
  CHECK(other.out == "refused ID_CONFLICT\n");
  CHECK(instance.stored_direct("alice", "bob").size() == 1);
}

TEST_CASE("cli: send tells by its exit code why not") {
  Instance instance{"alice", "bob"};
  instance.room("ops", {"bob"});
  const Ran unknown = instance.parley({"send", "nobody", "hi", "--as", "alice"});
  CHECK(unknown.code == refused);
  CHECK(unknown.out == "refused USER_NOT_FOUND\n");
  const Ran outside = instance.parley({"send", "ops", "hi", "--as", "alice"});
  CHECK(outside.code == refused);
  CHECK(outside.out == "refused NOT_MEMBER\n");
  CHECK(instance.parley({"send", "bob", "hi"}).code == usage);
  CHECK(instance.parley({"send", "bob", "", "--as", "alice"}).code == usage);
  CHECK(instance.parley({"fly"}).code == usage);
  CHECK(instance.parley({"send", "bob", "hi", "--as", "carol"}).code == failed);
  CHECK(instance.parley({"send", "bob", "hi", "--as", "alice", "--token", instance.token("bob")})
            .code == login_refused);
  CHECK(instance
            .parley({"send", "bob", "hi", "--as", "alice", "--token", instance.token("alice"),
                     "--broker", "127.0.0.1:1"})
            .code == unreachable);
  CHECK(instance.stored_direct("alice", "bob").empty());
}

TEST_CASE("cli: send ends with 4 when nobody answers, and the message is stored later") {
  Instance instance{"alice", "bob"};
  instance.kill_worker();
  const Ran ran =
      instance.parley({"send", "bob", "hi", "--id", "k1", "--timeout", "1", "--as", "alice"});
  CHECK(ran.code == timed_out);
  CHECK(ran.err.find("--id k1") != std::string::npos);
  instance.start_worker();
  CHECK(instance.parley({"send", "bob", "hi", "--id", "k1", "--as", "alice"}).out == "stored 1\n");
}

TEST_CASE("cli: history prints the oldest first") {
  Instance instance{"alice", "bob"};
  for (const char* text : {"one", "two", "three"}) {
    REQUIRE(instance.parley({"send", "bob", text, "--as", "alice"}).code == 0);
  }
  const Ran all = instance.parley({"history", "alice", "--as", "bob"});
  CHECK(all.code == 0);
  const auto lines = lines_of(all.out);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].starts_with("1 "));
  CHECK(lines[0].ends_with(" alice: one"));
  CHECK(lines[2].ends_with(" alice: three"));
  const Ran json = instance.parley({"history", "alice", "--as", "bob", "--limit", "1", "--json"});
  REQUIRE(lines_of(json.out).size() == 1);
  CHECK(Json::parse(json.out)["text"] == "three");
  CHECK(instance.parley({"history", "nobody", "--as", "bob"}).code == refused);
}

TEST_CASE("cli: history of more than one page is whole") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  for (int i = 1; i <= 450; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob"), .payload = std::to_string(i)});
  }
  REQUIRE(alice.mqtt.await_answers());
  instance.settle();
  const Ran ran = instance.parley({"history", "bob", "--as", "alice", "--limit", "1000"});
  const auto lines = lines_of(ran.out);
  REQUIRE(lines.size() == 450);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    REQUIRE(lines[i].starts_with(std::to_string(i + 1) + " "));
  }
}

TEST_CASE("cli: users and rooms made while the server runs are there at once") {
  Instance instance;
  REQUIRE(instance.parley({"user", "add", "dora", "emil"}).code == 0);
  REQUIRE(instance.parley({"room", "add", "team", "dora", "emil"}).code == 0);
  CHECK(instance.parley({"send", "emil", "hi", "--as", "dora"}).out == "stored 1\n");
  Person emil = instance.person("emil");
  emil.listen({"inbox/+"});
  CHECK(instance.parley({"send", "team", "hello", "--as", "dora"}).out == "stored 1\n");
  CHECK(emil.expect_text("inbox/team") == "dora: hello");
}

TEST_CASE("cli: who was unknown a moment ago is found when he exists, and a new member hears") {
  Instance instance{"alice", "bob"};
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  CHECK(alice.send("dora", "hi") == "refused USER_NOT_FOUND");
  REQUIRE(instance.parley({"user", "add", "dora"}).code == 0);
  CHECK(alice.send("dora", "hi") == "stored 1");
  REQUIRE(instance.parley({"room", "add", "team", "alice"}).code == 0);
  Person bob = instance.person("bob");
  bob.listen({"ack/+", "inbox/team"});
  CHECK(alice.send("team", "alone").starts_with("stored "));
  CHECK(bob.send("team", "me too") == "refused NOT_MEMBER");
  REQUIRE(instance.parley({"room", "add", "team", "bob"}).code == 0);
  eventually("bob may write", [&] { return bob.send("team", "now").starts_with("stored "); });
  CHECK(alice.send("team", "hello bob").starts_with("stored "));
  bob.mqtt.expect_that("the message to bob",
                       [](const Publication& p) { return p.payload == "alice: hello bob"; });
}

TEST_CASE("cli: a name is given once") {
  Instance instance{"alice"};
  instance.room("ops", {"alice"});
  CHECK(instance.parley({"user", "add", "ops"}).code == failed);
  CHECK(instance.parley({"room", "add", "alice", "alice"}).code != 0);
  CHECK(instance.parley({"user", "add", "Alice"}).code == usage);
  CHECK(instance.parley({"user", "add", "_service"}).code == usage);
  const Ran list = instance.parley({"user", "list"});
  CHECK(list.code == 0);
  CHECK(list.out.find("alice\tactive") != std::string::npos);
}

TEST_CASE("cli: its tokens are good, and verify says for whom") {
  Instance instance{"alice", "bob"};
  const std::string token = without_newline(instance.parley({"token", "alice"}).out);
  CHECK(token.size() == 68);
  ConnectOptions options = instance.login("alice");
  options.password = token;
  CHECK(instance.try_login(options) == 0);
  const Ran good = instance.parley({"token", "verify", token});
  CHECK(good.code == 0);
  CHECK(good.out.find("alice") != std::string::npos);
  CHECK(good.out.find("send,receive,manage") != std::string::npos);
  CHECK(instance.parley({"token", "verify", token, "--user", "bob"}).code == refused);
  CHECK(instance.parley({"token", "verify", token.substr(1)}).code == refused);
  const auto past = static_cast<std::uint32_t>(std::time(nullptr) - 5);
  CHECK(instance.parley({"token", "verify", instance.token("alice", {.expires_at = past})}).code ==
        refused);

  const std::string bound = without_newline(
      instance
          .parley({"token", "alice", "--device", "phone", "--scope", "send", "--expires", "30d"})
          .out);
  CHECK(instance.parley({"token", "verify", bound, "--device", "phone"}).code == 0);
  CHECK(instance.parley({"token", "verify", bound}).code == refused);
  options.password = bound;
  CHECK(instance.try_login(options) == 5);
  options.client_id = "alice.phone";
  CHECK(instance.try_login(options) == 0);
}

TEST_CASE("cli: migrate can be run again, and brings an empty database up to date") {
  Instance instance{"alice"};
  CHECK(instance.parley({"migrate"}).code == 0);
  const std::string uri = Postgres::shared().create_empty_database();
  const TemporaryFolder folder;
  write_file(folder.file("c.toml"),
             "[broker]\nkey_file = \"keys\"\n[database]\nuri = \"" + uri + "\"\n");
  const auto parley = [&](const std::vector<std::string>& arguments) {
    Command command{.argv = {PARLEY_CLI}, .env = {{"PARLEY_CONFIG", folder.file("c.toml")}}};
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    return run(command);
  };
  CHECK(parley({"user", "list"}).code != 0);
  CHECK(parley({"migrate"}).code == 0);
  CHECK(parley({"migrate"}).code == 0);
  CHECK(parley({"user", "list"}).code == 0);
  Postgres::shared().drop_database(uri);
}
