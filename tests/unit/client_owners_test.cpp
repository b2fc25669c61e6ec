#include "core/client_owners.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace parley;
using Objection = ClientOwners::Objection;

namespace {

const std::array<char, 4> connections{};
const void* const first = &connections[0];
const void* const second = &connections[1];
const void* const third = &connections[2];

}  // namespace

TEST_CASE("client_owners: what our users may call themselves") {
  ClientOwners owners;
  owners.hold(first, SharedText{"lathe"}, SharedText{""});
  owners.hold(second, SharedText{"shell"}, SharedText{"bob"});
  owners.learn_foreign_session("logger");
  struct Row {
    std::string_view client_id;
    bool clean;
    std::optional<Objection> objection;
  };
  for (const Row& row : {
           Row{"alice.phone", true, {}},
           Row{"alice.phone", false, {}},
           Row{"bob.phone", true, Objection::device_of_another},
           Row{"anything", true, {}},
           Row{"anything", false, Objection::persistent_not_device},
           Row{"not.a.device", true, {}},
           Row{"lathe", true, Objection::held_by_another},
           Row{"shell", true, Objection::held_by_another},
           Row{"logger", true, Objection::foreign_session},
       }) {
    CAPTURE(row.client_id);
    CAPTURE(row.clean);
    CHECK(owners.judge_user("alice", row.client_id, row.clean, third) == row.objection);
  }
  CHECK_FALSE(owners.judge_user("bob", "shell", true, third).has_value());  // he takes over himself
}

TEST_CASE("client_owners: what the broker's other clients may call themselves") {
  ClientOwners owners;
  owners.hold(first, SharedText{"shell"}, SharedText{"bob"});
  owners.learn_name(SharedText{"bob"});
  CHECK(owners.judge_foreign("shell", third) == Objection::held_by_another);
  CHECK_FALSE(owners.judge_foreign("shell", first).has_value());
  CHECK(owners.judge_foreign("bob.phone", third) == Objection::device_of_another);
  CHECK_FALSE(owners.judge_foreign("carol.phone", third).has_value());
  CHECK_FALSE(owners.judge_foreign("bob", third).has_value());
  CHECK_FALSE(owners.judge_foreign("lathe", third).has_value());
  // Who was there first stays.
  owners.learn_foreign_session("carol.pad");
  owners.learn_name(SharedText{"carol"});
  CHECK_FALSE(owners.judge_foreign("carol.pad", third).has_value());
  CHECK(owners.judge_user("carol", "carol.pad", true, third) == Objection::foreign_session);
}

TEST_CASE("client_owners: a takeover and a failed try leave the right one holding the id") {
  ClientOwners owners;
  owners.hold(first, SharedText{"lathe"}, SharedText{""});
  owners.hold(second, SharedText{"lathe"},
              SharedText{""});  // takes over, or will be refused by the broker
  CHECK(owners.is_latest(second));
  CHECK_FALSE(owners.is_latest(first));
  owners.let_go(second);
  CHECK(owners.is_latest(first));
  CHECK(owners.judge_user("alice", "lathe", true, third) == Objection::held_by_another);
  owners.let_go(first);
  owners.let_go(first);
  CHECK_FALSE(owners.judge_user("alice", "lathe", true, third).has_value());
  CHECK(owners.held_by(first).empty());
  owners.hold(first, SharedText{"a"}, SharedText{"x"});
  owners.hold(first, SharedText{"b"}, SharedText{"x"});  // the pointer is used again
  CHECK(owners.held_by(first) == "b");
  CHECK_FALSE(owners.judge_foreign("a", third).has_value());
}

TEST_CASE("client_owners: lines bring the lasting part back; damaged ones are left out") {
  ClientOwners owners;
  CHECK(owners.learn_name(SharedText{"alice"}));
  CHECK_FALSE(owners.learn_name(SharedText{"alice"}));
  const std::string odd = "odd id\n%\"\xFF ";
  CHECK(owners.learn_foreign_session(odd));
  CHECK_FALSE(owners.learn_foreign_session(odd));
  CHECK(owners.learn_foreign_session("gone"));
  CHECK(owners.forget_foreign_session("gone"));
  CHECK_FALSE(owners.forget_foreign_session("gone"));
  CHECK(owners.lasting() == 2);

  ClientOwners again;
  std::string text = owners.render();
  text += ClientOwners::line(ClientOwners::foreign_line, "later");
  text += ClientOwners::line(ClientOwners::forget_line, "later");
  std::size_t lines = 0;
  while (!text.empty()) {
    const auto newline = text.find('\n');
    REQUIRE(newline != std::string::npos);
    CHECK(again.read_line(text.substr(0, newline)));
    text.erase(0, newline + 1);
    ++lines;
  }
  CHECK(lines == 4);
  CHECK(again.render() == owners.render());

  std::string line = ClientOwners::line(ClientOwners::name_line, "bob");
  line.pop_back();
  for (std::size_t at = 0; at < line.size(); ++at) {
    std::string damaged = line;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    CHECK_FALSE(again.read_line(damaged));
    CHECK_FALSE(again.read_line(line.substr(0, at)));
  }
  CHECK(again.lasting() == 2);
}

TEST_CASE("client_owners: the oldest foreign sessions make room") {
  ClientOwners owners;
  for (std::size_t i = 0; i < ClientOwners::foreign_sessions_max + 10; ++i) {
    owners.learn_foreign_session(std::to_string(i) + "d");
  }
  CHECK(owners.lasting() == ClientOwners::foreign_sessions_max);
  CHECK_FALSE(owners.judge_user("alice", "9d", true, third).has_value());
  CHECK(owners.judge_user("alice", "10d", true, third) == Objection::foreign_session);
}
