// `search` and `mentions`: what is found, who finds it, and that nothing is left out of the index.
#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

Json hits(Person& person, const Json& request) {
  return done(ask(person, "search", request))["hits"];
}
Json find(Person& person, const std::string& query) { return hits(person, {{"query", query}}); }

/// The index is filled beside the storing: waits until everything that is stored is in it.
void indexed(Instance& instance) {
  eventually("everything is indexed", [&] {
    return instance.database().number(
               "SELECT count(*) FROM conversation_heads h LEFT JOIN search_positions p USING "
               "(conversation_id)"
               " WHERE h.last_rev > COALESCE(p.rev, 0)") == 0;
  });
}

std::vector<std::string> texts(const Json& found) {
  std::vector<std::string> texts;
  for (const auto& hit : found) texts.push_back(hit["message"]["text"]);
  return texts;
}
using Texts = std::vector<std::string>;

struct Library {
  explicit Library(InstanceOptions options = {})
      : instance{{"alice", "bob", "carol"}, std::move(options)},
        alice{instance.person("alice")},
        bob{instance.person("bob")},
        carol{instance.person("carol")} {
    for (Person* person : {&alice, &bob, &carol}) {
      person->listen({"re.json/+", "re.pb/+", "ack/+", "ack.json/+"});
    }
    instance.room("ops", {"alice", "bob"});
  }
  Instance instance;
  Person alice, bob, carol;
};

}  // namespace

TEST_CASE("search: the newest first, whole messages, under the asker's names") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  CHECK(alice.send("bob", "The pump is leaking", "m1") == "stored 1");
  CHECK(bob.send("ops", "which PUMP?") == "stored 1");
  CHECK(bob.send("alice", "I come at nine") == "stored 2");
  indexed(instance);
  const Json found = find(alice, "pump");
  REQUIRE(texts(found) == Texts{"which PUMP?", "The pump is leaking"});
  CHECK(found[0]["conv"] == "ops");
  CHECK(found[0]["snippet"] == "which <<PUMP>>");
  CHECK(found[1]["conv"] == "bob");
  CHECK(found[1]["message"]["conv"] == "bob");
  CHECK(found[1]["message"]["from"] == "alice");
  CHECK(found[1]["message"]["seq"] == 1);
  CHECK(found[1]["message"]["id"] == "m1");
  CHECK(find(bob, "leaking")[0]["conv"] == "alice");
  CHECK(texts(hits(alice, {{"query", "pump"}, {"conv", "bob"}})) == Texts{"The pump is leaking"});
  CHECK(texts(hits(alice, {{"query", "pump"}, {"limit", 1}})) == Texts{"which PUMP?"});
  CHECK(texts(find(alice, "pump -leaking")) == Texts{"which PUMP?"});
  CHECK(texts(find(alice, "\"at nine\"")) == Texts{"I come at nine"});
  CHECK(find(alice, "!!!").empty());
  CHECK(find(carol, "pump").empty());
}

TEST_CASE("search: what it refuses") {
  Library library;
  auto& alice = library.alice;
  CHECK(refused(ask(alice, "search", {{"query", " "}})) == "BAD_PAYLOAD");
  CHECK(refused(ask(alice, "search", Json::object())) == "BAD_PAYLOAD");
  CHECK(refused(ask(alice, "search", {{"query", std::string(2'000, 'x')}})) == "TOO_LARGE");
  CHECK(refused(ask(alice, "search", {{"query", "x"}, {"conv", "nobody"}})) == "USER_NOT_FOUND");
  CHECK(refused(ask(alice, "search", {{"query", "x"}, {"conv", "No!"}})) == "USER_NOT_FOUND");
  CHECK(refused(ask(library.carol, "search", {{"query", "x"}, {"conv", "ops"}})) == "NOT_MEMBER");
  CHECK(hits(alice, {{"query", "x"}, {"conv", "carol"}}).empty());
  Person sensor{"alice", library.instance.connect([&] {
                  auto login = library.instance.login("alice");
                  login.password = library.instance.token("alice", {.scope = 1});
                  return login;
                }())};
  sensor.listen({"re.json/+"});
  CHECK(refused(ask(sensor, "search", {{"query", "x"}})) == "FORBIDDEN");
  CHECK(refused(ask(sensor, "mentions", Json::object())) == "FORBIDDEN");
}

TEST_CASE("search: edited, deleted, expired and left behind is not found") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  CHECK(alice.send("ops", "alpha first") == "stored 1");
  CHECK(alice.send("ops", "alpha second") == "stored 2");
  alice.publish("send.json/ops/short", R"({"text":"alpha third","ttl_s":3600})");
  CHECK(alice.expect_text("ack/short") == "stored 3");
  indexed(instance);
  CHECK(find(bob, "alpha").size() == 3);
  done(ask(alice, "msg.edit", {{"conv", "ops"}, {"seq", 1}, {"text", "beta first"}}));
  CHECK(find(bob, "alpha first").empty());  // at once
  done(ask(alice, "msg.delete", {{"conv", "ops"}, {"seq", 2}}));
  CHECK(instance.database().number(
            "SELECT count(*) FROM search_documents WHERE words @@ 'second'") == 0);
  instance.database().query("UPDATE messages SET expires_at = now() WHERE seq = 3");
  eventually("the third is gone", [&] { return find(bob, "alpha").empty(); });
  indexed(instance);
  CHECK(texts(find(bob, "beta")) == Texts{"beta first"});
  eventually("its words are gone, too", [&] {
    return instance.database().number(
               "SELECT count(*) FROM search_documents WHERE words @@ 'alpha'") == 0;
  });
  alice.publish("send.json/ops/soon", R"({"text":"gamma","ttl_s":5})");
  CHECK(alice.expect_text("ack/soon") == "stored 4");
  indexed(instance);
  CHECK(find(bob, "gamma").empty());  // it could go while it is being indexed
  done(ask(bob, "room.leave", {{"room", "ops"}}));
  CHECK(find(bob, "beta").empty());
  CHECK(refused(ask(bob, "search", {{"query", "beta"}, {"conv", "ops"}})) == "NOT_MEMBER");
}

TEST_CASE("search: a new member finds of the past what the room lets him see") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  done(ask(alice, "room.set", {{"room", "ops"}, {"history", "joined"}}));
  CHECK(alice.send("ops", "secret plan") == "stored 1");
  done(ask(alice, "room.add", {{"room", "ops"}, {"users", {"carol"}}}));
  CHECK(alice.send("ops", "public plan") == "stored 3");
  indexed(instance);
  CHECK(texts(find(carol, "plan")) == Texts{"public plan"});
  CHECK(find(alice, "plan").size() == 2);
  CHECK(find(alice, "added").empty());  // what the system says is not searched
}

TEST_CASE("mentions: of me, by time, also those that an edit brought") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  for (int i = 1; i <= 3; ++i) {
    alice.publish(
        "send.json/ops/m" + std::to_string(i),
        Json{{"text", "hey " + std::to_string(i)}, {"mentions", {"bob", "carol", "nobody"}}}
            .dump());
    CHECK(alice.expect_text("ack/m" + std::to_string(i)) == with_number("stored ", i));
  }
  CHECK(alice.send("bob", "just you") == "stored 1");
  done(ask(alice, "msg.edit",
           {{"conv", "bob"}, {"seq", 1}, {"text", "you"}, {"mentions", {"bob"}}}));
  indexed(instance);
  const auto mentioned = [&](Person& person, const Json& request) {
    return done(ask(person, "mentions", request))["messages"];
  };
  const Json all = mentioned(bob, Json::object());
  REQUIRE(all.size() == 4);
  CHECK(all[0]["text"] == "you");
  CHECK(all[0]["conv"] == "alice");
  CHECK(all[1]["text"] == "hey 3");
  CHECK(all[1]["conv"] == "ops");
  CHECK(all[1]["mentions"] == Json::parse(R"(["bob","carol","nobody"])"));
  // Page by page nothing is left out, also of one millisecond.
  Texts seen;
  Json request{{"limit", 1}};
  for (Json page = mentioned(bob, request); !page.empty(); page = mentioned(bob, request)) {
    for (const auto& message : page) seen.push_back(message["text"]);
    request["before"] = page.back()["time"];
  }
  CHECK(seen == Texts{"you", "hey 3", "hey 2", "hey 1"});
  CHECK(mentioned(carol, Json::object()).empty());  // she is not in there
  done(ask(alice, "msg.edit", {{"conv", "ops"}, {"seq", 2}, {"text", "hey"}}));
  done(ask(alice, "msg.delete", {{"conv", "ops"}, {"seq", 3}}));
  indexed(instance);
  CHECK(mentioned(bob, Json::object()).size() == 2);
  CHECK(refused(ask(bob, "mentions", {{"before", "yesterday"}})) == "BAD_PAYLOAD");
}

TEST_CASE("mentions: nobody who is not there is mentioned") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  alice.publish("send.json/ops/m", R"({"text":"hey","mentions":["bob","carol"]})");
  CHECK(alice.expect_text("ack/m") == "stored 1");
  indexed(instance);
  CHECK(instance.database().number("SELECT count(*) FROM mentions") == 1);
  CHECK(done(ask(bob, "mentions", Json::object()))["messages"].size() == 1);
  CHECK(done(ask(carol, "mentions", Json::object()))["messages"].empty());
}

TEST_CASE("search: the newest first, however old") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  auto& database = instance.database();
  Texts said;
  for (const auto* ago : {"400 days", "100 days", "20 days", "3 days", "5 hours", "1 minute"}) {
    const auto seq = std::to_string(said.size() + 1);
    said.insert(said.begin(), std::string{"word "} + ago);
    CHECK(alice.send("ops", said.front()) == "stored " + seq);
    indexed(instance);
    database.query("SELECT make_message_partitions((now() - interval '" + std::string{ago} +
                   "')::date, 2)");
    for (const auto* table : {"messages", "search_documents"}) {
      database.query("UPDATE " + std::string{table} + " SET created_at = now() - interval '" + ago +
                     "' WHERE seq = " + seq);
    }
  }
  database.query(
      "UPDATE search_documents d SET created_at = m.created_at FROM messages m"
      " WHERE m.conversation_id = d.conversation_id AND m.seq = d.seq");
  CHECK(texts(find(bob, "word")) == said);
  CHECK(texts(hits(bob, {{"query", "word"}, {"limit", 4}})) ==
        Texts(said.begin(), said.begin() + 4));
  CHECK(find(carol, "word").empty());
}

TEST_CASE("mentions: what is of one time comes on one page, also if it does not fit") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  const std::string big(60'000, 'x');
  for (int i = 1; i <= 7; ++i) {
    const auto id = "m" + std::to_string(i);
    alice.publish("send.json/ops/" + id, Json{{"text", big}, {"mentions", {"bob"}}}.dump());
    CHECK(alice.expect_text("ack/" + id) == with_number("stored ", i));
  }
  indexed(instance);
  // One alone, five together, one alone.
  for (const auto* change : {"messages SET received_at", "mentions SET said_at"}) {
    instance.database().query(std::string{"UPDATE "} + change +
                              " = timestamptz '2026-01-01' + (CASE WHEN seq IN (1, 7) THEN seq ELSE"
                              " 3 END) * interval '1 ms'");
  }
  std::vector<int> seen;
  std::vector<std::size_t> pages;
  Json request = Json::object();
  const auto next = [&] { return done(ask(bob, "mentions", request))["messages"]; };
  for (Json page = next(); !page.empty() && pages.size() < 9; page = next()) {
    for (const auto& message : page) seen.push_back(message["seq"]);
    pages.push_back(page.size());
    request["before"] = page.back()["time"];
  }
  CHECK(seen == std::vector<int>{7, 6, 5, 4, 3, 2, 1});
  CHECK(pages == std::vector<std::size_t>{1, 5, 1});
}

TEST_CASE("search: delays nothing else, and one user has not more than sixteen") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  auto& database = instance.database();
  CHECK(alice.send("bob", "pump") == "stored 1");
  CHECK(bob.send("ops", "pump") == "stored 1");
  indexed(instance);
  database.query("BEGIN");
  database.query("LOCK TABLE search_documents IN ACCESS EXCLUSIVE MODE");
  const auto id = [](int i) { return "s" + std::to_string(i); };
  for (int i = 1; i <= 17; ++i) {
    alice.publish("do.json/search/" + id(i), R"({"query":"pump"})");
  }
  CHECK(refused(Json::parse(alice.expect_text("re.json/s17"))) == "BUSY");
  bob.publish("do.json/search/his", R"({"query":"pump"})");
  CHECK(done(ask(alice, "me.get", Json::object())).is_object());
  database.query("COMMIT");
  // In the order in which they were asked.
  for (int i = 1; i <= 16; ++i) {
    const auto reply = alice.mqtt.expect(alice.topic("re.json/+"));
    CHECK(reply.topic == alice.topic("re.json/" + id(i)));
    CHECK(done(Json::parse(reply.payload))["hits"].size() == 2);
  }
  CHECK(done(Json::parse(bob.expect_text("re.json/his")))["hits"].size() == 2);
  CHECK(find(alice, "pump").size() == 2);
}

TEST_CASE("search, mentions: in protobuf") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  alice.publish(
      "send.json/bob/a",
      R"({"text":"see","mentions":["bob"],"attachments":[{"name":"plan.pdf","size":7}]})");
  CHECK(alice.expect_text("ack/a") == "stored 1");
  indexed(instance);
  bob.publish("do.pb/search/s", "\x0a\x03see");
  const std::string found = bob.expect_text("re.pb/s");
  CHECK(found.find("<<see>>") != std::string::npos);
  CHECK(found.find("plan.pdf") != std::string::npos);
  bob.publish("do.pb/mentions/m", "");
  CHECK(bob.expect_text("re.pb/m").find("plan.pdf") != std::string::npos);
  bob.publish("do.pb/search/n", "");
  CHECK(bob.expect_text("re.pb/n").find("BAD_PAYLOAD") != std::string::npos);
}

TEST_CASE("search: a worker that is killed again and again leaves nothing out") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  constexpr int count = 600;
  for (int i = 0; i < count; ++i) {
    alice.mqtt.publish_soon({.topic = alice.topic(i % 2 == 0 ? "send/bob" : "send/ops"),
                             .payload = "needle " + std::to_string(i),
                             .qos = 1});
    if (i % 200 == 100) {
      instance.worker().kill();
      instance.start_worker();
    }
  }
  CHECK(alice.mqtt.await_answers());
  instance.settle();
  indexed(instance);
  CHECK(instance.database().number(
            "SELECT count(*) FROM search_documents WHERE words @@ 'needle'") == count);
  CHECK(hits(alice, {{"query", "needle"}, {"limit", 1'000}}).size() == 100);
  CHECK(texts(find(bob, "needle 599")) == Texts{"needle 599"});
}

TEST_CASE(
    "search: another configuration indexes everything anew; one that there is not stops the "
    "worker") {
  Library library{{.config = "[search]\nconfiguration = \"english\"\n"}};
  auto& [instance, alice, bob, carol] = library;
  CHECK(alice.send("bob", "leaking pumps") == "stored 1");
  indexed(instance);
  CHECK(texts(find(bob, "leak pump")) == Texts{"leaking pumps"});
  instance.stop_worker();
  std::string config = read_file(instance.config_path());
  const auto set = [&](const std::string& from, const std::string& to) {
    config.replace(config.find(from), from.size(), to);
    write_file(instance.config_path(), config);
  };
  set("\"english\"", "\"klingon\"");
  instance.worker().start();
  CHECK(instance.worker().process().wait() == 1);
  CHECK(instance.worker().log().find("search_configuration") != std::string::npos);
  set("\"klingon\"", "\"simple\"");
  instance.start_worker();
  eventually("it is indexed anew", [&] {
    return instance.database().number(
               "SELECT count(*) FROM search_positions WHERE configuration = 'simple'") == 1;
  });
  CHECK(find(bob, "leak pump").empty());
  CHECK(texts(find(bob, "leaking pumps")) == Texts{"leaking pumps"});
}

TEST_CASE("search: goes by the index, however much there is") {
  Library library;
  auto& [instance, alice, bob, carol] = library;
  CHECK(alice.send("ops", "something rare") == "stored 1");
  indexed(instance);
  auto& database = instance.database();
  database.query(
      "INSERT INTO search_documents SELECT 1000 + n % 3000, 1 + n / 3000, now(),"
      " to_tsvector('simple', 'something ' || n) FROM generate_series(1, 60000) AS n");
  database.query("ANALYZE search_documents");
  database.query("SET plan_cache_mode = force_generic_plan");
  database.query("SET enable_seqscan = off");
  database.query(
      "PREPARE q (tsquery, bigint[]) AS SELECT conversation_id FROM search_documents d"
      " WHERE d.words @@ $1 AND ARRAY[d.conversation_id] && $2");
  const auto plan = database.query("EXPLAIN EXECUTE q ('something', '{1,2,3}')");
  std::string all;
  for (const auto& line : plan) all += line[0] + "\n";
  CAPTURE(all);
  const auto condition = all.find("Index Cond");
  REQUIRE(condition != std::string::npos);
  CHECK(all.find("&&", condition) != std::string::npos);
  CHECK(all.find("@@", condition) != std::string::npos);
  CHECK(all.find("search_words") != std::string::npos);
  CHECK(texts(find(alice, "something")) == Texts{"something rare"});
}

TEST_CASE("search: what a step of the index costs does not grow with what there is") {
  Library library;
  auto& database = library.instance.database();
  // Planned once, while there is next to nothing, as the worker does.
  database.query("SET plan_cache_mode = force_generic_plan");
  const auto step = [&](const std::string& in, const std::string& names) {
    database.query("SELECT index_messages('simple', " + in + ", " + names +
                   ", '{1001}', '{1}', '{1}')");
  };
  step("'{}', '{}', '{}', '{}', '{}'", "'{}', '{}', '{}', '{}'");
  step("'{1001}', '{1}', '{1}', '{now}', '{now}'", "'{1001}', '{1}', '{now}', '{bob}'");
  database.query(
      "INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at,"
      " origin_spool, ingest_no, request_key, request_hash, kind, body)"
      " SELECT 1001 + n % 50, 1 + n / 50, 1 + n / 50, 1, now(), date_trunc('day', now()), 1, n,"
      " sha256(n::text::bytea), '', 'text', 'word ' || n FROM generate_series(0, 19999) AS n");
  database.query(
      "INSERT INTO search_documents SELECT 2000, n, now(), 'x' FROM generate_series(1, 5000) AS n");
  database.query("BEGIN");
  step("'{1001,1002}', '{2,7}', '{4,7}', '{today,today}', '{today,today}'",
       "'{1001}', '{2}', '{today}', '{bob}'");
  CHECK(database.number("SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE"
                        " 'messages_%' OR relname IN ('search_documents', 'mentions')") == 0);
  CHECK(database.number("SELECT count(*) FROM search_documents WHERE words @@ 'word'") == 4);
  database.query("COMMIT");
}
