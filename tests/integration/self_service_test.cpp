// What one does with one's own devices and tokens.
#include <doctest/doctest.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "core/token.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;
namespace scope = parley::scope;

namespace {

constexpr int refused_v3 = 5;

/// alice, on a connection of no device, and bob.
struct Account {
  Account()
      : instance{"alice", "bob"}, alice{instance.person("alice")}, bob{instance.person("bob")} {
    for (Person* person : {&alice, &bob}) person->listen({"re.json/+", "re.pb/+", "ack/+"});
  }
  int login(const std::string& name, const std::string& token) {
    auto options = instance.login(name);
    options.password = token;
    return instance.try_login(options);
  }
  int login_device(const std::string& name, const std::string& device, const std::string& token) {
    auto options = instance.device_login(name, device);
    options.password = token;
    return instance.try_login(options);
  }
  Person as(const std::string& name, const TokenOptions& token) {
    auto options =
        token.device.empty() ? instance.login(name) : instance.device_login(name, token.device);
    options.password = instance.token(name, token);
    Person person = instance.connected(name, options);
    person.listen({"re.json/+"});
    return person;
  }
  Instance instance;
  Person alice, bob;
};

Json issue(Person& person, const Json& request) {
  return done(ask(person, "token.issue", request));
}

}  // namespace

TEST_CASE("device.remove: ends its sessions and its tokens, and it begins anew") {
  Account account;
  auto& [instance, alice, bob] = account;
  Person phone = instance.device("alice", "phone");
  phone.listen({"inbox/+"});
  const std::string bound = instance.token("alice", {.device = "phone"});
  CHECK(bob.send("alice", "one") == "stored 1");
  CHECK(phone.expect_text("inbox/bob") == "one");
  phone.publish("got/bob", "1");
  const auto devices = [&] { return done(ask(alice, "device.list", Json::object()))["devices"]; };
  eventually("it confirms", [&] { return !devices().empty() && devices()[0]["confirms"] == true; });
  Person tablet = instance.device("alice", "tablet");
  tablet.listen({"inbox/+"});
  done(ask(alice, "device.remove", {{"device", "phone"}}));
  CHECK(phone.mqtt.wait_closed());
  CHECK(tablet.mqtt.ping());
  CHECK(account.login_device("alice", "phone", bound) == refused_v3);
  CHECK(instance.database().number("SELECT count(*) FROM device_marks WHERE device = 'phone'") ==
        0);
  done(ask(alice, "device.remove", {{"device", "phone"}}));
  // The ordinary token makes a new one of that name, which confirms nothing yet.
  Person again = instance.device("alice", "phone");
  again.listen({"inbox/+"});
  CHECK(bob.send("alice", "two") == "stored 2");
  CHECK(again.expect_text("inbox/bob") == "two");
  eventually("it is there", [&] { return devices().size() == 2; });
  CHECK(devices()[0]["device"] == "phone");
  CHECK(devices()[0]["confirms"] == false);
  CHECK(account.login_device("alice", "phone", bound) == refused_v3);
  again.mqtt.disconnect();
  // The command line's tokens go on from the same generation.
  std::string fresh = instance.parley({"token", "alice", "--device", "phone"}).out;
  fresh.pop_back();
  CHECK(account.login_device("alice", "phone", fresh) == 0);
}

TEST_CASE("device.remove: the device that asks hears that it is done; others are as they were") {
  Account account;
  auto& alice = account.alice;
  Person phone = account.instance.device("alice", "phone");
  phone.listen({"inbox/+", "re.json/+"});
  eventually("it is known", [&] {
    return done(ask(alice, "device.list", Json::object()))["devices"].size() == 1;
  });
  CHECK(refused(ask(alice, "device.remove", {{"device", "no name"}})) == "NOT_FOUND");
  CHECK(done(ask(account.bob, "device.remove", {{"device", "phone"}})) == Json::object());
  CHECK(phone.mqtt.ping());
  CHECK(done(ask(phone, "device.remove", {{"device", "phone"}})) == Json::object());
  CHECK(phone.mqtt.wait_closed());
  CHECK(done(ask(alice, "device.list", Json::object()))["devices"].empty());
  Person reader = account.as("alice", {.scope = scope::send | scope::receive});
  CHECK(refused(ask(reader, "device.remove", {{"device", "phone"}})) == "FORBIDDEN");
}

TEST_CASE("device.remove: ends sessions of which nothing is kept, and keeps a bounded list") {
  Account account;
  auto& [instance, alice, bob] = account;
  Person phone = instance.device("alice", "phone");
  phone.listen({"re.json/+"});
  CHECK(done(ask(phone, "device.list", Json::object()))["devices"].empty());
  done(ask(alice, "device.remove", {{"device", "phone"}}));
  CHECK(phone.mqtt.wait_closed());
  instance.database().query(
      "INSERT INTO removed_devices SELECT user_id, 'x' || n, 1 FROM users, generate_series(1, 999) "
      "n"
      " WHERE name = 'alice'");
  CHECK(refused(ask(alice, "device.remove", {{"device", "tablet"}})) == "TOO_LARGE");
  done(ask(alice, "device.remove", {{"device", "x7"}}));
  CHECK(done(ask(bob, "device.remove", {{"device", "tablet"}})) == Json::object());
}

TEST_CASE("device.remove: also while the worker that told the plugin is gone") {
  Account account;
  auto& instance = account.instance;
  Person phone = instance.device("alice", "phone");
  phone.listen({"inbox/+"});
  eventually("it is known",
             [&] { return instance.database().number("SELECT count(*) FROM devices") == 1; });
  // What a worker that dies between its COMMIT and telling leaves behind.
  instance.kill_worker();
  instance.database().query(
      "SELECT do_device_remove(ROW(user_id, name, '', 7, 1, 1, now(), '{}')::asker, 0, "
      "'{\"device\":\"phone\"}')"
      " FROM users WHERE name = 'alice'");
  instance.start_worker();
  CHECK(phone.mqtt.wait_closed());
  Person again = instance.device("alice", "phone");
  CHECK(again.mqtt.ping());
}

TEST_CASE("token.issue: a good token with what was asked for") {
  Account account;
  auto& [instance, alice, bob] = account;
  const Json plain = issue(alice, {{"scope", {"send", "receive"}}});
  CHECK_FALSE(plain.contains("expires_time"));
  CHECK(account.login("alice", plain["token"]) == 0);
  CHECK(account.login("bob", plain["token"]) == refused_v3);
  auto claims = parley::read_claims(plain["token"].get<std::string>());
  REQUIRE(claims);
  CHECK(claims->scope == (scope::send | scope::receive));
  const auto now = std::time(nullptr);
  const Json bound =
      issue(alice, {{"scope", {"send"}}, {"expires_in_s", 3'600}, {"device", "pump"}});
  CHECK(bound["expires_time"].get<std::string>().size() == 24);
  claims = parley::read_claims(bound["token"].get<std::string>());
  CHECK(claims->expires_at >= now + 3'600);
  CHECK(claims->expires_at <= now + 3'700);
  CHECK(account.login("alice", bound["token"]) == refused_v3);
  CHECK(account.login_device("alice", "pump", bound["token"]) == 0);
  // It may be taken back before the device was ever there to be listed.
  done(ask(alice, "device.remove", {{"device", "pump"}}));
  eventually("it is void",
             [&] { return account.login_device("alice", "pump", bound["token"]) == refused_v3; });
  alice.publish("do.pb/token.issue/p", "\x0a\x04send\x10\x3c");
  CHECK(alice.expect_text("re.pb/p").size() > parley::token_text_bytes);
  CHECK(instance.worker().log().find(plain["token"].get<std::string>()) == std::string::npos);
}

TEST_CASE("token.issue: nobody gives more than he has") {
  Account account;
  auto& alice = account.alice;
  CHECK(refused(ask(alice, "token.issue", {{"scope", Json::array()}})) == "BAD_PAYLOAD");
  CHECK(refused(ask(alice, "token.issue", {{"scope", {"fly"}}})) == "BAD_PAYLOAD");
  CHECK(refused(ask(alice, "token.issue", {{"scope", {"admin"}}})) == "FORBIDDEN");
  CHECK(refused(ask(alice, "token.issue", {{"scope", {"service"}}})) == "FORBIDDEN");
  CHECK(refused(ask(alice, "token.issue", {{"scope", {"send"}}, {"device", "a b"}})) == "BAD_NAME");
  Person manager = account.as("alice", {.scope = scope::manage | scope::receive});
  CHECK(refused(ask(manager, "token.issue", {{"scope", {"send"}}})) == "FORBIDDEN");
  Person reader = account.as("alice", {.scope = scope::send | scope::receive});
  CHECK(refused(ask(reader, "token.issue", {{"scope", {"send"}}})) == "FORBIDDEN");
  // Nor for longer…
  const auto soon = static_cast<std::uint32_t>(std::time(nullptr) + 600);
  Person guest = account.as("alice", {.expires_at = soon});
  for (const Json& more : {Json::object(), Json{{"expires_in_s", 4'000'000'000U}}}) {
    Json request{{"scope", {"send"}}};
    request.update(more);
    CHECK(parley::read_claims(issue(guest, request)["token"].get<std::string>())->expires_at ==
          soon);
  }
  CHECK(parley::read_claims(
            issue(guest, {{"scope", {"send"}}, {"expires_in_s", 60}})["token"].get<std::string>())
            ->expires_at < soon);
  // … nor for other devices.
  Person phone = account.as("alice", {.device = "phone"});
  CHECK(refused(ask(phone, "token.issue", {{"scope", {"send"}}})) == "FORBIDDEN");
  CHECK(refused(ask(phone, "token.issue", {{"scope", {"send"}}, {"device", "tv"}})) == "FORBIDDEN");
  CHECK(issue(phone, {{"scope", {"send"}}, {"device", "phone"}}).contains("token"));
}

TEST_CASE("token.revoke_all: the answer still comes, then all of the user's connections end") {
  Account account;
  auto& [instance, alice, bob] = account;
  Person phone = instance.device("alice", "phone");
  const Json tv = issue(alice, {{"scope", {"send"}}, {"device", "tv"}});
  const std::string old_token = instance.token("alice");
  CHECK(done(ask(alice, "token.revoke_all", Json::object())) == Json::object());
  CHECK(alice.mqtt.wait_closed());
  CHECK(phone.mqtt.wait_closed());
  CHECK(account.login("alice", old_token) == refused_v3);
  CHECK(account.login_device("alice", "tv", tv["token"]) == refused_v3);
  CHECK(bob.mqtt.ping());
  std::string fresh = instance.parley({"token", "alice"}).out;
  fresh.pop_back();
  CHECK(account.login("alice", fresh) == 0);
}

TEST_CASE("token.issue: nothing for a token that is void, though its session is still there") {
  Account account;
  auto& [instance, alice, bob] = account;
  Person phone = instance.device("alice", "phone");
  Person tablet = instance.device("alice", "tablet");
  for (Person* person : {&phone, &tablet}) person->listen({"re.json/+"});
  const Json wanted{{"scope", {"send"}}};
  issue(phone, wanted);
  auto& database = instance.database();
  // Revoked, and nobody has told the plugin yet.
  database.query("SELECT revoke_device(user_id, 'phone') FROM users WHERE name = 'alice'");
  CHECK(refused(ask(phone, "token.issue", wanted)) == "FORBIDDEN");
  issue(tablet, wanted);
  database.query("SELECT revoke_tokens(user_id) FROM users WHERE name = 'alice'");
  CHECK(refused(ask(alice, "token.issue", wanted)) == "FORBIDDEN");
  CHECK(refused(ask(tablet, "token.issue", wanted)) == "FORBIDDEN");
  issue(bob, wanted);
}

TEST_CASE("token.revoke_all: others who go on revoking do not put it off") {
  Account account;
  auto& [instance, alice, bob] = account;
  const std::string old_token = instance.token("alice");
  CHECK(done(ask(alice, "token.revoke_all", Json::object())) == Json::object());
  eventually("it is void", [&] {
    done(ask(bob, "device.remove", {{"device", "phone"}}));
    return account.login("alice", old_token) == refused_v3;
  });
}

TEST_CASE("requests: nothing is read for a user who is shut out") {
  Account account;
  auto& [instance, alice, bob] = account;
  CHECK(bob.send("alice", "hello") == "stored 1");
  // The plugin has not heard of it yet.
  instance.database().query("UPDATE users SET disabled_at = now() WHERE name = 'alice'");
  CHECK(refused(ask(alice, "history", {{"conv", "bob"}})) == "FORBIDDEN");
  CHECK(refused(ask(alice, "search", {{"query", "hello"}})) == "FORBIDDEN");
  CHECK(refused(ask(alice, "mentions", Json::object())) == "FORBIDDEN");
  CHECK(refused(ask(alice, "me.export", Json::object())) == "FORBIDDEN");
  auto& database = instance.database();
  database.query(
      "INSERT INTO devices (user_id, device) SELECT user_id, 'tv' FROM users WHERE name = 'alice'");
  database.query(
      "SELECT place_device(user_id, 'tv', '{bob}', '{1}') FROM users WHERE name = 'alice'");
  CHECK(database.number("SELECT count(*) FROM devices") == 0);
  CHECK(database.number("SELECT count(*) FROM device_marks") == 0);
}

namespace {

/// All lines of an export, with every page checked.
std::vector<Json> exported(Person& person) {
  static int count = 0;
  const std::string id = "x" + std::to_string(++count);
  person.publish("do.json/me.export/" + id, "{}");
  std::vector<Json> lines;
  for (bool more = true; more;) {
    const std::string payload = person.expect_text("re.json/" + id);
    CHECK(payload.size() <= 128 * 1024);
    const Json page = done(Json::parse(payload));
    for (const auto& line : page["lines"]) lines.push_back(Json::parse(line.get<std::string>()));
    more = page["more"];
  }
  return lines;
}

std::vector<Json> of(const std::string& kind, const std::vector<Json>& lines) {
  std::vector<Json> found;
  for (const auto& line : lines) {
    if (line.contains(kind)) found.push_back(line[kind]);
  }
  return found;
}

}  // namespace

TEST_CASE("me.export: everything about me, in pages, and nothing of others") {
  Account account;
  auto& [instance, alice, bob] = account;
  instance.user("carol");
  instance.room("ops", {"alice", "bob"});
  instance.room("other", {"bob", "carol"});
  done(ask(alice, "me.set", {{"display_name", "Alice A."}}));
  done(ask(alice, "contact.request", {{"user", "bob"}}));
  done(ask(alice, "block.add", {{"user", "carol"}}));
  CHECK(bob.send("other", "not for alice") == "stored 1");
  CHECK(bob.send("alice", "hello") == "stored 1");
  alice.publish("send.json/bob/m2", R"({"text":"see","attachments":[{"name":"plan.pdf"}]})");
  CHECK(alice.expect_text("ack/m2") == "stored 2");
  done(ask(alice, "msg.react", {{"conv", "bob"}, {"seq", 1}, {"emoji", "+1"}}));
  const std::string big(30'000, '"');  // as JSON in JSON four times as long
  for (int i = 1; i <= 30; ++i) CHECK(bob.send("ops", big) == "stored " + std::to_string(i));
  instance.user("dave");
  Person dave = instance.person("dave");
  dave.listen({"re.json/+"});
  done(ask(dave, "block.add", {{"user", "alice"}}));
  CHECK(alice.send("dave", "hear me") == "refused BLOCKED");
  const auto lines = exported(alice);
  for (const Json& one : of("conversation", lines)) {
    CHECK(one.contains("role") == (one["conv"] == "ops"));
  }
  CHECK(of("profile", lines)[0]["display_name"] == "Alice A.");
  CHECK(of("contact", lines)[0] == Json::parse(R"({"user":"bob","state":"requested"})"));
  CHECK(of("block", lines)[0]["user"] == "carol");
  CHECK(of("conversation", lines).size() == 2);
  CHECK(of("reaction", lines)[0] == Json::parse(R"({"conv":"bob","seq":1,"emoji":"+1"})"));
  const auto messages = of("message", lines);
  REQUIRE(messages.size() == 32);
  for (const auto& message : messages) CHECK(message["text"] != "not for alice");
  CHECK(lines.back() == Json{{"end", {{"lines", lines.size()}}}});
  // Stable: the same again, but for when she was last there.
  auto again = exported(alice);
  CHECK(of("message", again) == messages);
  alice.publish("do.pb/me.export/p", "");
  CHECK(alice.expect_text("re.pb/p").find("Alice A.") != std::string::npos);
}

TEST_CASE("me.export: one at a time, and not on when nobody hears it") {
  Account account;
  auto& [instance, alice, bob] = account;
  // As JSON in JSON seven times as long, so a page each: all of it takes over half a minute.
  const std::string big(18'000, '\x01');
  for (int i = 0; i < 700; ++i) {
    bob.mqtt.publish_soon({.topic = bob.topic("send/alice"), .payload = big, .qos = 1});
  }
  CHECK(bob.mqtt.await_answers());
  instance.settle();
  Person other = instance.person("alice");
  other.listen({"re.json/+"});
  alice.publish("do.json/me.export/one", "{}");
  CHECK(done(Json::parse(alice.expect_text("re.json/one")))["more"] == true);
  CHECK(refused(ask(alice, "me.export", Json::object())) == "BUSY");
  alice.mqtt.disconnect();
  other.mqtt.disconnect();
  eventually(
      "another one may begin",
      [&] {
        // Nobody of hers is there for a moment.
        for (int i = 0; i < 3; ++i) instance.settle();
        Person now_here = instance.person("alice");
        now_here.listen({"re.json/+"});
        return ask(now_here, "me.export", Json::object())["ok"] == true;
      },
      Deadline{slowed(Milliseconds{8'000})});
  Person reader = account.as("alice", {.scope = scope::send | scope::receive});
  CHECK(refused(ask(reader, "me.export", Json::object())) == "FORBIDDEN");
}

TEST_CASE("me.export: what the database refuses is answered once, and another one may begin") {
  Account account;
  auto& [instance, alice, bob] = account;
  instance.database().query("ALTER FUNCTION export_people RENAME TO export_nobody");
  CHECK(refused(ask(alice, "me.export", Json::object())) == "UNAVAILABLE");
  CHECK(refused(ask(alice, "me.export", Json::object())) == "UNAVAILABLE");
  instance.database().query("ALTER FUNCTION export_nobody RENAME TO export_people");
  CHECK(exported(alice).size() > 1);
}

TEST_CASE("me.erase: one room that cannot be left stops nobody else") {
  Account account;
  auto& [instance, alice, bob] = account;
  for (const auto* room : {"a-room", "b-room", "c-room"}) instance.room(room, {"alice", "bob"});
  auto& database = instance.database();
  database.query(
      "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      " IF name_of(OLD.user_id) = 'alice' AND OLD.conversation_id ="
      " (SELECT id FROM names WHERE name = 'a-room') THEN RAISE 'stay'; END IF; RETURN OLD; END "
      "$$");
  database.query(
      "CREATE TRIGGER stay BEFORE DELETE ON members FOR EACH ROW EXECUTE FUNCTION stay()");
  CHECK(alice.send("bob", "secret") == "stored 1");
  CHECK(done(ask(alice, "me.erase", {{"confirm", "alice"}})) == Json::object());
  CHECK(done(ask(bob, "me.erase", {{"confirm", "bob"}})) == Json::object());
  eventually("bob is erased", [&] {
    return database.number("SELECT count(*) FROM erasures WHERE name = 'bob'") == 0;
  });
  CHECK(database.number("SELECT count(*) FROM erasures WHERE failed_room > 0") == 1);
  database.query("DROP TRIGGER stay ON members");
  database.query("UPDATE erasures SET next_at = now()");
  eventually("alice is erased, too",
             [&] { return database.number("SELECT count(*) FROM erasures") == 0; });
  CHECK(database.number("SELECT count(*) FROM messages WHERE body = 'secret'") == 0);
}

TEST_CASE("me.erase: the contents go, the places stay, and the rooms have an owner") {
  Account account;
  auto& [instance, alice, bob] = account;
  instance.user("carol");
  Person carol = instance.person("carol");
  carol.listen({"re.json/+", "ack/+", "inbox/+", "event.json/+"});
  done(ask(alice, "room.create", {{"room", "ops"}, {"members", {"bob", "carol"}}}));
  done(ask(alice, "room.role", {{"room", "ops"}, {"user", "carol"}, {"role", "admin"}}));
  CHECK(alice.send("ops", "secret one") == "stored 2");
  CHECK(bob.send("ops", "not hers") == "stored 3");
  CHECK(alice.send("bob", "secret two") == "stored 1");
  CHECK(bob.send("alice", "his answer") == "stored 2");
  done(ask(alice, "contact.request", {{"user", "bob"}}));
  done(ask(alice, "msg.react", {{"conv", "ops"}, {"seq", 3}, {"emoji", "+1"}}));
  done(ask(bob, "msg.react", {{"conv", "ops"}, {"seq", 2}, {"emoji", "+1"}}));
  CHECK(refused(ask(alice, "me.erase", Json::object())) == "BAD_PAYLOAD");
  CHECK(refused(ask(alice, "me.erase", {{"confirm", "bob"}})) == "BAD_PAYLOAD");
  const std::string token = instance.token("alice");
  CHECK(done(ask(alice, "me.erase", {{"confirm", "alice"}})) == Json::object());
  CHECK(alice.mqtt.wait_closed());
  CHECK(account.login("alice", token) == refused_v3);
  auto& database = instance.database();
  eventually("all of it is done",
             [&] { return database.number("SELECT count(*) FROM erasures") == 0; });
  CHECK(database.number("SELECT count(*) FROM messages WHERE body LIKE 'secret%'") == 0);
  CHECK(database.number("SELECT count(*) FROM search_documents WHERE words @@ 'secret'") == 0);
  CHECK(database.number("SELECT count(*) FROM reactions") == 0);
  CHECK(database.number("SELECT count(*) FROM contacts") == 0);
  const Json ops = done(ask(bob, "history", {{"conv", "ops"}}))["messages"];
  REQUIRE(ops.size() == 5);
  CHECK(ops[1]["deleted"] == true);
  CHECK(ops[2]["text"] == "not hers");
  CHECK(ops[3]["text"] == "alice made carol owner");
  CHECK(ops[4]["text"] == "alice left");
  const Json room = done(ask(carol, "room.get", {{"room", "ops"}}));
  CHECK(room["members"] ==
        Json::parse(R"([{"user":"bob","role":"member"},{"user":"carol","role":"owner"}])"));
  const Json direct = done(ask(bob, "history", {{"conv", "alice"}}))["messages"];
  REQUIRE(direct.size() == 2);
  CHECK(direct[0]["deleted"] == true);
  CHECK(direct[1]["text"] == "his answer");
  // Nobody is called so any more, and nobody will be.
  CHECK(bob.send("alice", "hello?") == "refused BLOCKED");
  CHECK(carol.send("alice", "hello?") == "refused USER_NOT_FOUND");
  CHECK(instance.parley({"user", "add", "alice"}).code != 0);
  CHECK(instance.parley({"user", "enable", "alice"}).code != 0);
  CHECK(refused(ask(bob, "room.create", {{"room", "alice"}})) == "NAME_TAKEN");
}

TEST_CASE("me.erase: goes on after the worker was killed") {
  Account account;
  auto& [instance, alice, bob] = account;
  for (int i = 0; i < 5'000; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic("send/bob"), .payload = "secret", .qos = 1});
  }
  CHECK(alice.mqtt.await_answers());
  instance.settle();
  instance.room("ops", {"alice"});
  auto& database = instance.database();
  // It gets as far as here, and not beyond.
  Database holder{instance.database_uri()};
  holder.query("BEGIN");
  holder.query("SELECT FROM messages WHERE body = 'secret' AND seq = 4500 FOR UPDATE");
  CHECK(done(ask(alice, "me.erase", {{"confirm", "alice"}})) == Json::object());
  const auto gone = [&] { return database.number("SELECT count(*) FROM messages WHERE deleted"); };
  eventually("a part of it is done", [&] { return gone() > 0; });
  instance.kill_worker();
  CHECK(gone() < 4'500);
  CHECK(database.number("SELECT count(*) FROM erasures") == 1);
  holder.query("ROLLBACK");
  instance.start_worker();
  eventually("all of it is done",
             [&] { return database.number("SELECT count(*) FROM erasures") == 0; });
  CHECK(database.number("SELECT count(*) FROM messages WHERE body = 'secret'") == 0);
  CHECK(database.number("SELECT count(*) FROM messages WHERE deleted") == 5'000);
  CHECK(database.number("SELECT count(*) FROM members JOIN conversations USING (conversation_id) "
                        "WHERE kind = 'room'") == 0);
}
