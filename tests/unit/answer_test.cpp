#include "core/answer.hpp"

#include <doctest/doctest.h>

using namespace parley;

namespace {
link::InboundRecord record_with(const char* response_topic) {
  link::InboundRecord record;
  record.user = "alice";
  record.response_topic = response_topic;
  record.correlation_data = std::string{"\0\xff", 2};
  return record;
}
Ack stored() {
  Ack ack;
  ack.id = "id1";
  ack.ok = true;
  ack.seq = 2;
  return ack;
}

std::vector<link::Delivery> acks(const AnswerTo& to, std::uint32_t feeds) {
  std::vector<link::Delivery> deliveries;
  ack_deliveries(to, stored(), feeds,
                 [&](link::Delivery delivery) { deliveries.push_back(std::move(delivery)); });
  return deliveries;
}
}  // namespace

TEST_CASE("answer: acks come in the forms that are subscribed, at QoS 0") {
  const auto to = answer_to(record_with(""), "im", Format::text);
  CHECK(acks(to, 0).empty());
  const auto deliveries = acks(to, feed::ack_text | feed::ack_json);
  REQUIRE(deliveries.size() == 2);
  CHECK(deliveries[0].suffix == "ack/id1");
  CHECK(deliveries[0].payload == "stored 2");
  CHECK(deliveries[0].qos == 0);
  CHECK(deliveries[1].suffix == "ack.json/id1");
}

TEST_CASE(
    "answer: a response topic replaces them, in the request's form, with the correlation data") {
  const auto to = answer_to(record_with("im/u/alice/rr/1"), "im", Format::text);
  const auto deliveries = acks(to, feed::ack_any);
  REQUIRE(deliveries.size() == 1);
  CHECK(deliveries[0].suffix == "rr/1");
  CHECK(deliveries[0].payload == "stored 2");
  CHECK(deliveries[0].correlation_data == std::string{"\0\xff", 2});
}

TEST_CASE("answer: a response topic elsewhere is as if there were none") {
  for (const char* topic :
       {"im/u/bob/rr/1", "im/u/alice/inbox/x", "other", "im/u/alice/rr/#", "im/u/alice/rr"}) {
    CAPTURE(topic);
    const auto to = answer_to(record_with(topic), "im", Format::json);
    CHECK(to.response_rest.empty());
    CHECK_FALSE(to.correlation_data.has_value());
  }
}

TEST_CASE("answer: refusals on err name the code, the topic and why") {
  const auto delivery =
      err_delivery("alice", Code::bad_payload, "im/u/alice/got/bob", "a seq is a number");
  CHECK(delivery.payload == "BAD_PAYLOAD im/u/alice/got/bob a seq is a number");
  CHECK(delivery.suffix == "err");
}
