#include "core/state_view.hpp"

#include <doctest/doctest.h>

using namespace parley;

namespace {

constexpr StateKey::Kind unread = StateKey::Kind::unread;
const StateKey total{unread, {}, {}};

MonoMillis at(std::int64_t ms) { return {ms}; }

/// What is told if all that may be told now has this payload.
std::size_t told(StateView& view, std::string_view payload, std::int64_t ms) {
  std::size_t count = 0;
  for (const auto& key : view.take(at(ms), 10'000))
    count += view.tell(key, payload, at(ms)) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("state_view: a change is told soon, the next ones a second later, as one") {
  StateView view;
  CHECK_FALSE(view.due(at(0)));
  view.touch(total, at(0));
  CHECK(view.due(at(0)) == at(StateView::gather_ms));
  CHECK(told(view, "1", StateView::gather_ms - 1) == 0);
  CHECK(told(view, "1", StateView::gather_ms) == 1);
  for (int i = 1; i < 10; ++i) view.touch(total, at(StateView::gather_ms + i));
  const auto next = StateView::gather_ms + StateView::again_after_ms;
  CHECK(view.due(at(200)) == at(next));
  CHECK(told(view, "10", next - 1) == 0);
  CHECK(told(view, "10", next) == 1);
  CHECK_FALSE(view.due(at(next)));
}

TEST_CASE("state_view: what has not changed is not told, but if it is asked for") {
  StateView view;
  view.ask(total, at(0));
  CHECK(told(view, "1", 0) == 1);
  view.touch(total, at(5'000));
  CHECK(told(view, "1", 6'000) == 0);
  view.ask(total, at(6'000));
  CHECK(told(view, "1", 6'000) == 1);
  view.touch(total, at(6'001));
  view.ask(total, at(6'002));  // at once, although it waits
  CHECK(told(view, "1", 6'002) == 1);
  CHECK(told(view, "2", 20'000) == 0);
}

TEST_CASE("state_view: what could not be looked up, and what changes meanwhile, is kept") {
  StateView view;
  view.ask(total, at(0));
  auto taken = view.take(at(0), 10);
  REQUIRE(taken.size() == 1);
  view.put_back(taken[0], at(0));
  CHECK(told(view, "1", 0) == 1);
  view.touch(total, at(2'000));
  taken = view.take(at(3'000), 10);
  view.touch(total, at(3'000));
  CHECK(view.tell(taken.at(0), "2", at(3'000)));
  CHECK(told(view, "3", 4'100) == 1);
}

TEST_CASE("state_view: topics are apart, and told in the order in which they changed") {
  StateView view;
  view.touch(StateKey::of(ConversationId{2}), at(0));
  view.touch(StateKey::of(ConversationId{1}), at(0));
  view.touch(StateKey::of("bob"), at(1));
  const auto taken = view.take(at(500), 2);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0] == StateKey::of(ConversationId{2}));
  CHECK(taken[1] == StateKey::of(ConversationId{1}));
  CHECK(view.waiting() == 1);
}

TEST_CASE("state_view: what there is no more is told when it comes back") {
  StateView view;
  const auto bob = StateKey::of("bob");
  view.ask(bob, at(0));
  CHECK(told(view, "online", 0) == 1);
  view.touch(bob, at(10));
  for (const auto& key : view.take(at(2'000), 10)) view.nothing(key);
  view.touch(bob, at(2'000));
  CHECK(told(view, "online", 4'000) == 1);
}

TEST_CASE("state_view: so many at once, and then so many a second") {
  StateView view;
  for (int i = 1; i <= 700; ++i) view.ask(StateKey::of(ConversationId{i}), at(0));
  CHECK(told(view, "{}", 0) == StateView::at_once);
  CHECK(told(view, "{}", 1) == 0);
  CHECK(view.due(at(1)).value() > at(1));
  CHECK(told(view, "{}", 1'000) <= StateView::per_s);
  CHECK(view.waiting() > 0);
  std::size_t rest = 0;
  for (int ms = 1'000; ms < 3'500; ms += 10) rest += told(view, "{}", ms);
  CHECK(view.waiting() == 0);
  CHECK(rest > 0);
}
