#include "tests/support/inbox_steps.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

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

}  // namespace parley::test
