// The lines of the protocol's page, run by a shell as they stand there.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

const std::string tokens =
    "export T=$(parley token alice) B=$(parley token bob) S=$(parley token srv1)"
    " K=$(parley token backup) P=$(parley token pump7)\n";

/// A shell in which mosquitto's programs find the broker by themselves.
class Shell {
 public:
  explicit Shell(Instance& instance) : instance_{instance} {
    const std::string where = with_number("-h 127.0.0.1\n-p ", instance.port()) + "\n";
    for (const char* tool : {"mosquitto_pub", "mosquitto_sub", "mosquitto_rr"}) {
      write_file(folder_.file(tool), where);
    }
  }
  [[nodiscard]] Command command(const std::string& script) const {
    const char* path = std::getenv("PATH");
    const std::string tools = std::filesystem::path(PARLEY_CLI).parent_path().string();
    return Command{.argv = {"sh", "-e", "-c", tokens + script},
                   .env = {{"XDG_CONFIG_HOME", folder_.path()},
                           {"HOME", folder_.path()},
                           {"PARLEY_CONFIG", instance_.config_path()},
                           {"PATH", tools + ":" + (path == nullptr ? "/usr/bin" : path)}},
                   .folder = folder_.path()};
  }
  /// @throw std::runtime_error unless it ends with 0
  std::string run(const std::string& script) const {
    const Ran ran = parley::test::run(command(script));
    if (ran.code != 0) throw std::runtime_error(script + ": " + ran.out + ran.err);
    return ran.out;
  }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }

 private:
  Instance& instance_;
  TemporaryFolder folder_;
};

struct World {
  Instance instance{"alice", "bob", "srv1", "backup", "pump7", "carol"};
  Shell shell{instance};
};

std::vector<std::string> texts(const std::vector<Row>& rows) {
  std::vector<std::string> all;
  for (const Row& row : rows) all.push_back(row[1]);
  return all;
}

}  // namespace

TEST_CASE("shell_lines: mosquitto_pub sends, mosquitto_sub prints topic and text") {
  World world;
  Process sub{
      world.shell.command("exec mosquitto_sub -u bob -P $B -q 1 -t 'im/u/bob/inbox/+' -F '%t %p'")};
  world.shell.run("mosquitto_pub -u alice -P $T -q 1 -t im/u/alice/send/bob -m \"hi\"");
  CHECK(sub.wait_lines(1)[0] == "im/u/bob/inbox/alice hi");
  CHECK(texts(world.instance.stored_direct("alice", "bob")) == std::vector<std::string>{"hi"});
}

TEST_CASE("shell_lines: tail -F piped into mosquitto_pub -l brings every line into a room") {
  World world;
  world.instance.room("ops", {"srv1", "bob"});
  const std::string log = world.shell.folder().file("app.log");
  write_file(log, "");
  Person bob = world.instance.person("bob");
  bob.listen({"inbox/+"});
  // Both end with the shell's process group.
  Process line{world.shell.command(
      "tail -F app.log | mosquitto_pub -u srv1 -P $S -q 1 -l -t im/u/srv1/send/ops")};
  // tail shows no more than the last lines of what was there before it.
  eventually("tail follows the log", [&] {
    append_file(log, "hello\n");
    return !bob.mqtt.drain().empty();
  });
  append_file(log, "begin\n");
  while (bob.expect_text("inbox/ops") != "srv1: begin") continue;
  for (int i = 1; i <= 100; ++i) append_file(log, with_number("line ", i) + "\n");
  for (int i = 1; i <= 100; ++i) {
    REQUIRE(bob.expect_text("inbox/ops") == with_number("srv1: line ", i));
  }
  CHECK(line.running());
}

TEST_CASE("shell_lines: a cron job that runs twice is stored once") {
  World world;
  world.instance.room("ops", {"backup", "bob"});
  const std::string line =
      "mosquitto_pub -u backup -P $K -q 1 -t im/u/backup/send/ops/nightly-2026-11-21 -m \"backup "
      "ok\"";
  world.shell.run(line);
  world.shell.run(line);
  world.instance.settle();
  CHECK(world.instance.stored_room("ops") == std::vector<Row>{{"1", "backup ok"}});
}

TEST_CASE("shell_lines: mosquitto_rr prints what became of the message") {
  World world;
  world.shell.run("mosquitto_pub -u alice -P $T -q 1 -t im/u/alice/send/bob -m \"hi\"");
  const std::string line =
      "mosquitto_rr -V 5 -u alice -P $T -q 1 -t im/u/alice/send/bob -e im/u/alice/rr/1 -m hi -W 5";
  CHECK(world.shell.run(line) == "stored 2\n");
  CHECK(world.shell.run(line) == "stored 3\n");
}

TEST_CASE("shell_lines: mosquitto_rr asks for the history") {
  World world;
  world.shell.run(
      "for text in one two three; do\n"
      "mosquitto_pub -u alice -P $T -q 1 -t im/u/alice/send/bob -m $text; done");
  world.instance.settle();
  const Json reply = Json::parse(world.shell.run(
      "mosquitto_rr -V 5 -u alice -P $T -q 1 -t im/u/alice/do.json/history -e im/u/alice/rr/2 -m "
      "'{\"conv\":\"bob\",\"limit\":20}' -W 5"));
  CHECK(reply["ok"] == true);
  const Json& messages = reply["result"]["messages"];
  REQUIRE(messages.size() == 3);
  CHECK(messages[0]["text"] == "one");
  CHECK(messages[2]["text"] == "three");
  CHECK(messages[2]["seq"] == 3);
  CHECK(reply["result"]["has_more"] == false);
}

TEST_CASE("shell_lines: a named device gets JSON, also what came while it was away") {
  World world;
  const std::string line =
      "exec mosquitto_sub -u bob -P $B -i bob.phone -c -q 1 -t 'im/u/bob/inbox.json/#' -t "
      "'im/u/bob/event.json/#'";
  {
    Process sub{world.shell.command(line)};
    world.shell.run("mosquitto_pub -u alice -P $T -q 1 -t im/u/alice/send/bob -m first");
    CHECK(Json::parse(sub.wait_lines(1)[0])["text"] == "first");
    sub.signal(15);
    sub.wait();
  }
  world.shell.run("mosquitto_pub -u alice -P $T -q 1 -t im/u/alice/send/bob -m second");
  world.instance.settle();
  Process sub{world.shell.command(line)};
  eventually("the missed message comes", [&] {
    for (const std::string& printed : lines_of(sub.out())) {
      if (Json::parse(printed)["text"] == "second") return true;
    }
    return false;
  });
}

TEST_CASE("shell_lines: mosquitto_pub marks a conversation as read") {
  World world;
  world.shell.run(
      "for text in one two; do\n"
      "mosquitto_pub -u alice -P $T -q 1 -t im/u/alice/send/bob -m $text; done");
  world.instance.settle();
  world.shell.run("mosquitto_pub -u bob -P $B -q 1 -t im/u/bob/read/alice -m 2");
  eventually("the cursor is stored", [&] {
    return world.instance.database().number(
               "SELECT count(*) FROM members m JOIN users u USING (user_id)"
               " WHERE u.name = 'bob' AND m.read_seq = 2 AND m.got_seq = 2") == 1;
  });
}

TEST_CASE("shell_lines: a message with ttl is gone from storage, inbox and history in time") {
  World world;
  // As on the page, but for the time.
  world.shell.run(
      "mosquitto_pub -V 5 -u alice -P $T -q 1 -t im/u/alice/send/bob -m \"pin 4711\" -D publish "
      "user-property ttl 2");
  world.instance.settle();
  CHECK(texts(world.instance.stored_direct("alice", "bob")) ==
        std::vector<std::string>{"pin 4711"});
  eventually(
      "it is gone from storage",
      [&] {
        return world.instance.database().number(
                   "SELECT count(*) FROM messages WHERE body LIKE '%4711%'"
                   " OR position('4711'::bytea IN coalesce(extra, '')) > 0") == 0;
      },
      Deadline{slowed(Milliseconds{20'000})});
  Person bob = world.instance.person("bob");
  bob.listen({"inbox.json/+", "re.json/+"});
  bob.publish("do.json/history/h1", R"({"conv":"alice"})");
  const std::string history = bob.expect_text("re.json/h1");
  CHECK(history.find("4711") == std::string::npos);
  for (const Publication& publication : bob.mqtt.drain()) {
    CHECK(publication.payload.find("4711") == std::string::npos);
  }
}

TEST_CASE("shell_lines: a pump that dies says so in the room") {
  World world;
  world.instance.room("ops", {"pump7", "bob"});
  Person bob = world.instance.person("bob");
  bob.listen({"inbox/+"});
  Process sub{world.shell.command(
      "exec mosquitto_sub -u pump7 -P $P --will-topic im/u/pump7/will/ops --will-payload \"pump7 "
      "died\" --will-qos 1 -t im/u/pump7/inbox/+")};
  Person alice = world.instance.person("alice");
  alice.publish("send/pump7", "are you there");
  CHECK(sub.wait_lines(1)[0] == "are you there");
  sub.kill();
  CHECK(bob.expect_text("inbox/ops") == "pump7: pump7 died");
  CHECK(world.instance.stored_room("ops") == std::vector<Row>{{"1", "pump7 died"}});
}
