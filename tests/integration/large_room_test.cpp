// A room of a thousand, a hundred of them online: what one message costs, and what its receipts do.
// Counted by PostgreSQL (pg_stat_statements) and by the worker (its debug lines).
#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int members = 1'000;
constexpr int online = 100;

/// What the worker handed to the plugin.
struct Handed {
  int batches = 0;
  int payloads = 0;
  int deliveries = 0;
};

int number_after(const std::string& line, const std::string& key) {
  const auto at = line.find(key);
  return at == std::string::npos ? 0 : std::stoi(line.substr(at + key.size()));
}

class LargeRoom {
 public:
  LargeRoom()
      : postgres_{{.settings = {"shared_preload_libraries=pg_stat_statements",
                                "pg_stat_statements.track=top"}}},
        instance_{{"alice"}, {.config = "[log]\nlevel = \"debug\"\n", .postgres = &postgres_}} {
    database().query("CREATE EXTENSION pg_stat_statements");
    database().query(
        "WITH fresh AS (SELECT nextval('user_ids') AS id, 'm' || n AS name"
        "               FROM generate_series(1, $1::int) AS n),"
        " named AS (INSERT INTO names (name, kind, id) SELECT name, 'user', id FROM fresh)"
        " INSERT INTO users (user_id, name) SELECT id, name FROM fresh",
        {std::to_string(members - 1)});
    instance_.room("hall", {"alice"});
    database().query(
        "SELECT enter_room(c.conversation_id, u.user_id, 'member')"
        " FROM conversations c, users u WHERE c.name = 'hall' AND u.name LIKE 'm%'"
        " AND u.name NOT LIKE 'marker%'");
    alice_ = std::make_unique<Person>(instance_.person("alice"));
    alice_->listen({"ack/+"});
    for (int i = 1; i <= online; ++i) {
      there_.push_back(instance_.person(with_number("m", i)));
      there_.back().listen({"inbox.json/+"});
    }
    // Who is in there is known to the worker from now on.
    tell("first");
    instance_.settle();
  }

  Database& database() { return instance_.database(); }
  /// Alice says something, and everybody online gets it.
  int tell(const std::string& text) {
    const std::string ack = alice_->send("hall", text);
    REQUIRE(ack.starts_with("stored "));
    const int seq = std::stoi(ack.substr(7));
    for (Person& person : there_) {
      REQUIRE(Json::parse(person.expect_text("inbox.json/hall"))["seq"] == seq);
    }
    return seq;
  }
  void count_from_here() {
    database().query("SELECT pg_stat_statements_reset()");
    log_from_ = instance_.worker().log().size();
  }
  /// How often statements with this in them ran since then, and how many rows they made.
  std::pair<int, int> calls(const std::string& part) {
    const auto row = database().query(
        "SELECT COALESCE(sum(calls), 0), COALESCE(sum(rows), 0) FROM pg_stat_statements"
        " WHERE query LIKE '%' || $1 || '%' AND query NOT LIKE '%pg_stat_statements%'",
        {part});
    return {std::stoi(row[0][0]), std::stoi(row[0][1])};
  }
  Handed handed() {
    Handed all;
    for (const auto& line : lines_of(instance_.worker().log().substr(log_from_))) {
      if (line.find("event=outbound_batch") == std::string::npos) continue;
      ++all.batches;
      all.payloads += number_after(line, "payloads=");
      all.deliveries += number_after(line, "deliveries=");
    }
    return all;
  }
  std::vector<Person>& there() { return there_; }
  std::int64_t have_read(int seq) {
    return database().number(
        "SELECT count(*) FROM members m JOIN conversations c USING (conversation_id)"
        " WHERE c.name = 'hall' AND m.read_seq >= $1::bigint",
        {std::to_string(seq)});
  }

 private:
  Postgres postgres_;
  Instance instance_;
  std::unique_ptr<Person> alice_;
  std::vector<Person> there_;
  std::size_t log_from_ = 0;
};

}  // namespace

TEST_CASE("large room: a message is one insert, one batch and a hundred deliveries") {
  LargeRoom room;
  room.count_from_here();
  room.tell("to all");
  const auto [inserts, rows] = room.calls("INSERT INTO messages ");
  CHECK(inserts == 1);
  CHECK(rows == 1);
  // The lane knows where the conversation stands: it need not lock first.
  CHECK(room.calls("FOR NO KEY UPDATE").first == 0);
  // The members are known: none of the thousand is read again.
  CHECK(room.calls("members_version <> k.version").second == 0);
  const Handed handed = room.handed();
  CHECK(handed.batches == 1);
  CHECK(handed.payloads == 2);  // encoded once for all of them, and the ack
  CHECK(handed.deliveries == online + 1);
}

TEST_CASE("large room: receipts of a hundred readers are at most two updates a second") {
  LargeRoom room;
  room.count_from_here();
  const auto began = Clock::now();
  int seq = 0;
  int told = 0;
  while (Clock::now() - began < slowed(Milliseconds{4'000})) {
    seq = room.tell("read this");
    ++told;
    for (Person& person : room.there()) {
      person.mqtt.publish_soon(
          {.topic = person.topic("read/hall"), .payload = std::to_string(seq), .qos = 1});
    }
    for (Person& person : room.there()) REQUIRE(person.mqtt.await_answers());
  }
  // Alice's own is one of them: who writes has read.
  eventually("everybody's mark is stored", [&] { return room.have_read(seq) == online; });
  const std::chrono::duration<double> took = Clock::now() - began;
  const auto [updates, moved] = room.calls("UPDATE members m");
  CAPTURE(told);
  CAPTURE(took.count());
  CAPTURE(updates);
  CHECK(updates >= 1);
  CHECK(updates <= static_cast<int>(2 * took.count()) + 1);
  CHECK(room.calls("INSERT INTO device_marks").first <= static_cast<int>(2 * took.count()) + 1);
  CHECK(moved >= online);
  CHECK(room.calls("INSERT INTO messages ").first <= told);
}
