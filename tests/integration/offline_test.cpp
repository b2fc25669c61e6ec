// A user comes back to a great many messages, at a broker whose limits are at their defaults.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/instance.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

/// PARLEY_TEST_FULL=1 takes 20,000 messages in 50 conversations and the default pace: a minute.
struct Size {
  bool full = std::getenv("PARLEY_TEST_FULL") != nullptr;
  int conversations = full ? 50 : 10;
  int each = full ? 400 : 200;
  [[nodiscard]] int all() const { return conversations * each; }
};

InstanceOptions broker_defaults(const Size& size) {
  InstanceOptions options;
  options.broker.lines = {"max_queued_messages 1000", "max_inflight_messages 20"};
  if (!size.full) options.config = "[delivery]\npaced_per_s = 1000\n";
  return options;
}

std::string friend_name(int i) { return with_number("friend", i); }

/// Everybody writes to bob, who is not there: message i of friend f says "f:i".
void write_to_bob(Instance& instance, const Size& size) {
  for (int f = 1; f <= size.conversations; ++f) instance.user(friend_name(f));
  for (int f = 1; f <= size.conversations; ++f) {
    Person person = instance.person(friend_name(f));
    for (int i = 1; i <= size.each; ++i) {
      person.mqtt.publish_soon({.topic = person.topic("send/bob"),
                                .payload = with_number(with_number("", f) + ":", i),
                                .qos = 1});
    }
    REQUIRE(person.mqtt.await_answers());
  }
  eventually(
      "all are stored",
      [&] { return instance.database().number("SELECT count(*) FROM messages") == size.all(); },
      Deadline{slowed(std::chrono::seconds{60})});
}

}  // namespace

TEST_CASE("offline: a plain mosquitto_sub gets all that it missed, each conversation in order") {
  const Size size;
  Instance instance({"bob"}, broker_defaults(size));
  write_to_bob(instance, size);
  const auto ran =
      run(instance.mosquitto(
              "mosquitto_sub",
              {"-u", "bob", "-P", instance.token("bob"), "-i", "bob.phone", "-c", "-q", "1", "-t",
               "im/u/bob/inbox/+", "-F", "%t %p", "-C", std::to_string(size.all()), "-W", "150"}),
          {}, Deadline{std::chrono::seconds{160}});
  REQUIRE(ran.code == 0);
  std::map<std::string, int> last;
  std::istringstream lines{ran.out};
  int count = 0;
  for (std::string topic, payload; lines >> topic >> payload; ++count) {
    const auto colon = payload.find(':');
    REQUIRE(topic == "im/u/bob/inbox/friend" + payload.substr(0, colon));
    REQUIRE(std::stoi(payload.substr(colon + 1)) == ++last[topic]);
  }
  CHECK(count == size.all());
  CHECK(static_cast<int>(last.size()) == size.conversations);
}

TEST_CASE("offline: a device that confirms gets all of it, however slowly it takes it") {
  const Size size;
  Instance instance({"bob"}, broker_defaults(size));
  Person phone = instance.device("bob", "phone");
  REQUIRE(phone.publish("got/bob", "1") == 0);  // from now on it is known to confirm
  phone.mqtt.disconnect();
  write_to_bob(instance, size);
  Person again = instance.device("bob", "phone");
  again.listen({"inbox.json/+"});
  std::map<std::string, int> held;
  for (int taken = 0; taken < size.all();) {
    const auto message = Json::parse(again.expect_text("inbox.json/+"));
    const std::string conv = message["conv"];
    const int seq = message["seq"];
    REQUIRE(seq <= held[conv] + 1);
    if (seq != held[conv] + 1) continue;
    held[conv] = seq;
    ++taken;
    if (seq % 50 == 0) REQUIRE(again.publish("got/" + conv, std::to_string(seq)) == 0);
  }
  eventually("everything is confirmed", [&] {
    return instance.database().number(
               "SELECT count(*) FROM device_marks WHERE got_seq = $1::bigint",
               {std::to_string(size.each)}) == size.conversations;
  });
}
