#include "core/session_feeds.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace parley;
using Change = SessionFeeds::Change;

namespace {

Change add(SessionFeeds& feeds, const std::string& filter) {
  const auto judged = judge_filter("im", "bob", filter);
  REQUIRE(std::holds_alternative<FilterGrant>(judged));
  return feeds.add(std::get<FilterGrant>(judged));
}

Change remove(SessionFeeds& feeds, const std::string& filter) {
  return feeds.remove(std::get<FilterGrant>(judge_filter("im", "bob", filter)).rest);
}

using Convs = std::vector<std::string>;

std::string states(const SessionFeeds& feeds) {
  std::string out;
  const auto sum = feeds.sum();
  for (const auto& [filter, asked_no] : sum.states) {
    out += (out.empty() ? "" : " ") + filter + "@" + std::to_string(asked_no);
  }
  return out;
}

}  // namespace

TEST_CASE("session_feeds: contents that begin are synced, other changes are told only") {
  SessionFeeds feeds;
  CHECK(add(feeds, "im/u/bob/ack/+") == Change::changed);
  CHECK(add(feeds, "im/u/bob/event.json/+") == Change::resync);  // the first contents
  CHECK(add(feeds, "im/u/bob/inbox/+") == Change::resync);       // the first inbox
  CHECK(add(feeds, "im/u/bob/inbox/+") == Change::none);
  CHECK(add(feeds, "im/u/bob/inbox.json/+") == Change::changed);  // one more format
  CHECK(add(feeds, "im/u/bob/sent.json/+") == Change::changed);
  CHECK(feeds.mask() == (feed::ack_text | feed::event_json | feed::inbox_text | feed::inbox_json |
                         feed::sent_json));
  CHECK(feeds.sum().inbox_all);
}

TEST_CASE("session_feeds: an inbox that covers more conversations is synced again") {
  SessionFeeds feeds;
  CHECK(add(feeds, "im/u/bob/inbox/alice") == Change::resync);
  CHECK(feeds.sum().convs == Convs{"alice"});
  CHECK(add(feeds, "im/u/bob/inbox.json/alice") == Change::changed);
  CHECK(add(feeds, "im/u/bob/inbox/ops") == Change::resync);
  CHECK(feeds.sum().convs == Convs{"alice", "ops"});
  CHECK(add(feeds, "im/u/bob/#") == Change::resync);
  CHECK(feeds.sum().inbox_all);
  CHECK(feeds.sum().convs.empty());
  CHECK(add(feeds, "im/u/bob/inbox/carol") == Change::none);
  CHECK(remove(feeds, "im/u/bob/#") == Change::changed);
  CHECK(feeds.sum().convs == Convs{"alice", "carol", "ops"});
}

TEST_CASE("session_feeds: what is unsubscribed is gone, but not what another filter covers") {
  SessionFeeds feeds;
  add(feeds, "im/u/bob/inbox/+");
  add(feeds, "im/u/bob/inbox/#");
  CHECK(remove(feeds, "im/u/bob/inbox/+") == Change::none);
  CHECK(feeds.mask() == feed::inbox_text);
  CHECK(remove(feeds, "im/u/bob/inbox/nobody") == Change::none);
  CHECK(remove(feeds, "im/u/bob/inbox/#") == Change::changed);
  CHECK(feeds.mask() == 0);
  CHECK(add(feeds, "im/u/bob/inbox/+") == Change::resync);
}

TEST_CASE("session_feeds: too many filters are kept as their sum") {
  SessionFeeds feeds;
  for (int i = 0; i < 300; ++i) add(feeds, "im/u/bob/inbox/c" + std::to_string(i));
  CHECK(feeds.filters() == SessionFeeds::filters_max);
  CHECK(feeds.sum().inbox_all);  // more conversations than are told one by one
  add(feeds, "im/u/bob/err");
  for (int i = 0; i < 300; ++i) remove(feeds, "im/u/bob/inbox/c" + std::to_string(i));
  CHECK(feeds.mask() == (feed::inbox_text | feed::err));
}

TEST_CASE(
    "session_feeds: a session that comes back has what it had, and what it subscribed since") {
  SessionFeeds former;
  add(former, "im/u/bob/inbox/alice");
  add(former, "im/u/bob/state/#");
  SessionFeeds now;
  add(now, "im/u/bob/err");
  CHECK(now.adopt(former) == Change::resync);
  CHECK(now.mask() == (feed::inbox_text | feed::state | feed::err));
  CHECK(states(now) == "#@1");
  CHECK(now.sum().convs == Convs{"alice"});
  CHECK(remove(now, "im/u/bob/state/#") == Change::changed);
  CHECK(now.mask() == (feed::inbox_text | feed::err));

  SessionFeeds unknown;
  CHECK(unknown.assume_all() == Change::resync);
  CHECK(unknown.mask() == feed::all_but_state);
  CHECK(states(unknown).empty());
  CHECK(unknown.sum().inbox_all);
}

TEST_CASE("session_feeds: state topics are asked for each time that they are subscribed") {
  SessionFeeds feeds;
  CHECK(add(feeds, "im/u/bob/#") == Change::resync);
  CHECK(states(feeds).empty());
  CHECK(add(feeds, "im/u/bob/state/unread") == Change::changed);
  CHECK(add(feeds, "im/u/bob/state/conv/+") == Change::changed);
  CHECK(states(feeds) == "conv/+@2 unread@1");
  CHECK(add(feeds, "im/u/bob/state/unread") == Change::changed);
  CHECK(states(feeds) == "conv/+@2 unread@3");
  CHECK(feeds.ask_state_again() == Change::changed);
  CHECK(states(feeds) == "conv/+@5 unread@4");
  CHECK(remove(feeds, "im/u/bob/state/conv/+") == Change::changed);
  CHECK(states(feeds) == "unread@4");
  CHECK(remove(feeds, "im/u/bob/state/unread") == Change::changed);
  CHECK((feeds.mask() & feed::state) == 0);
  CHECK(feeds.ask_state_again() == Change::none);
}

TEST_CASE("session_feeds: too many filters of state topics are told as one") {
  SessionFeeds feeds;
  for (int i = 1; i <= 64; ++i) add(feeds, "im/u/bob/state/conv/c" + std::to_string(i));
  CHECK(feeds.sum().states.size() == SessionFeeds::states_max);
  add(feeds, "im/u/bob/state/conv/more");
  CHECK(states(feeds) == "#@65");
  CHECK(add(feeds, "im/u/bob/state/conv/c1") == Change::changed);
  CHECK(states(feeds) == "#@66");
  CHECK(remove(feeds, "im/u/bob/state/conv/more") == Change::changed);
  CHECK(feeds.sum().states.size() == SessionFeeds::states_max);

  SessionFeeds full;
  for (int i = 0; i < 256; ++i) add(full, "im/u/bob/inbox/c" + std::to_string(i));
  CHECK(add(full, "im/u/bob/state/unread") == Change::changed);  // beyond what is remembered
  CHECK(add(full, "im/u/bob/state/unread") == Change::changed);
  CHECK(states(full) == "unread@2");
  CHECK(full.ask_state_again() == Change::changed);
  SessionFeeds now;
  now.adopt(full);
  CHECK(states(now) == "unread@1");
}
