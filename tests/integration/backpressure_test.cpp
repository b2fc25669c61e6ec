// PostgreSQL is away until the spool is full: who hears what, and nothing that was promised is
// lost.
#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/instance.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

InstanceOptions small_spool() { return {.broker = {.plugin_options = {"spool_mib 1"}}}; }

std::string words(int number) {
  std::string text = with_number("m", number) + " ";
  text.resize(400, 'x');
  return text;
}

std::map<std::string, int> stored_texts(Instance& instance) {
  std::map<std::string, int> count;
  std::int64_t seq = 0;
  for (const auto& row : instance.stored_direct("alice", "bob")) {
    REQUIRE(row[0] == std::to_string(++seq));
    ++count[row[1]];
  }
  return count;
}

/// A 3.1.1 client as they are in the field: a named device whose session persists, with a window of
/// messages in flight, which connects again when it is hung up on, and sends again what has no
/// PUBACK. Every fifth message has no id.
class FieldDevice {
 public:
  FieldDevice(Instance& instance, int count)
      : instance_{instance}, login_{instance.device_login("alice", "sensor")} {
    for (int i = 1; i <= count; ++i) left_.push_back(i);
    connect();
  }

  [[nodiscard]] bool finished() const { return left_.empty() && in_flight_.empty(); }
  [[nodiscard]] const std::set<int>& acknowledged() const { return acknowledged_; }
  static bool has_id(int number) { return number % 5 != 0; }

  /// Sends until the broker has hung up that often. False if everything was acknowledged before.
  bool goes_on_until_hung_up(int times) {
    while (hung_up_ < times && !finished()) go_on();
    return hung_up_ >= times;
  }

  /// Sends until everything is acknowledged or the broker hangs up; then connects again.
  void go_on() {
    while (!finished()) {
      while (in_flight_.size() < window && !left_.empty()) {
        publish(left_.front(), false);
        left_.pop_front();
      }
      const bool open = device_->mqtt.await_answers(window / 2);
      collect();
      if (!open) {
        ++hung_up_;
        connect();
        return;
      }
      if (left_.empty()) {
        REQUIRE(device_->mqtt.await_answers());
        collect();
      }
    }
  }

 private:
  static constexpr std::size_t window = 20;

  void connect() {
    device_.reset();
    device_.emplace(instance_.connected("alice", login_));
    for (auto& [number, packet_id] : in_flight_) packet_id = publish_again(number);
  }
  std::uint16_t publish_again(int number) { return put(number, true); }
  void publish(int number, bool dup) { in_flight_[number] = put(number, dup); }
  std::uint16_t put(int number, bool dup) {
    const std::string id = has_id(number) ? with_number("/id", number) : "";
    return device_->mqtt.publish_soon(
        {.topic = device_->topic("send/bob" + id), .payload = words(number), .dup = dup});
  }
  void collect() {
    for (auto it = in_flight_.begin(); it != in_flight_.end();) {
      const bool answered = device_->mqtt.answers().contains(it->second);
      if (answered) acknowledged_.insert(it->first);
      it = answered ? in_flight_.erase(it) : std::next(it);
    }
  }

  Instance& instance_;
  const ConnectOptions login_;  // made while the database was there
  std::optional<Person> device_;
  std::deque<int> left_;
  std::map<int, std::uint16_t> in_flight_;  // packet ids of this connection
  std::set<int> acknowledged_;
  int hung_up_ = 0;
};

}  // namespace

TEST_CASE("backpressure: without PostgreSQL MQTT 5 hears when the spool is full, `do` is BUSY") {
  Instance instance({"alice", "bob"}, small_spool());
  Person alice = instance.person5("alice");
  alice.listen({"re.json/+"});
  Postgres::shared().stop(Postgres::Stop::fast);
  std::map<std::string, int> accepted;
  int refused = 0;
  for (int i = 0; i < 10'000 && refused < 10; ++i) {
    const int reason = alice.publish("send/bob", words(i));
    if (reason == 0) {
      accepted[words(i)] = 1;
    } else {
      CHECK(reason == 0x87);
      ++refused;
    }
  }
  REQUIRE(refused == 10);
  CHECK(accepted.size() > 1'000);
  // Until no byte is left; there was less than one of the long ones takes.
  int room_for = 0;
  while (room_for < 1'000 && alice.publish("send/bob", "x") == 0) ++room_for;
  REQUIRE(room_for < 1'000);
  if (room_for > 0) accepted["x"] = room_for;
  const int asked = alice.publish("do.json/history/h1", R"({"conv":"bob"})");
  CHECK(asked == 0x87);
  CHECK(Json::parse(alice.expect_text("re.json/h1"))["code"] == "BUSY");
  CHECK(alice.mqtt.ping());
  Postgres::shared().start();
  eventually(
      "there is room again", [&] { return alice.publish("got/bob", "1") == 0; },
      Deadline{slowed(Milliseconds{20'000})});
  instance.settle();
  CHECK(stored_texts(instance) == accepted);
}

TEST_CASE("backpressure: an MQTT 3.1.1 device is hung up on, sends again, and nothing is missing") {
  Instance instance({"alice", "bob"}, small_spool());
  const int count = 5'000;
  FieldDevice device{instance, count};
  Postgres::shared().stop(Postgres::Stop::fast);
  REQUIRE(device.goes_on_until_hung_up(5));
  CHECK_FALSE(device.finished());
  const auto before = device.acknowledged().size();
  CHECK(before > 1'000);
  Postgres::shared().start();
  const Deadline deadline{slowed(Milliseconds{30'000})};
  while (!device.finished() && !deadline.passed()) device.go_on();
  CHECK(device.acknowledged().size() == count);
  instance.settle();
  auto stored = stored_texts(instance);
  for (int i = 1; i <= count; ++i) {
    CAPTURE(i);
    const int times = stored[words(i)];
    REQUIRE(times >= 1);
    if (FieldDevice::has_id(i)) REQUIRE(times == 1);
  }
  CHECK(stored.size() == count);  // and nothing else
}

TEST_CASE("backpressure: what a device was promised is stored though it never comes back") {
  Instance instance({"alice", "bob"}, small_spool());
  std::set<int> promised;
  {
    FieldDevice device{instance, 5'000};
    Postgres::shared().stop(Postgres::Stop::fast);
    REQUIRE(device.goes_on_until_hung_up(3));
    promised = device.acknowledged();
  }
  CHECK(promised.size() > 1'000);
  instance.broker().kill();
  instance.worker().kill();
  Postgres::shared().start();
  instance.broker().start();
  instance.start_worker();
  // Before that the spool might be too full for the marker.
  eventually(
      "it is stored",
      [&] { return instance.stored_direct("alice", "bob").size() >= promised.size(); },
      Deadline{slowed(Milliseconds{20'000})});
  instance.settle();
  const auto stored = stored_texts(instance);
  for (const int number : promised) REQUIRE(stored.contains(words(number)));
}
