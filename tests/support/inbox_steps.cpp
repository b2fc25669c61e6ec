#include "tests/support/inbox_steps.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/text.hpp"

namespace parley::test {

using Json = nlohmann::json;

void send_range(Instance& instance, int first, int last) {
  Person alice = instance.person("alice");
  alice.listen({"ack/+"});
  for (int i = first; i <= last; ++i) {
    const std::string text = with_number("m", i);
    REQUIRE(alice.send("bob", text, text) == with_number("stored ", i));
  }
}

std::vector<int> seqs(Instance& instance, Person& person) {
  instance.settle();
  std::vector<int> all;
  for (const Publication& publication : person.mqtt.drain()) {
    if (publication.topic == person.topic("inbox.json/alice")) {
      all.push_back(Json::parse(publication.payload)["seq"]);
    }
  }
  return all;
}

int next_seq(Person& person, Deadline deadline) {
  return Json::parse(person.expect_text("inbox.json/alice", deadline))["seq"];
}

void expect_range(Person& person, int first, int last) {
  for (int i = first; i <= last; ++i) REQUIRE(next_seq(person) == i);
}

void confirm(Instance& instance, Person& person, int seq) {
  REQUIRE(person.publish("got/alice", std::to_string(seq)) == 0);
  eventually("got is stored", [&] {
    return instance.database().number(
               "SELECT count(*) FROM members m JOIN users u USING (user_id) WHERE u.name = 'bob'"
               " AND m.got_seq >= $1::bigint",
               {std::to_string(seq)}) == 1;
  });
}

Person fresh_device(Instance& instance, const std::string& name, const std::string& device) {
  ConnectOptions options = instance.device_login(name, device);
  options.clean = true;
  return instance.connected(name, options);
}

std::string redeliver(int max) {
  const auto after_ms = static_cast<int>(slowed(Milliseconds{1'000}).count());
  return with_number("[delivery]\nredeliver_after_ms = ", after_ms) +
         with_number("\nredeliver_max = ", max) + "\n";
}

Person confirming_phone(Instance& instance) {
  Person phone = instance.device("bob", "phone");
  phone.listen({"inbox.json/+"});
  send_range(instance, 1, 1);
  expect_range(phone, 1, 1);
  confirm(instance, phone, 1);
  return phone;
}

void take_all(Person& person, int last, int every, int held) {
  while (held < last) {
    const int seq = next_seq(person);
    REQUIRE(seq <= held + 1);
    if (seq != held + 1) continue;
    held = seq;
    if (held % every == 0 || held == last) {
      REQUIRE(person.publish("got/alice", std::to_string(held)) == 0);
    }
  }
}

}  // namespace parley::test
