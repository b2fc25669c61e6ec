// Worker and broker die at each of the moments that kill -9 from outside hits rarely, and each kind
// of frame gets lost: nothing is lost or doubled by it.
#include "core/fault_point.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

constexpr int killed = 128 + SIGKILL;
constexpr int burst = 400;  // more than one batch, more than one frame, more than one page

/// alice writes to bob, who listens with a named device. Whatever dies, all is there in the end.
class Story {
 public:
  /// @param redeliver_after_ms  so soon a bob that lies behind gets it again
  explicit Story(int redeliver_after_ms = 1'000)
      : instance_{std::initializer_list<std::string>{"alice", "bob"},
                  {.config = with_number("[delivery]\nredeliver_after_ms = ", redeliver_after_ms) +
                             "\nredeliver_max = 100\n"}} {
    CHECK(come_back());
  }

  Instance& instance() { return instance_; }

  /// Sends some more, with ids.
  /// @return false if the broker went away; then `come_back` sends what it did not acknowledge
  bool send(int count) {
    for (int i = 0; i < count; ++i) {
      ++sent_;
      publish(sent_);
    }
    return collect();
  }

  /// Both connect again; alice sends again what has no PUBACK, bob gets what he has not got.
  /// @return false if the broker went away meanwhile
  bool come_back() {
    try {
      open_.clear();
      alice_.emplace(instance_.person("alice"));
      for (const int number : unacknowledged_) publish(number);
      if (!collect()) return false;
      bob_come_back();
      return true;
    } catch (const std::runtime_error&) {
      return false;
    }
  }
  void bob_come_back() {
    bob_.reset();
    bob_.emplace(instance_.device("bob", "phone"));
    bob_->listen({"inbox.json/alice"});
    seen_ = got_;
  }

  /// Everything is stored once, in order, and comes to bob in order: from behind what he has got
  /// on, perhaps repeated, never with a gap.
  /// @param got_every  bob says `got` as it goes; 0: not at all
  void check(int got_every = 0) {
    instance_.settle();
    std::vector<Row> expected;
    for (int i = 1; i <= sent_; ++i) expected.push_back({std::to_string(i), text(i)});
    const bool all_stored = instance_.stored_direct("alice", "bob") == expected;
    REQUIRE(all_stored);
    while (seen_ < sent_) {
      const Json message = Json::parse(bob_->expect_text("inbox.json/alice"));
      const int seq = message["seq"];
      REQUIRE(message["text"] == text(seq));
      REQUIRE(seq <= seen_ + 1);
      seen_ = std::max(seen_, seq);
      if (got_every != 0 && seen_ % got_every == 0) got();
    }
  }
  /// bob says that he has it all.
  void got() {
    got_ = seen_;
    CHECK(bob_->publish("got/alice", std::to_string(got_)) == 0);
  }

 private:
  static std::string text(int number) { return with_number("m", number); }
  void publish(int number) {
    unacknowledged_.insert(number);
    const auto id = alice_->mqtt.publish_soon(
        {.topic = alice_->topic("send/bob/" + text(number)), .payload = text(number)});
    open_[id] = number;
  }
  bool collect() {
    const bool all = alice_->mqtt.await_answers();
    for (const auto& [packet_id, reason] : alice_->mqtt.answers()) {
      if (reason == 0) unacknowledged_.erase(open_.at(packet_id));
    }
    return all;
  }

  Instance instance_;
  std::optional<Person> alice_;
  std::optional<Person> bob_;
  std::map<std::uint16_t, int> open_;  // by packet id, of this connection
  std::set<int> unacknowledged_;
  int sent_ = 0;
  int seen_ = 0;  // by bob
  int got_ = 0;
};

Worker::Environment arm(std::string_view points) { return {{"PARLEY_FAULT", std::string{points}}}; }

bool struck(const std::string& log, std::string_view point) {
  return log.find("event=fault_point name=" + std::string{point} + "\n") != std::string::npos;
}

struct Crash {
  std::string_view name;
  int nth = 1;
  enum class Needs { messages, a_mark, a_backlog } needs = Needs::messages;
};

constexpr Crash worker_crashes[] = {
    {.name = "worker_before_store"},
    {.name = "worker_before_store", .nth = 2},
    {.name = "worker_rows_without_sync", .nth = 2},
    {.name = "worker_after_commit"},
    {.name = "worker_after_commit", .nth = 2},
    {.name = "worker_between_frames"},
    {.name = "worker_after_flush"},
    {.name = "worker_after_flush", .nth = 3},
    {.name = "worker_after_marks", .needs = Crash::Needs::a_mark},
    {.name = "worker_between_pages", .needs = Crash::Needs::a_backlog},
    {.name = "worker_before_sync_done", .needs = Crash::Needs::a_backlog},
    {.name = "worker_after_welcome"},
};

constexpr Crash plugin_crashes[] = {
    {.name = "plugin_spool_payload", .nth = 7},
    {.name = "plugin_after_append", .nth = 5},
    {.name = "plugin_after_inbound_batch", .nth = 2},
    {.name = "plugin_half_outbound_batch", .nth = 2},
    {.name = "plugin_after_expand", .nth = 3},
    {.name = "plugin_released_without_mark"},
};
constexpr std::string_view at_the_end = "plugin_after_cleanup";

std::string armed_with(const Crash& crash) {
  return with_number(std::string{crash.name} + ":", crash.nth);
}

/// The worker dies there while it takes up what was sent while it was away.
void crash_worker(Story& story, const Crash& crash) {
  CAPTURE(crash.name);
  auto& worker = story.instance().worker();
  story.instance().kill_worker();
  CHECK(story.send(burst));
  worker.set_environment(arm(armed_with(crash)));
  worker.start();
  CHECK(worker.process().wait() == killed);
  CHECK(struck(worker.log(), crash.name));
  worker.set_environment({});
  story.instance().start_worker();
  story.check();
}

/// bob comes, or says `got`, while the worker is armed.
void crash_worker_by_bob(Story& story, const Crash& crash) {
  CAPTURE(crash.name);
  auto& worker = story.instance().worker();
  CHECK(story.send(burst));
  story.check();
  story.instance().kill_worker();
  worker.set_environment(arm(armed_with(crash)));
  worker.start();
  if (crash.needs == Crash::Needs::a_mark) story.got();
  if (crash.needs == Crash::Needs::a_backlog) story.bob_come_back();
  CHECK(worker.process().wait() == killed);
  CHECK(struck(worker.log(), crash.name));
  worker.set_environment({});
  story.instance().start_worker();
  story.check();
  story.got();
}

void crash_broker(Story& story, const Crash& crash) {
  CAPTURE(crash.name);
  auto& broker = story.instance().broker();
  broker.stop();
  broker.set_environment(arm(armed_with(crash)));
  broker.start();
  for (int i = 0; i < 50 && broker.process().running(); ++i) {
    if (story.come_back()) story.send(20);
  }
  CHECK(broker.process().wait() == killed);
  CHECK(struck(broker.log(), crash.name));
  broker.set_environment({});
  broker.start();
  story.instance().wait_online();
  CHECK(story.come_back());
  story.check(50);  // a thousand may have come together: without it the rest would wait
  story.got();
}

}  // namespace

TEST_CASE("fault points: the lists here are complete") {
  std::set<std::string_view> tried{at_the_end};
  for (const auto& crash : worker_crashes) tried.insert(crash.name);
  for (const auto& crash : plugin_crashes) tried.insert(crash.name);
  const auto names = parley::crash_point_names();
  CHECK(tried == std::set<std::string_view>{names.begin(), names.end()});
}

TEST_CASE("fault points: a worker that dies at any of them loses and doubles nothing") {
  // No redelivery: a window that does not open for what bob has confirmed would stand still.
  Story story{600'000};
  for (const auto& crash : worker_crashes) {
    if (crash.needs == Crash::Needs::messages) {
      crash_worker(story, crash);
    } else {
      crash_worker_by_bob(story, crash);
    }
  }
}

TEST_CASE("fault points: a broker that dies at any of them loses and doubles nothing") {
  Story story;
  for (const auto& crash : plugin_crashes) crash_broker(story, crash);
}

TEST_CASE("fault points: a planned stop that ends behind the plugin's end reports no deaths") {
  Story story;
  auto& broker = story.instance().broker();
  broker.stop();
  broker.set_environment(arm(at_the_end));
  broker.start();
  story.instance().wait_online();
  CHECK(story.come_back());
  CHECK(story.send(10));
  ConnectOptions mortal = story.instance().login("watcher");
  mortal.will = Will{.topic = "im/u/watcher/will/bob", .payload = "watcher died"};
  const MqttClient client = story.instance().connect(mortal);
  broker.process().signal(SIGTERM);
  CHECK(broker.process().wait() == killed);
  CHECK(struck(broker.log(), at_the_end));
  broker.set_environment({});
  broker.start();
  story.instance().wait_online();
  CHECK(story.come_back());
  story.check();
  CHECK(story.instance().stored_direct("watcher", "bob").empty());
}

TEST_CASE("fault points: a lost frame of each kind is asked for, or sent again") {
  Story story;
  auto& instance = story.instance();
  instance.kill_worker();
  instance.broker().stop();
  instance.broker().set_environment(
      arm("plugin_welcome,plugin_sessions:2,plugin_inbound_batch:3,plugin_inbound_batch:60,"
          "plugin_inbound_batch:100,plugin_applied:2,plugin_resume"));
  instance.broker().start();
  instance.worker().set_environment(
      arm("worker_hello,worker_outbound_batch:3,worker_outbound_batch:50,worker_outbound_batch:70,"
          "worker_commit,worker_resume"));
  instance.start_worker();
  CHECK(story.come_back());
  CHECK(story.send(3));
  story.check();
  // One by one: so that behind each frame that is lost others follow, and the gap is seen.
  for (int i = 0; i < 150; ++i) REQUIRE(story.send(1));
  const auto all_struck = [&] {
    const std::string logs = instance.worker().log() + instance.broker().log();
    const auto names = parley::loss_point_names();
    return std::all_of(names.begin(), names.end(), [&](auto name) { return struck(logs, name); });
  };
  const Deadline deadline;
  while (!all_struck() && !deadline.passed()) {
    story.check(50);
    story.got();  // its record is answered by a commit alone
    CHECK(story.send(3));
  }
  for (const auto name : parley::loss_point_names()) {
    CAPTURE(name);
    CHECK(struck(instance.worker().log() + instance.broker().log(), name));
  }
  CHECK(story.send(300));
  // Who does not confirm as he goes is sent everything again and again, until the broker holds as
  // much as it may.
  story.check(50);
}
