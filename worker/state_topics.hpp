// The state topics: what is unread, how each conversation stands, who is there; told to the
// sessions that have subscribed them, at once and then on change (docs/protocol.md, "State"). What
// has changed is only noted; a moment later the database is asked for all of it together.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/fan_out.hpp"
#include "core/presence.hpp"
#include "core/sessions.hpp"
#include "core/state_topics.hpp"
#include "core/state_view.hpp"
#include "worker/attendance.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/statements_requests.hpp"
#include "worker/statements_state.hpp"

namespace parley {

class StateTopics {
 public:
  struct Needs {
    PgLink& database;  // no message waits for it
    PluginLink& plugin;
    const Sessions& sessions;
    const Attendance& attendance;
    std::function<void()> turn;  // something was delivered outside a turn: end it
  };
  StateTopics(asio::io_context& loop, Needs needs);

  void stop() { timer_.cancel(); }
  /// A session has come up or has changed.
  void up(const link::Session& session);
  void drop(SessionNo session_no);
  /// The sessions are not known for a while. Those that come again are told everything again.
  void clear();
  /// Call it every second.
  void every_second();
  /// The plugin has carried out some more.
  void applied();

  // ---- what may have changed; for all that nobody has subscribed it costs nothing ----

  /// Something was stored in, or happened to, a conversation of this session's user.
  void changed(const link::Session& session, const Conversation& conversation);
  /// He is out of one of them, or something else was said to him alone.
  void changed(const link::Session& session);
  /// His `read` was raised there.
  void read(UserId user, ConversationId conversation);
  /// A request of his was carried out.
  void requested(std::string_view method, const sql::Asker& asker, ConversationId conversation,
                 const std::string& request);
  /// Messages have expired there, were erased, or are too old.
  void contents_gone(const std::vector<sql::MemberOf>& where);
  void presence(const std::vector<Presence::Change>& changes);

  /// Whose sessions have subscribed any of it.
  [[nodiscard]] std::vector<UserId> users() const;

 private:
  struct Viewer {          // a session
    std::uint64_t id = 0;  // answers meant for an earlier one of the same number are ignored
    UserId user_id;
    std::string user;
    StateWants wants;
    std::uint32_t asked_no = 0;  // of its filters, the newest that was seen
    StateWants asked;            // subscribed since: what there is of it is to be found
    bool people_anew = false;    // whom he has to do with may have changed
    MonoMillis people_at;        // when that was looked up
    std::unordered_map<ConversationId, std::int64_t> versions;  // members_version
    std::set<std::string, std::less<>> watched;                 // names; bounded
    std::map<ConversationId, UnixMillis> muted_until;           // in the future
    StateView view;
    std::optional<MonoMillis> due_at;  // its place in due_
  };
  struct Listing {
    SessionNo session_no = 0;
    std::uint64_t id = 0;
    UserId user_id;
    StateWants asked;
    bool anew = false;    // whom he has to do with may have changed
    bool people = false;  // those whom he has to do with
    bool conversations = false;
  };
  struct Item {
    SessionNo session_no = 0;
    std::uint64_t id = 0;
    UserId user_id;
    StateKey key;
  };
  struct Batch {  // what the database is asked for at once
    std::vector<Listing> listings;
    std::vector<Item> totals;
    std::vector<Item> conversations;
    std::vector<Item> people;
    [[nodiscard]] std::size_t items() const {
      return totals.size() + conversations.size() + people.size();
    }
  };
  using Shared = std::shared_ptr<const Batch>;

  Viewer* find(SessionNo session_no);
  Viewer* find(SessionNo session_no, std::uint64_t id);
  template <class Fn>
  void for_each_of(UserId user, Fn&& fn);
  template <class Fn>
  void for_each_of(std::string_view user, Fn&& fn);
  void touch(SessionNo session_no, Viewer& viewer, const StateKey& key);
  void touch_conversation(SessionNo session_no, Viewer& viewer, ConversationId conversation);
  void may_see_otherwise(std::string_view viewer, const std::string& about);
  void watch(SessionNo session_no, Viewer& viewer, std::set<std::string, std::less<>> names);
  void remember_mute(SessionNo session_no, Viewer& viewer, ConversationId conversation,
                     std::optional<UnixMillis> until);

  void schedule(SessionNo session_no, Viewer& viewer);
  void arm();
  void run();
  Batch gather(MonoMillis now);
  void add_listing(Batch& batch, SessionNo session_no, Viewer& viewer, MonoMillis now);
  static std::vector<PgQuery> queries_of(const Batch& batch);
  void failed(const Batch& batch, const PgFault& fault);
  void answered(const Batch& batch, const std::vector<PgRows>& results);
  void listed(const Listing& listing, const std::vector<PgRows>& results, std::size_t& next);
  void totals(const std::vector<Item>& items, const PgRows& rows);
  void conversations(const std::vector<Item>& items, const PgRows& rows);
  void people(const std::vector<Item>& items, const PgRows& rows);
  void tell(const Item& item, Viewer& viewer, std::string suffix, std::string payload);

  Needs needs_;
  asio::steady_timer timer_;
  std::optional<MonoMillis> armed_for_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<SessionNo, Viewer> viewers_;
  std::unordered_map<UserId, std::vector<SessionNo>> by_user_;
  std::map<std::string, std::set<SessionNo>, std::less<>> watchers_;  // of a name
  std::set<std::pair<MonoMillis, SessionNo>> due_;
  std::set<std::tuple<UnixMillis, SessionNo, ConversationId>> unmutes_;
  bool busy_ = false;           // the database was asked
  std::uint64_t wait_for_ = 0;  // a batch that the plugin shall have carried out; 0: none
  MonoMillis not_before_;       // after a fault
  std::size_t items_max_;
};

}  // namespace parley
