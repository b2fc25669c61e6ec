#include "core/fan_out.hpp"

#include <doctest/doctest.h>

#include <map>

#include "core/topic.hpp"

using namespace parley;

namespace {

Conversation direct() {
  return {ConversationId{1}, false, "", 1, {{UserId{1}, "alice"}, {UserId{2}, "bob"}}};
}
Conversation room() {
  return {ConversationId{2},
          true,
          "ops",
          1,
          {{UserId{1}, "alice"}, {UserId{2}, "bob"}, {UserId{3}, "carol"}}};
}

StoredMessage said_by_alice(ConversationId conversation) {
  StoredMessage stored{conversation, UserId{1}, {}};
  stored.message.from = "alice";
  stored.message.id = "id1";
  stored.message.seq = 5;
  stored.message.content.text = "hi";
  return stored;
}

std::vector<link::Delivery> fan(const Conversation& conversation,
                                const std::map<std::string_view, std::uint32_t>& feeds) {
  std::vector<link::Delivery> deliveries;
  fan_out(
      said_by_alice(conversation.conversation), conversation,
      [&](std::string_view user) {
        const auto found = feeds.find(user);
        return found == feeds.end() ? 0U : found->second;
      },
      [&](link::Delivery delivery) { deliveries.push_back(std::move(delivery)); });
  return deliveries;
}

}  // namespace

TEST_CASE("fan_out: the peer reads it under the sender's name, the sender under the peer's") {
  const auto deliveries =
      fan(direct(), {{"alice", feed::sent_json}, {"bob", feed::inbox_text | feed::inbox_json}});
  REQUIRE(deliveries.size() == 3);
  CHECK(deliveries[0].suffix == "inbox/alice");
  CHECK(deliveries[0].payload == "hi");
  CHECK(deliveries[0].to == std::vector<std::string>{"bob"});
  CHECK(deliveries[1].suffix == "inbox.json/alice");
  CHECK(deliveries[2].suffix == "sent.json/bob");
  CHECK(deliveries[2].to == std::vector<std::string>{"alice"});
  CHECK(deliveries[2].payload.find("\"conv\":\"bob\"") != std::string::npos);
}

TEST_CASE("fan_out: one's own messages never come on one's inbox") {
  CHECK(fan(direct(), {{"alice", feed::inbox_any}}).empty());
  const Conversation notes{ConversationId{3}, false, "", 1, {{UserId{1}, "alice"}}};
  const auto deliveries = fan(notes, {{"alice", feed::inbox_any | feed::sent_json}});
  REQUIRE(deliveries.size() == 1);
  CHECK(deliveries[0].suffix == "sent.json/alice");
}

TEST_CASE("fan_out: a room's readers share one payload per form") {
  const auto deliveries =
      fan(room(),
          {{"alice", feed::all_but_state}, {"bob", feed::inbox_text}, {"carol", feed::inbox_text}});
  REQUIRE(deliveries.size() == 3);  // inbox text; sent json and pb
  CHECK(deliveries[0].to == std::vector<std::string>{"bob", "carol"});
  CHECK(deliveries[0].payload == "alice: hi");
  CHECK(deliveries[0].properties == text_properties(said_by_alice(ConversationId{2}).message));
}

TEST_CASE("fan_out: nobody subscribed, nothing encoded") { CHECK(fan(room(), {}).empty()); }

TEST_CASE("deliver_to_session: only in the forms that the session subscribed, to it alone") {
  link::Session session;
  session.session_no = 9;
  session.user = "bob";
  session.user_id = UserId{2};
  session.feeds = feed::inbox_text | feed::sent_json;
  const auto deliveries =
      deliver_to_session(said_by_alice(ConversationId{2}), true, "ops", session);
  REQUIRE(deliveries.size() == 1);
  CHECK(deliveries[0].session_no == 9);
  CHECK(deliveries[0].suffix == "inbox/ops");
  session.user_id = UserId{1};
  CHECK(deliver_to_session(said_by_alice(ConversationId{2}), true, "ops", session)[0].suffix ==
        "sent.json/ops");
}
