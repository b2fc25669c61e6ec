#include "core/sessions.hpp"

#include <doctest/doctest.h>

#include "core/topic.hpp"

using namespace parley;

namespace {
link::Session session_of(SessionNo number, const char* user, std::uint32_t feeds) {
  link::Session session;
  session.session_no = number;
  session.user = user;
  session.feeds = feeds;
  session.syncing = true;
  return session;
}
}  // namespace

TEST_CASE("sessions: a user has what his sessions have together") {
  Sessions sessions;
  sessions.up(session_of(1, "alice", feed::inbox_text));
  sessions.up(session_of(2, "alice", feed::ack_json));
  CHECK(sessions.feeds_of("alice") == (feed::inbox_text | feed::ack_json));
  CHECK(sessions.of("alice") == std::vector<SessionNo>{1, 2});
  sessions.up(session_of(1, "alice", feed::inbox_json));
  CHECK(sessions.feeds_of("alice") == (feed::inbox_json | feed::ack_json));
  sessions.down(2);
  sessions.down(2);
  CHECK(sessions.feeds_of("alice") == feed::inbox_json);
  sessions.down(1);
  CHECK(sessions.feeds_of("alice") == 0);
  CHECK(sessions.of("alice").empty());
  CHECK(sessions.count() == 0);
}

TEST_CASE("sessions: synced ends the waiting of that session") {
  Sessions sessions;
  sessions.up(session_of(1, "alice", feed::inbox_text));
  sessions.synced(1);
  sessions.synced(99);
  CHECK_FALSE(sessions.find(1)->syncing);
}

TEST_CASE("sessions: a filter for one conversation covers that one") {
  auto session = session_of(1, "alice", feed::inbox_text);
  session.inbox_convs = {"ops"};
  CHECK(covers(session, "ops"));
  CHECK_FALSE(covers(session, "bob"));
  session.inbox_all = true;
  CHECK(covers(session, "bob"));
  session.feeds = feed::sent_json;
  CHECK_FALSE(covers(session, "ops"));
}
