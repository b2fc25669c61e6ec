// A `do` that the database does not answer: TIMEOUT says that nobody knows, UNAVAILABLE that
// nothing was done.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// What the reply to `id` says, and after how many milliseconds.
struct Told {
  std::string code;
  std::int64_t ms = 0;
};

class Held {
 public:
  explicit Held(const std::string& lock)
      : instance_{"alice", "bob"}, alice_{instance_.person("alice")}, other_{uri()} {
    alice_.listen({"re.json/+", "ack/+"});
    CHECK(alice_.send("bob", "hi") == "stored 1");
    instance_.settle();
    other_.query("BEGIN");
    other_.query(lock);
  }
  void let_go() { other_.query("COMMIT"); }
  Told ask_for(const std::string& method, const Json& request) {
    const auto begun = std::chrono::steady_clock::now();
    alice_.publish("do.json/" + method + "/held", request.dump());
    const auto reply =
        Json::parse(alice_.expect_text("re.json/held", Deadline{slowed(Milliseconds{15'000})}));
    const auto took = std::chrono::steady_clock::now() - begun;
    return {refused(reply), std::chrono::duration_cast<Milliseconds>(took).count()};
  }
  Person& alice() { return alice_; }
  /// Ends the connection of requests as soon as it waits for the lock.
  void end_the_waiting() {
    eventually("it waits for the lock", [&] {
      return instance_.database().number(
                 "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname ="
                 " current_database() AND application_name = 'parley requests' AND wait_event_type"
                 " = 'Lock'") == 1;
    });
  }

 private:
  [[nodiscard]] const std::string& uri() const { return instance_.database_uri(); }
  Instance instance_;
  Person alice_;
  Database other_;
};

}  // namespace

TEST_CASE("request timeout: what waits for a lock is answered TIMEOUT, and later it works") {
  SUBCASE("what reads") {
    Held held{"LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"};
    const Told told = held.ask_for("history", {{"conv", "bob"}});
    CHECK(told.code == "TIMEOUT");
    CHECK(told.ms >= 4'900);
    CHECK(told.ms < slowed(Milliseconds{7'000}).count());
    held.let_go();
    CHECK(done(ask(held.alice(), "history", {{"conv", "bob"}}))["messages"].size() == 1);
  }
  SUBCASE("what writes") {
    Held held{"LOCK TABLE users IN EXCLUSIVE MODE"};
    const Told told = held.ask_for("me.set", {{"about", "me"}});
    CHECK(told.code == "TIMEOUT");
    CHECK(told.ms >= 4'900);
    CHECK(told.ms < slowed(Milliseconds{7'000}).count());
    held.let_go();
    CHECK(done(ask(held.alice(), "me.set", {{"about", "you"}}))["about"] == "you");
  }
}

TEST_CASE("request timeout: what may have been carried out when the connection broke is TIMEOUT") {
  Held held{"LOCK TABLE users IN EXCLUSIVE MODE"};
  held.alice().publish("do.json/me.set/broken", R"({"about":"me"})");
  held.end_the_waiting();
  CHECK(refused(Json::parse(held.alice().expect_text("re.json/broken"))) == "TIMEOUT");
  held.let_go();
  CHECK(done(ask(held.alice(), "me.set", {{"about", "you"}}))["about"] == "you");
}
