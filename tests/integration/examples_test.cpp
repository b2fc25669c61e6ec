// The examples of docs/protocol.md do what they show, in JSON as they stand there, and in protobuf.
#include "tests/support/examples.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/methods.hpp"
#include "tests/support/client_wire.hpp"
#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

enum class Written { json, pb };

/// What these find is there a moment after `stored`.
const std::set<std::string> found_later{"search", "mentions"};

std::vector<ExampleStep> examples() { return examples_in(read_file(PARLEY_PROTOCOL_MD)); }

/// "room.create" of "do.json/room.create/1"; empty for what is no request.
std::string method_of(const ExampleStep& step) {
  constexpr std::string_view asks = "do.json/";
  if (step.says != Says::publishes || !step.rest.starts_with(asks)) return {};
  return step.rest.substr(asks.size(), step.rest.find('/', asks.size()) - asks.size());
}

/// The people of the examples, each connected when he first says or hears something.
class Stage {
 public:
  explicit Stage(Written written) : instance_{"alice", "bob", "carol", "dave"}, written_{written} {
    for (const char* const name : {"alice", "bob", "carol", "dave"}) session(name);
    MqttClient client = instance_.connect(instance_.login("alice"));
    client.subscribe("im/s/info");
    epoch_ = Json::parse(client.expect("im/s/info").payload)["epoch"];
  }

  void play(const ExampleStep& step) {
    if (step.says == Says::publishes) {
      publish(step);
    } else {
      expect(step);
    }
  }

 private:
  Person& session(const std::string& who) {
    const auto found = sessions_.find(who);
    if (found != sessions_.end()) return found->second;
    const auto dot = who.find('.');
    const auto name = who.substr(0, dot);
    ConnectOptions options =
        dot == who.npos ? instance_.login(name) : instance_.device_login(name, who.substr(dot + 1));
    options.version = 5;
    auto& person = sessions_.emplace(who, instance_.connected(name, options)).first->second;
    for (const std::string verb : {"ack", "re", "inbox", "sent", "event"}) {
      person.listen({verb + (written_ == Written::json ? ".json/+" : ".pb/+")});
    }
    person.listen({"ack/+", "inbox/+", "typing.json/+", "err", "rr/+", "state/#"});
    return person;
  }

  /// The topic as it is with this format.
  [[nodiscard]] std::string written(std::string rest) const {
    const auto at = rest.find(".json/");
    if (written_ == Written::pb && at != rest.npos && !rest.starts_with("typing")) {
      rest.replace(at, 6, ".pb/");
    }
    return rest;
  }

  /// With this instance's epoch where the document shows one.
  [[nodiscard]] std::string of_here(const std::string& payload) const {
    auto json = Json::parse(payload, nullptr, false);
    if (!json.is_object() || !json.contains("epoch")) return payload;
    json["epoch"] = epoch_;
    return json.dump();
  }

  Publication publication_of(const ExampleStep& step) {
    Person& person = session(step.who);
    Publication publication;
    const auto rest = written(step.rest);
    publication.topic = person.topic(rest);
    publication.payload = of_here(step.payload);
    if (rest != step.rest) publication.payload = pb_of(step.rest, publication.payload);
    publication.qos = rest.starts_with("typing") ? 0 : 1;
    if (!step.answer.empty()) publication.response_topic = person.topic(step.answer);
    asked_ = step;
    answers_.clear();
    if (rest != step.rest && !step.answer.empty()) answers_ = step.answer;
    return publication;
  }

  void publish(const ExampleStep& step) { session(step.who).mqtt.publish(publication_of(step)); }

  /// What came, as the document would show it.
  std::string shown(const ExampleStep& step, const std::string& payload) {
    const auto rest = written(step.rest);
    if (rest != step.rest) return json_of(rest, payload);
    if (!answers_.empty() && rest == answers_) return json_of("re.pb/-", payload);
    return payload;
  }

  void expect(const ExampleStep& step) {
    Person& person = session(step.who);
    std::string last;
    try {
      person.mqtt.expect_that("what the document shows", [&](const Publication& one) {
        if (one.topic != person.topic(written(step.rest))) return false;
        last = shown(step, one.payload);
        if (as_shown(step.payload, last)) return true;
        if (found_later.contains(method_of(asked_))) {
          person.mqtt.publish_soon(publication_of(ExampleStep{asked_}));
        }
        return false;
      });
    } catch (const std::runtime_error& error) {
      FAIL_CHECK("protocol.md:", step.line, ": shows\n", step.payload, "\nit is\n",
                 last.empty() ? error.what() : last, "\n");
    }
  }

  Instance instance_;
  Written written_;
  std::string epoch_;
  ExampleStep asked_;    // last
  std::string answers_;  // where the answer to a request in protobuf goes
  std::map<std::string, Person> sessions_;
};

void play_all(Written written) {
  Stage stage{written};
  for (const auto& step : examples()) stage.play(step);
}

}  // namespace

TEST_CASE("examples: every method has one with its answer, and no other") {
  std::set<std::string> shown;
  for (const auto& step : examples()) {
    const auto method = method_of(step);
    if (method.empty()) continue;
    CAPTURE(step.line);
    CAPTURE(method);
    CHECK(parley::find_method(method) != nullptr);
    shown.insert(method);
  }
  for (const auto& method : parley::methods()) {
    CAPTURE(method.name);
    CHECK(shown.contains(std::string{method.name}));
  }
}

TEST_CASE("examples: what is compared is compared") {
  CHECK(as_shown(R"({"a":1,"time":"2026-11-21T23:01:02.120Z"})",
                 R"({"time":"2027-01-01T00:00:00.000Z","a":1})"));
  CHECK(!as_shown(R"({"a":1})", R"({"a":2})"));
  CHECK(!as_shown(R"({"a":1})", R"({"a":1,"b":2})"));
  CHECK(!as_shown(R"({"a":[1]})", R"({"a":[1,2]})"));
  CHECK(!as_shown(R"({"time":"2026-11-21T23:01:02.120Z"})", R"({"time":"2026-11-21"})"));
  CHECK(!as_shown(R"({"token":"x"})", R"({"token":"y"})"));
  CHECK(as_shown("stored 1", "stored 1"));
  CHECK(!as_shown("stored 1", "stored 2"));
  CHECK_THROWS_AS(examples_in("```mqtt\nno topic\n```\n"), std::runtime_error);
}

TEST_CASE("examples: they do what they show, in JSON") { play_all(Written::json); }

TEST_CASE("examples: they do the same in protobuf") { play_all(Written::pb); }
