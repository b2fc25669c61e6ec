// The command line's requests: what a person or a script asks as a user.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

// `parley --help` lists them.
constexpr int failed = 1;
constexpr int usage = 2;
constexpr int refused = 3;

/// `parley`, run as somebody.
struct As {
  Instance& instance;
  std::string name;

  Ran operator()(std::vector<std::string> arguments, const std::string& input = {}) const {
    arguments.insert(arguments.end(), {"--as", name});
    return instance.parley(arguments, input);
  }
};

/// What it printed, if it ended well.
std::string good(const Ran& ran) {
  return ran.code == 0 ? ran.out : "ended with " + std::to_string(ran.code) + ": " + ran.err;
}

std::string refusal(const Ran& ran) {
  CHECK(ran.code == refused);
  return ran.out;
}

struct Cast {
  Instance instance{"alice", "bob", "carol"};
  As alice{instance, "alice"};
  As bob{instance, "bob"};
};

}  // namespace

TEST_CASE("cli request: a room's life, by its members") {
  Cast cast;
  const auto& [instance, alice, bob] = cast;
  CHECK(good(alice({"room", "create", "ops", "--title", "Operations"})).find("title\tOperations") !=
        std::string::npos);
  CHECK(good(alice({"room", "create", "ops", "--title", "Operations"})).find("role\towner") !=
        std::string::npos);
  CHECK(good(alice({"room", "add", "ops", "bob"})) == "bob\tdone\n");
  CHECK(good(alice({"room", "invite", "ops", "carol"})) == "carol\tdone\n");
  CHECK(good(As{cast.instance, "carol"}({"room", "join", "ops"})) == "done\n");
  CHECK(good(alice({"room", "get", "ops"})) == "alice\towner\nbob\tmember\ncarol\tmember\n");
  CHECK(good(alice({"room", "find", "bob", "carol"})) == "ops\towner\t3\tOperations\n");
  CHECK(good(alice({"room", "role", "ops", "bob", "admin"})) == "done\n");
  CHECK(good(bob({"room", "kick", "ops", "carol"})) == "carol\tdone\n");
  CHECK(good(bob({"room", "set", "ops", "--title", "Nights", "--join", "open"})) == "done\n");
  CHECK(good(bob({"room", "list"})) == "ops\tadmin\t2\tNights\n");
  CHECK(good(bob({"room", "leave", "ops"})) == "done\n");
  CHECK(good(bob({"room", "list"})).empty());
  CHECK(refusal(bob({"room", "get", "ops"})) == "refused NOT_MEMBER\n");
}

TEST_CASE("cli request: without --as rooms are the operator's") {
  Cast cast;
  auto& instance = cast.instance;
  CHECK(good(instance.parley({"room", "add", "ops", "alice"})) == "ops: created with alice\n");
  CHECK(refusal(cast.bob({"room", "add", "ops", "bob"})) == "refused NOT_MEMBER\n");
  CHECK(cast.alice({"room", "add", "ops", "bob", "--title", "x"}).code == usage);
  CHECK(good(cast.bob({"room", "list"})).empty());
  CHECK(good(instance.parley({"room", "list"})).starts_with("ops\t1\t"));
  CHECK(good(instance.parley({"room", "add", "ops", "bob"})) == "ops: exists, added bob\n");
  CHECK(instance.parley({"room", "create", "team"}).code == usage);
}

TEST_CASE("cli request: what was refused in part does not look like success") {
  Cast cast;
  REQUIRE(cast.alice({"room", "create", "ops"}).code == 0);
  const Ran ran = cast.alice({"room", "add", "ops", "bob", "nobody"});
  CHECK(ran.code == refused);
  CHECK(ran.out == "bob\tdone\nnobody\trefused USER_NOT_FOUND\n");
  CHECK(ran.err.find("nobody") != std::string::npos);
}

TEST_CASE("cli request: read, unread, who and sync say how things are") {
  Cast cast;
  const auto& [instance, alice, bob] = cast;
  for (const char* const text : {"one", "two", "three"}) {
    REQUIRE(alice({"send", "bob", text}).code == 0);
  }
  CHECK(good(bob({"unread"})) == "3\n");
  CHECK(good(bob({"read", "alice", "2"})) == "read 2\n");
  CHECK(good(bob({"unread", "alice"})) == "1\n");
  CHECK(good(bob({"unread", "carol"})) == "0\n");
  CHECK(refusal(bob({"unread", "nobody"})) == "refused USER_NOT_FOUND\n");
  CHECK(good(alice({"who", "bob", "2"})) == "bob\tread\n");
  CHECK(good(alice({"who", "bob", "3"})) == "bob\tpending\n");
  CHECK(good(bob({"read", "alice"})) == "read 3\n");
  CHECK(good(bob({"read", "alice", "1"})) == "read 1\n");
  CHECK(good(bob({"unread"})) == "0\n");
  CHECK(good(bob({"read", "carol"})) == "read 0\n");
  CHECK(refusal(bob({"read", "nobody"})) == "refused USER_NOT_FOUND\n");
  const std::string line = good(bob({"sync"}));
  CHECK(line.starts_with("alice\t0\t3\t20"));
  CHECK(line.ends_with("\tthree\n"));
  CHECK(Json::parse(good(bob({"sync", "--json"})))["conversations"][0]["last"]["seq"] == 3);
}

TEST_CASE("cli request: who is there, as far as one may know") {
  Cast cast;
  const auto& [instance, alice, bob] = cast;
  REQUIRE(alice({"room", "create", "ops", "bob", "carol"}).code == 0);
  Person listening = cast.instance.person("bob");
  listening.listen({"inbox/+"});
  REQUIRE(As{cast.instance, "carol"}({"me", "set", "--last-seen-to", "nobody"}).code == 0);
  eventually("bob is there", [&, &a = alice] {
    return good(a({"who", "ops"})) == "bob\tonline\ncarol\t-\n";
  });
  CHECK(good(alice({"who"})).empty());
  REQUIRE(alice({"contact", "request", "bob"}).code == 0);
  REQUIRE(bob({"contact", "accept", "alice"}).code == 0);
  CHECK(good(alice({"who"})) == "bob\tonline\n");
  CHECK(good(alice({"who", "bob"})) == "bob\tonline\n");
  CHECK(Json::parse(good(alice({"who", "bob", "--json"})))["online"] == true);
}

TEST_CASE("cli request: messages are edited, deleted, reacted to and pinned") {
  Cast cast;
  const auto& [instance, alice, bob] = cast;
  REQUIRE(alice({"send", "bob", "good morning"}).code == 0);
  REQUIRE(alice({"send", "bob", "wrong"}).code == 0);
  CHECK(good(alice({"edit", "bob", "1", "good evening", "--mention", "bob"})) == "done\n");
  CHECK(good(alice({"delete", "bob", "2"})) == "done\n");
  CHECK(good(bob({"react", "alice", "1", "+1"})) == "done\n");
  CHECK(good(bob({"react", "alice", "1", "+1", "--remove"})) == "done\n");
  CHECK(good(bob({"pin", "alice", "1"})) == "done\n");
  CHECK(good(bob({"pin", "alice", "1", "--remove"})) == "done\n");
  const auto lines = lines_of(good(bob({"history", "alice"})));
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].ends_with("alice: good evening"));
  CHECK(lines[1].ends_with("alice: (deleted)"));
  CHECK(refusal(bob({"edit", "alice", "1", "mine"})) == "refused FORBIDDEN\n");
  CHECK(refusal(bob({"react", "alice", "7", "+1"})) == "refused NOT_FOUND\n");
  CHECK(bob({"delete", "alice", "one"}).code == usage);
  CHECK(bob({"delete", "alice", "99999999999"}).code == usage);
}

TEST_CASE("cli request: conversations are muted and put away") {
  Cast cast;
  const auto& alice = cast.alice;
  REQUIRE(alice({"send", "bob", "hi"}).code == 0);
  const auto standing = [&] {
    return Json::parse(good(alice({"sync", "--json"})))["conversations"][0];
  };
  CHECK(good(alice({"mute", "bob", "8h"})) == "done\n");
  CHECK(good(alice({"archive", "bob"})) == "done\n");
  CHECK(standing().contains("muted_until"));
  CHECK(standing()["archived"] == true);
  CHECK(good(alice({"mute", "bob", "forever"})) == "done\n");
  CHECK(standing()["muted_until"] == "9999-12-31T00:00:00.000Z");
  CHECK(good(alice({"mute", "bob", "off"})) == "done\n");
  CHECK(good(alice({"archive", "bob", "--off"})) == "done\n");
  CHECK(!standing().contains("muted_until"));
  CHECK(standing()["archived"] == false);
  CHECK(alice({"mute", "bob", "a while"}).code == usage);
}

TEST_CASE("cli request: contacts, blocks and one's profile") {
  Cast cast;
  const auto& [instance, alice, bob] = cast;
  CHECK(good(alice({"contact", "request", "bob"})) == "done\n");
  CHECK(good(bob({"contact", "list"})) == "alice\tasked_me\n");
  CHECK(good(bob({"contact", "decline", "alice"})) == "done\n");
  REQUIRE(alice({"contact", "request", "bob"}).code == 0);
  REQUIRE(bob({"contact", "accept", "alice"}).code == 0);
  CHECK(good(alice({"contact", "list"})) == "bob\tfriend\n");
  CHECK(good(alice({"contact", "remove", "bob"})) == "done\n");
  CHECK(good(bob({"block", "alice"})) == "done\n");
  CHECK(good(bob({"blocked"})) == "alice\n");
  CHECK(refusal(alice({"send", "bob", "hi"})) == "refused BLOCKED\n");
  CHECK(good(bob({"unblock", "alice"})) == "done\n");
  CHECK(good(alice({"send", "bob", "hi"})) == "stored 1\n");
  CHECK(good(alice({"me", "set", "--display-name", "Alice A.", "--searchable", "false"})) ==
        "display_name\tAlice A.\nabout\t-\nwrite_to_me\teveryone\nadd_to_rooms\teveryone\n"
        "last_seen_to\teveryone\nsearchable\tfalse\n");
  CHECK(good(bob({"user", "search", "alice"})) == "alice\tAlice A.\n");
  CHECK(Json::parse(good(alice({"me", "get", "--json"})))["display_name"] == "Alice A.");
  CHECK(alice({"me", "set", "--searchable", "perhaps"}).code == usage);
  CHECK(alice({"me", "erase", "bob"}).code == usage);
  Person phone = cast.instance.device("alice", "phone");
  phone.listen({"inbox/+"});
  cast.instance.settle();
  CHECK(good(alice({"device", "list"})).starts_with("phone\t"));
}

TEST_CASE("cli request: do asks anything, and says what came") {
  Cast cast;
  const auto& alice = cast.alice;
  CHECK(Json::parse(good(alice({"do", "room.create", R"({"room":"ops"})"})))["room"]["role"] ==
        "owner");
  CHECK(good(alice({"do", "contact.list"})) == "{\"contacts\":[]}\n");
  const Ran unknown = alice({"do", "fly.away"});
  CHECK(unknown.code == refused);
  const Json reply = Json::parse(unknown.out);
  CHECK(reply["ok"] == false);
  CHECK(reply["code"] == "UNKNOWN_METHOD");
  CHECK(unknown.err.find("UNKNOWN_METHOD: ") != std::string::npos);
  CHECK(alice({"do", "room.get", "[]"}).code == usage);
  CHECK(alice({"do", "room/get"}).code == usage);
  CHECK(cast.instance.parley({"do", "room.list"}).code == usage);
  CHECK(As{cast.instance, "nobody"}({"do", "room.list"}).code == failed);
}

TEST_CASE("cli request: a token's scope is what it allows") {
  Cast cast;
  const std::string token = cast.instance.token("alice", {.scope = parley::scope::send});
  CHECK(refusal(cast.alice({"room", "list", "--token", token})) == "refused FORBIDDEN\n");
  CHECK(cast.alice({"unread", "--token", token}).code == refused);
}

TEST_CASE("cli request: every command explains itself with an example, and Tab knows it") {
  Instance instance;
  const std::string script = instance.parley({"completion", "bash"}).out;
  for (const std::string path : {"read",
                                 "unread",
                                 "who",
                                 "search",
                                 "mentions",
                                 "edit",
                                 "delete",
                                 "react",
                                 "pin",
                                 "mute",
                                 "archive",
                                 "sync",
                                 "block",
                                 "unblock",
                                 "blocked",
                                 "do",
                                 "room create",
                                 "room add",
                                 "room invite",
                                 "room join",
                                 "room leave",
                                 "room kick",
                                 "room role",
                                 "room set",
                                 "room get",
                                 "room list",
                                 "room find",
                                 "contact request",
                                 "contact accept",
                                 "contact decline",
                                 "contact remove",
                                 "contact list",
                                 "me get",
                                 "me set",
                                 "me export",
                                 "me erase",
                                 "device list",
                                 "device remove",
                                 "token issue",
                                 "token revoke-all",
                                 "user search"}) {
    CAPTURE(path);
    std::vector<std::string> arguments;
    const auto space = path.find(' ');
    arguments.push_back(path.substr(0, space));
    if (space != path.npos) arguments.push_back(path.substr(space + 1));
    arguments.emplace_back("--help");
    const Ran ran = instance.parley(arguments);
    CHECK(ran.code == 0);
    CHECK(ran.out.find("  parley " + path) != std::string::npos);
    CHECK(script.find("\"" + path + "\") words=") != std::string::npos);
  }
}
