// The state topics: a start screen from one SUBSCRIBE, kept true from then on.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::ordered_json;

namespace {

/// Takes what comes on a topic until it is this.
/// @return how many came
int until(Person& person, const std::string& rest, const std::string& payload) {
  const Deadline deadline;
  for (int count = 1;; ++count) {
    if (person.expect_text(rest, deadline) == payload) return count;
  }
}

/// Takes what comes of a conversation until this value stands at `pointer` ("/last/text").
Json conv_until(Person& person, const std::string& conv, const std::string& pointer,
                const Json& value) {
  const Deadline deadline;
  const Json::json_pointer at{pointer};
  while (true) {
    Json state = Json::parse(person.expect_text("state/conv/" + conv, deadline));
    if (state.contains(at) && state[at] == value) return state;
  }
}

/// The state topics that come when these filters are subscribed in one packet, and nothing more.
std::map<std::string, std::string> shown(Person& person, const std::vector<std::string>& rests) {
  person.mqtt.drain();
  std::vector<std::string> filters;
  for (const auto& rest : rests) filters.push_back(person.topic(rest));
  for (const int code : person.mqtt.subscribe(filters)) REQUIRE(code == 1);
  // What is asked for later is told later, and one always sees oneself.
  const std::string me = person.topic("").substr(5, person.topic("").size() - 6);
  const std::string last = person.topic("state/presence/" + me);
  person.mqtt.subscribe(last);
  std::map<std::string, std::string> told;
  const Deadline deadline;
  while (!told.contains("presence/" + me)) {
    const auto one = person.mqtt.expect(person.topic("state/#"), deadline);
    told[one.topic.substr(person.topic("state/").size())] = one.payload;
  }
  for (const auto& one : person.mqtt.drain()) {
    if (one.topic.starts_with(person.topic("state/"))) {
      told[one.topic.substr(person.topic("state/").size())] = one.payload;
    }
  }
  person.mqtt.unsubscribe(last);
  return told;
}

std::string topics_of(const std::map<std::string, std::string>& told) {
  std::string out;
  for (const auto& [topic, payload] : told) out += (out.empty() ? "" : " ") + topic;
  return out;
}

std::size_t state_count(Person& person) {
  std::size_t count = 0;
  for (const auto& one : person.mqtt.drain())
    count += one.topic.starts_with(person.topic("state/"));
  return count;
}

/// alice and carol have written to bob, who listens to answers only; bob and carol are in room ops.
struct Screen {
  explicit Screen(const std::string& config = "")
      : instance{{"alice", "bob", "carol", "dave"}, {.config = config}},
        alice{instance.person("alice")},
        carol{instance.person("carol")} {
    instance.room("ops", {"carol", "bob"});
    for (Person* person : {&alice, &carol}) {
      person->listen({"ack/+", "re.json/+", "inbox.json/+"});
    }
    CHECK(alice.send("bob", "hello") == "stored 1");
    CHECK(alice.send("bob", "bob?") == "stored 2");
    CHECK(carol.send("ops", "all well") == "stored 1");
  }
  /// Answers only: whatever is unread stays so.
  Person bob(bool five = false) {
    Person bob = five ? instance.person5("bob") : instance.person("bob");
    bob.listen({"ack/+", "re.json/+"});
    return bob;
  }
  std::string recount() {
    return instance.database().value(
        "SELECT COALESCE(sum(unread), 0) FROM unread_of((SELECT user_id FROM users WHERE name = "
        "'bob'))");
  }
  Instance instance;
  Person alice, carol;
};

/// The total is told, is what a recount says, and is the sum of the conversations'.
void expect_total(Screen& screen, Person& bob, const std::string& total) {
  until(bob, "state/unread", total);
  CHECK(screen.recount() == total);
  auto seen = shown(bob, {"state/#"});
  CHECK(seen["unread"] == total);
  std::int64_t sum = 0;
  for (const auto& [topic, payload] : seen) {
    if (topic.starts_with("conv/")) sum += Json::parse(payload)["unread"].get<std::int64_t>();
  }
  CHECK(std::to_string(sum) == total);
}

}  // namespace

TEST_CASE("state: a start screen from one SUBSCRIBE, in both versions of MQTT") {
  Screen screen;
  for (const bool five : {false, true}) {
    CAPTURE(five);
    Person bob = screen.bob(five);
    auto seen = shown(bob, {"state/#"});
    CHECK(topics_of(seen) ==
          "conv/alice conv/ops presence/alice presence/bob presence/carol unread");
    CHECK(seen["unread"] == "3");
    const Json last = Json::parse(seen["conv/alice"])["last"];
    CHECK(seen["conv/alice"] ==
          R"({"seq":2,"read_seq":0,"unread":2,"last":{"from":"alice","text":"bob?","time":")" +
              last["time"].get<std::string>() + R"("},"muted":false})");
    CHECK(last["time"].get<std::string>().size() == std::string{"2026-11-21T23:01:02.120Z"}.size());
    CHECK(Json::parse(seen["conv/ops"])["last"]["from"] == "carol");
    CHECK(Json::parse(seen["conv/ops"])["last"]["text"] == "all well");
    CHECK(seen["presence/alice"] == "online");
    CHECK(seen["presence/bob"] == "offline 0");
  }
}

TEST_CASE("state: each form of filter brings what it matches") {
  Screen screen;
  const std::string all = "conv/alice conv/ops presence/alice presence/bob presence/carol unread";
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"#", all},
      {"+", "presence/bob unread"},
      {"unread", "presence/bob unread"},
      {"conv/+", "conv/alice conv/ops presence/bob"},
      {"conv/#", "conv/alice conv/ops presence/bob"},
      {"conv/ops", "conv/ops presence/bob"},
      {"conv/alice", "conv/alice presence/bob"},
      {"conv/dave", "presence/bob"},
      {"presence/+", "presence/alice presence/bob presence/carol"},
      {"presence/carol", "presence/bob presence/carol"},
      {"presence/dave", "presence/bob"},  // nothing to do with bob
      {"+/alice", "conv/alice presence/alice presence/bob"},
      {"+/#", all}};
  for (const auto& [filter, topics] : rows) {
    CAPTURE(filter);
    Person bob = screen.bob();
    CHECK(topics_of(shown(bob, {"state/" + filter})) == topics);
  }
  Person bob = screen.bob();
  CHECK(topics_of(shown(bob, {"state/unread", "state/conv/ops", "state/presence/alice"})) ==
        "conv/ops presence/alice presence/bob unread");
}

TEST_CASE("state: goes to those who subscribed it, by a filter of its own") {
  Screen screen;
  Person everything = screen.instance.person("bob");
  everything.listen({"#"});
  Person other = screen.bob();
  other.listen({"state/presence/alice"});
  other.expect("state/presence/alice");
  Person bob = screen.bob();
  bob.listen({"state/unread"});
  until(bob, "state/unread", "3");
  CHECK(screen.alice.send("bob", "more") == "stored 3");
  until(bob, "state/unread", "4");
  CHECK(everything.expect_text("inbox/alice") == "hello");
  CHECK(state_count(everything) == 0);
  CHECK(state_count(other) == 0);
  bob.mqtt.unsubscribe(bob.topic("state/unread"));
  other.listen({"state/unread"});
  until(other, "state/unread", "4");
  CHECK(screen.alice.send("bob", "still") == "stored 4");
  until(other, "state/unread", "5");
  CHECK(state_count(bob) == 0);
}

TEST_CASE("state: subscribed again it is told again, and only what was subscribed") {
  Screen screen;
  Person bob = screen.bob();
  bob.listen({"state/unread"});
  until(bob, "state/unread", "3");
  bob.listen({"state/unread"});
  CHECK(bob.expect_text("state/unread") == "3");
  CHECK(topics_of(shown(bob, {"state/conv/ops"})) == "conv/ops presence/bob");
}

TEST_CASE("state: a session that is resumed is told again") {
  Screen screen;
  Person phone = screen.instance.device("bob", "phone");
  phone.listen({"state/unread"});
  until(phone, "state/unread", "3");
  phone.mqtt.disconnect();
  CHECK(screen.alice.send("bob", "while away") == "stored 3");
  Person again = screen.instance.device("bob", "phone");
  CHECK(again.mqtt.session_present());
  until(again, "state/unread", "4");
}

TEST_CASE("state: changes are told at most once a second, and the last one always") {
  Screen screen;
  Person bob = screen.bob();
  bob.listen({"state/unread", "state/conv/alice"});
  until(bob, "state/unread", "3");
  bob.expect("state/conv/alice");
  const auto began = std::chrono::steady_clock::now();
  const Deadline enough{Milliseconds{3'300}};
  int sent = 0;
  while (!enough.passed()) {
    ++sent;
    REQUIRE(screen.alice.send("bob", "x") == with_number("stored ", sent + 2));
  }
  const int told = until(bob, "state/unread", std::to_string(sent + 3));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  CHECK(sent > 10);
  CHECK(told >= 3);
  CHECK(told <= took.count() + 1);
  CHECK(conv_until(bob, "alice", "/seq", sent + 2)["unread"] == sent + 2);
  CHECK(state_count(bob) <= 5);
}

TEST_CASE("state: the total is the sum, whatever happens to what is unread") {
  Screen screen;
  Person bob = screen.bob();
  bob.listen({"state/#"});
  until(bob, "state/unread", "3");
  SUBCASE("it is read") {
    bob.publish("read/alice", "1");
    expect_total(screen, bob, "2");
    bob.publish("read/alice", "2");
    bob.publish("read/ops", "1");
    expect_total(screen, bob, "0");
  }
  SUBCASE("it is answered by a session that holds an inbox") {
    Person reader = screen.instance.person("bob");
    reader.listen({"ack/+", "inbox/+"});
    CHECK(reader.send("alice", "yes") == "stored 3");
    expect_total(screen, bob, "1");
    const auto seen = shown(bob, {"state/conv/alice"});
    const Json state = Json::parse(seen.at("conv/alice"));
    CHECK(state["read_seq"] == 3);
    CHECK(state["last"]["from"] == "bob");
  }
  SUBCASE("it is deleted, edited") {
    done(ask(screen.alice, "msg.edit", {{"conv", "bob"}, {"seq", 2}, {"text", "Bob!"}}));
    conv_until(bob, "alice", "/last/text", "Bob!");
    CHECK(screen.recount() == "3");
    done(ask(screen.alice, "msg.delete", {{"conv", "bob"}, {"seq", 2}}));
    expect_total(screen, bob, "2");
    const Json state = Json::parse(shown(bob, {"state/conv/alice"}).at("conv/alice"));
    CHECK(state["seq"] == 2);
    CHECK(state["last"]["text"] == "hello");  // the newest one that is still there
    done(ask(screen.alice, "msg.delete", {{"conv", "bob"}, {"seq", 1}}));
    expect_total(screen, bob, "1");
    CHECK(Json::parse(shown(bob, {"state/conv/alice"}).at("conv/alice"))["last"] == nullptr);
  }
  SUBCASE("it expires") {
    screen.alice.publish("send.json/bob/e1", R"({"text":"soon gone","ttl_s":2})");
    CHECK(screen.alice.expect_text("ack/e1") == "stored 3");
    until(bob, "state/unread", "4");
    conv_until(bob, "alice", "/seq", 3);
    expect_total(screen, bob, "3");
    CHECK(Json::parse(shown(bob, {"state/conv/alice"}).at("conv/alice"))["last"]["text"] == "bob?");
  }
  SUBCASE("who said it erases himself") {
    done(ask(screen.alice, "me.erase", {{"confirm", "alice"}}));
    CHECK(conv_until(bob, "alice", "/last", nullptr)["unread"] == 0);
    expect_total(screen, bob, "1");
    done(ask(screen.carol, "me.erase", {{"confirm", "carol"}}));
    CHECK(conv_until(bob, "ops", "/last/text", "* carol left")["unread"] == 0);
    expect_total(screen, bob, "0");
  }
  SUBCASE("the room is left") {
    done(ask(bob, "room.leave", {{"room", "ops"}}));
    expect_total(screen, bob, "2");
    CHECK(topics_of(shown(bob, {"state/conv/+"})) == "conv/alice presence/bob");
  }
  SUBCASE("the system says something") {
    done(ask(screen.carol, "room.add", {{"room", "ops"}, {"users", {"dave"}}}));
    CHECK(conv_until(bob, "ops", "/seq", 2)["last"]["text"] == "* carol added dave");
    CHECK(screen.recount() == "3");
  }
}

TEST_CASE("state: muted, until it is not any more") {
  Screen screen;
  Person bob = screen.bob();
  bob.listen({"state/conv/+"});
  bob.expect("state/conv/alice");
  done(ask(bob, "conv.mute", {{"conv", "alice"}, {"muted_until", "2090-01-01T00:00:00.000Z"}}));
  CHECK(conv_until(bob, "alice", "/muted", true)["unread"] == 2);
  const auto soon = screen.instance.database().value(
      R"(SELECT json_time(clock_timestamp() + interval '2 seconds'))");
  done(ask(bob, "conv.mute", {{"conv", "alice"}, {"muted_until", soon}}));
  conv_until(bob, "alice", "/muted", false);  // by itself
  CHECK(screen.instance.database().number("SELECT (clock_timestamp() >= '" + soon + "')::int") ==
        1);
}

TEST_CASE("state: conversations that begin") {
  Screen screen;
  Person bob = screen.bob();
  bob.listen({"state/#"});
  until(bob, "state/unread", "3");
  Person dave = screen.instance.person("dave");
  dave.listen({"ack/+", "re.json/+"});
  CHECK(dave.send("bob", "I am new") == "stored 1");
  CHECK(conv_until(bob, "dave", "/seq", 1)["last"]["text"] == "I am new");
  CHECK(bob.expect_text("state/presence/dave") == "offline 0");
  done(ask(dave, "room.create", {{"room", "club"}, {"members", {"bob"}}}));
  const Json club = conv_until(bob, "club", "/seq", 0);
  CHECK(club["last"] == nullptr);
  CHECK(club["unread"] == 0);
}

TEST_CASE("state: of very many conversations the newest, at a pace that the broker can keep") {
  Instance instance{"bob"};
  instance.database().query(R"sql(
    WITH made AS (
      INSERT INTO conversations (conversation_id, kind, name, member_count, created_at)
      SELECT nextval('conversation_ids'), 'room', 'r' || n, 1, now() - interval '1 day' + n * interval '1 s'
      FROM generate_series(1, 1500) AS n RETURNING conversation_id, name),
    n AS (INSERT INTO names (name, kind, id) SELECT name, 'room', conversation_id FROM made),
    h AS (INSERT INTO conversation_heads (conversation_id) SELECT conversation_id FROM made),
    me AS (SELECT user_id FROM users WHERE name = 'bob'),
    m AS (INSERT INTO members (conversation_id, user_id) SELECT conversation_id, user_id FROM made, me),
    p AS (INSERT INTO membership_periods (conversation_id, user_id, joined_seq, since_seq)
          SELECT conversation_id, user_id, 0, 0 FROM made, me)
    INSERT INTO user_conversations (user_id, conversation_id) SELECT user_id, conversation_id FROM made, me)sql");
  Person bob = instance.person("bob");
  bob.listen({"ack/+", "state/#"});
  CHECK(bob.expect_text("state/unread") == "0");
  for (int i = 1500; i > 1000; --i) {
    REQUIRE(bob.expect("state/conv/+").topic == bob.topic("state/conv/r" + std::to_string(i)));
  }
  CHECK(state_count(bob) == 0);
  // An older one is told of when something happens there.
  CHECK(bob.send("r1", "hi") == "stored 1");
  CHECK(Json::parse(bob.expect_text("state/conv/r1"))["last"]["text"] == "hi");
}

TEST_CASE("state: a worker that starts again tells what has changed meanwhile") {
  Screen screen;
  Person bob = screen.bob();
  bob.listen({"state/unread"});
  until(bob, "state/unread", "3");
  screen.instance.kill_worker();
  screen.alice.publish("send/bob/w1", "stored later");
  screen.instance.start_worker();
  until(bob, "state/unread", "4");
}

TEST_CASE("state: a connection to the database that is lost loses no change") {
  Screen screen;
  Person bob = screen.bob();
  bob.listen({"state/unread", "state/conv/alice"});
  until(bob, "state/unread", "3");
  int ended = 0;
  const Deadline enough{Milliseconds{2'500}};
  int sent = 0;
  while (!enough.passed()) {
    ++sent;
    REQUIRE(screen.alice.send("bob", "x") == with_number("stored ", sent + 2));
    ended += static_cast<int>(screen.instance.database().number(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'parley state'"));
  }
  CHECK(ended > 0);
  until(bob, "state/unread", std::to_string(sent + 3));
  CHECK(conv_until(bob, "alice", "/seq", sent + 2)["unread"] == sent + 2);
}

TEST_CASE("state: comes also while messages are held back until they are confirmed") {
  Screen screen{"[delivery]\nunconfirmed_max = 10\n"};
  Person phone = screen.instance.device("bob", "phone");
  phone.publish("got/alice", "0");
  phone.listen({"inbox.json/+", "state/unread"});
  until(phone, "state/unread", "3");
  for (int i = 3; i <= 40; ++i) {
    REQUIRE(screen.alice.send("bob", "x") == with_number("stored ", i));
  }
  until(phone, "state/unread", "41");
  std::size_t messages = 0;
  for (const auto& one : phone.mqtt.drain()) {
    messages += one.topic.starts_with(phone.topic("inbox.json/"));
  }
  CHECK(messages < 41);
  // What is held back then is not held back with it.
  CHECK(screen.alice.send("bob", "y") == "stored 41");
  until(phone, "state/unread", "42");
}

TEST_CASE("presence: online, offline; a short absence is not seen") {
  const auto grace = slowed(Milliseconds{1'500}).count();
  Screen screen{with_number("[presence]\ngrace_ms = ", static_cast<int>(grace)) + "\n"};
  Person bob = screen.bob();
  bob.listen({"state/presence/+"});
  until(bob, "state/presence/alice", "online");
  const auto came_back = [&] {
    screen.alice.mqtt.drop();
    screen.alice = screen.instance.person("alice");
    screen.alice.listen({"ack/+", "re.json/+", "inbox.json/+"});
  };
  came_back();
  came_back();
  // Somebody else's change comes after all that would have been seen of hers.
  screen.carol.mqtt.disconnect();
  const std::string gone = bob.expect_text("state/presence/carol");
  const std::string later = gone == "online" ? bob.expect_text("state/presence/carol") : gone;
  REQUIRE(later.starts_with("offline "));
  const auto seen_s = std::stoll(later.substr(8));
  const auto now_s =
      screen.instance.database().number("SELECT extract(epoch FROM clock_timestamp())::bigint");
  CHECK(seen_s <= now_s - 1);
  CHECK(seen_s >= now_s - 30);
  for (const auto& one : bob.mqtt.drain()) {
    CHECK(one.topic != bob.topic("state/presence/alice"));
  }
  screen.carol = screen.instance.person("carol");
  screen.carol.listen({"inbox.json/+"});
  CHECK(bob.expect_text("state/presence/carol") == "online");
}

TEST_CASE("presence: only those see it who may") {
  Screen screen{"[presence]\ngrace_ms = 300\n"};
  done(ask(screen.alice, "me.set", {{"last_seen_to", "nobody"}}));
  done(ask(screen.carol, "me.set", {{"last_seen_to", "contacts"}}));
  Person bob = screen.bob();
  CHECK(topics_of(shown(bob, {"state/presence/#"})) == "presence/bob");
  // A contact sees it from then on.
  done(ask(bob, "contact.request", {{"user", "carol"}}));
  done(ask(screen.carol, "contact.accept", {{"user", "bob"}}));
  CHECK(bob.expect_text("state/presence/carol") == "online");
  screen.alice.mqtt.disconnect();
  screen.carol.mqtt.disconnect();
  CHECK(bob.expect_text("state/presence/carol").starts_with("offline "));
  screen.alice = screen.instance.person("alice");
  screen.alice.listen({"re.json/+"});
  bob.mqtt.ping();
  for (const auto& one : bob.mqtt.drain()) CHECK(one.topic != bob.topic("state/presence/alice"));
  // She lets everybody see it: it comes without being asked for again.
  done(ask(screen.alice, "me.set", {{"last_seen_to", "everyone"}}));
  CHECK(bob.expect_text("state/presence/alice").starts_with("offline "));
  done(ask(screen.alice, "block.add", {{"user", "bob"}}));
  screen.alice.listen({"inbox.json/+"});
  Person watcher = screen.bob();
  CHECK(topics_of(shown(watcher, {"state/presence/+"})) == "presence/bob presence/carol");
}

TEST_CASE("presence: contacts who listen to events are told, in both forms") {
  Screen screen{"[presence]\ngrace_ms = 300\n"};
  Person bob = screen.bob();
  done(ask(bob, "contact.request", {{"user", "alice"}}));
  done(ask(screen.alice, "contact.accept", {{"user", "bob"}}));
  bob.listen({"event.json/+", "event.pb/+"});
  screen.carol.listen({"event.json/+"});
  screen.alice.mqtt.disconnect();
  const auto event = [&](bool online) {
    while (true) {
      const Json told = Json::parse(bob.expect_text("event.json/-"));
      if (!told.contains("presence")) continue;
      if (told["presence"]["online"] == online) return told;
    }
  };
  const Json left = event(false);
  CHECK(left["conv"] == "-");
  CHECK(left["presence"]["user"] == "alice");
  CHECK(left["presence"]["last_seen"].get<std::string>().ends_with("Z"));
  CHECK(left["time"].get<std::string>().size() == 24);
  screen.alice = screen.instance.person("alice");
  screen.alice.listen({"inbox.json/+"});
  const Json came = event(true);
  CHECK(came["presence"]["user"] == "alice");
  CHECK_FALSE(came["presence"].contains("last_seen"));
  CHECK(bob.expect_text("event.pb/-").find("alice") != std::string::npos);
  // Carol has to do with neither of them as a contact.
  for (const auto& one : screen.carol.mqtt.drain()) {
    CHECK(one.topic != screen.carol.topic("event.json/-"));
  }
}
