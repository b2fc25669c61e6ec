#include "worker/heads.hpp"

#include <doctest/doctest.h>

#include <map>

#include "worker/lanes.hpp"

using namespace parley;

namespace {

struct Book {
  Heads heads;
  std::map<ConversationId, Conversation> members;

  Book() {
    for (const std::int64_t id : {1, 2}) {
      Conversation conversation;
      conversation.conversation = ConversationId{id};
      conversation.members_version = 10 + id;
      conversation.members = {{UserId{7}, "alice", true}, {UserId{8}, "bob", false}};
      members[ConversationId{id}] = conversation;
    }
  }
  [[nodiscard]] std::optional<sql::Append> plan(
      const std::vector<std::pair<std::int64_t, std::int64_t>>& to_and_from) const {
    std::vector<sql::NewMessage> messages;
    for (const auto& [conversation, sender] : to_and_from) {
      sql::NewMessage message;
      message.conversation = ConversationId{conversation};
      message.sender = UserId{sender};
      messages.push_back(message);
    }
    return heads.plan(messages, [this](ConversationId id) -> const Conversation* {
      const auto found = members.find(id);
      return found == members.end() ? nullptr : &found->second;
    });
  }
};

}  // namespace

TEST_CASE("heads: messages go behind the newest one, each conversation for itself") {
  Book book;
  book.heads.learn(ConversationId{1}, {5, 9});
  book.heads.learn(ConversationId{2}, {0, 3});
  const auto append = book.plan({{2, 7}, {1, 7}, {2, 7}});
  REQUIRE(append);
  REQUIRE(append->places.size() == 3);
  CHECK(append->places[0].seq == 1);
  CHECK(append->places[0].rev == 4);
  CHECK(append->places[1].seq == 6);
  CHECK(append->places[1].rev == 10);
  CHECK(append->places[2].seq == 2);
  REQUIRE(append->heads.size() == 2);  // in the order in which they are locked
  CHECK(append->heads[0].conversation == ConversationId{1});
  CHECK(append->heads[0].last_seq == 5);
  CHECK(append->heads[0].members_version == 11);
  CHECK(append->heads[0].messages == 1);
  CHECK(append->heads[1].last_rev == 3);
  CHECK(append->heads[1].messages == 2);
}

TEST_CASE("heads: nothing is planned where anything is not known") {
  Book book;
  book.heads.learn(ConversationId{1}, {5, 9});
  book.heads.learn(ConversationId{3}, {5, 9});
  CHECK(book.plan({{1, 7}}));
  CHECK_FALSE(book.plan({{1, 7}, {2, 7}}));  // not where it stands
  CHECK_FALSE(book.plan({{3, 7}}));          // not who is in it
  CHECK_FALSE(book.plan({{1, 6}}));          // not a member
  CHECK_FALSE(book.plan({{1, 8}}));          // reads only
  book.heads.forget(ConversationId{1});
  CHECK_FALSE(book.plan({{1, 7}}));
}

TEST_CASE("heads: what is remembered is bounded") {
  Book book;
  for (std::int64_t id = 1; id <= 100'001; ++id) book.heads.learn(ConversationId{id}, {1, 1});
  CHECK(book.heads.size() == 1);
}

TEST_CASE("lanes: repeats are refused by the month's index alone once it reaches back far enough") {
  constexpr std::int64_t november = 1'793'491'200'000;  // 2026-11-01
  constexpr std::int64_t day = 86'400'000;
  const auto at = [](std::int64_t days) { return UnixMillis{november + days * day}; };
  CHECK(repeats_are_refused(at(8), at(8)));
  CHECK(repeats_are_refused(at(28), at(20)));
  CHECK_FALSE(repeats_are_refused(at(7), at(7)));    // a week and a day
  CHECK_FALSE(repeats_are_refused(at(29), at(29)));  // for the database it may be December
  CHECK_FALSE(repeats_are_refused(at(12), at(0)));   // has waited since the first day
}
