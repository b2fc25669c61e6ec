// `history` where there is very much that one does not see.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// alice's room ops: 5 messages, then so many others, then 3 more. The worker is away while these
/// come.
struct Long {
  Long(int many, const std::string& expires, const std::string& history) : between{many} {
    alice.listen({"re.json/+", "ack/+"});
    done(ask(alice, "room.create", {{"room", "ops"}, {"members", {"bob"}}, {"history", history}}));
    for (int i = 1; i <= 5; ++i) REQUIRE(say("before") == i);
    instance.stop_worker();
    const std::string last = std::to_string(5 + many);
    database.query(
        "INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at,"
        " origin_spool, ingest_no, request_key, request_hash, kind, body, expires_at, deleted)"
        " SELECT id, n, n + 1, user_id, now(), now(), 1, n, decode(md5(n::text), 'hex'), '', "
        "'text',"
        " '', " +
        expires +
        ", true"
        " FROM names JOIN users ON users.name = 'alice', generate_series(6, " +
        last +
        ") AS n"
        " WHERE names.name = 'ops'");
    database.query("UPDATE conversation_heads SET last_seq = " + last + ", last_rev = " + last +
                   " + 1 WHERE conversation_id = (SELECT id FROM names WHERE name = 'ops')");
    // Nothing of it is to be indexed.
    database.query("INSERT INTO search_positions SELECT id, " + last + ", " + last +
                   " + 1, 'simple' FROM names WHERE name = 'ops' ON CONFLICT (conversation_id)"
                   " DO UPDATE SET seq = EXCLUDED.seq, rev = EXCLUDED.rev");
    database.query("ANALYZE messages");
    instance.start_worker();
  }
  int say(const std::string& text) {
    const auto ack = alice.send("ops", text);
    REQUIRE(ack.starts_with("stored "));
    return std::stoi(ack.substr(7));
  }
  /// The seqs of a page, and whether there is more.
  std::string page(Person& person, Json request) {
    request["conv"] = "ops";
    const Json result = done(ask(person, "history", request));
    std::string seqs;
    for (const auto& message : result["messages"]) {
      seqs += std::to_string(message["seq"].get<int>()) + " ";
    }
    return seqs + (result["has_more"] == true ? "more" : "all");
  }
  int between;
  Instance instance{"alice", "bob", "carol"};
  Database& database = instance.database();
  Person alice = instance.person("alice");
};

}  // namespace

TEST_CASE("history: who has joined late does not wait for what he may not see") {
  constexpr int many = 30'000;
  Long ops{many, "NULL", "joined"};
  done(ask(ops.alice, "room.add", {{"room", "ops"}, {"users", {"carol"}}}));
  CHECK(ops.say("welcome") == many + 7);
  Person carol = ops.instance.person("carol");
  carol.listen({"re.json/+"});
  const auto fetched = [&] {
    return ops.database.number(
        "SELECT COALESCE(sum(idx_tup_fetch + seq_tup_read), 0) FROM pg_stat_user_tables"
        " WHERE relname LIKE 'messages_2%'");
  };
  const auto before = fetched();
  const std::string his = std::to_string(many + 6) + " " + std::to_string(many + 7) + " all";
  CHECK(ops.page(carol, {{"limit", 20}}) == his);
  CHECK(ops.page(carol, {{"limit", 20}, {"after_seq", 0}}) == his);
  CHECK(ops.page(carol, {{"limit", 20}, {"around_seq", 1}}) == his);
  // Counters come about a second late, but all of a connection's together.
  eventually("it is counted", [&] {
    (void)ops.page(carol, {{"limit", 20}});
    return fetched() - before > 100;
  });
  CHECK(fetched() - before < many / 3);
}

TEST_CASE("history: goes on behind any number of messages that have disappeared") {
  constexpr int many = 50'000;
  Long ops{many, "now() - interval '1 minute'", "all"};
  const int last = 5 + many;
  for (int i = 1; i <= 3; ++i) CHECK(ops.say("behind") == last + i);
  const std::string three = std::to_string(last + 1) + " " + std::to_string(last + 2) + " " +
                            std::to_string(last + 3) + " ";
  CHECK(ops.page(ops.alice, {{"limit", 3}}) == three + "more");
  CHECK(ops.page(ops.alice, {{"limit", 5}}) == "4 5 " + three + "more");
  CHECK(ops.page(ops.alice, {{"limit", 8}}) == "1 2 3 4 5 " + three + "all");
  CHECK(ops.page(ops.alice, {{"limit", 2}, {"before_seq", last}}) == "4 5 more");
  CHECK(ops.page(ops.alice, {{"limit", 3}, {"after_seq", 5}}) == three + "all");
  CHECK(ops.page(ops.alice, {{"limit", 4}, {"after_seq", 2}}) ==
        "3 4 5 " + std::to_string(last + 1) + " more");
  CHECK(ops.page(ops.alice, {{"limit", 4}, {"around_seq", 1000}}) ==
        "4 5 " + std::to_string(last + 1) + " " + std::to_string(last + 2) + " more");
  // An export has them, too.
  ops.alice.publish("do.json/me.export/e", "{}");
  std::string exported;
  for (bool more = true; more;) {
    const Json page = Json::parse(ops.alice.expect_text("re.json/e"))["result"];
    for (const auto& line : page["lines"]) exported += line.get<std::string>() + "\n";
    more = page["more"];
  }
  CHECK(exported.find(R"("text":"behind")") != std::string::npos);
}
