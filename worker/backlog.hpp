// What a session missed: sent to it alone when it subscribes an inbox, before anything live
// (docs/protocol.md, "Backlog").
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/auto_got.hpp"
#include "core/fan_out.hpp"
#include "core/sessions.hpp"
#include "worker/cursors.hpp"
#include "worker/lanes.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"

namespace parley {

class Backlogs {
 public:
  struct Needs {
    PgLink& database;
    PluginLink& plugin;
    Lanes& lanes;
    Cursors& cursors;
    Sessions& sessions;
    AutoGot& auto_got;
    std::function<void()> turn;  // something was delivered outside a turn: end it
  };
  Backlogs(asio::io_context& loop, Needs needs, std::uint32_t sync_messages_max)
      : timer_{loop}, needs_{std::move(needs)}, sync_messages_max_{sync_messages_max} {}

  /// A session that is syncing has come up or has changed: begins with it, or begins again if it
  /// has to be brought up to date once more (another sync_no), or goes on.
  void start(const link::Session& session);
  /// Only finds out whether a session that has caught up already is to be followed for automatic
  /// `got`.
  void follow(SessionNo session_no);
  void drop(SessionNo session_no);
  /// All sessions are known: those that are not among them are gone.
  void forget_gone();
  /// A message has just been stored and published: sessions that are syncing get it with their
  /// backlog.
  void stored(const std::shared_ptr<const StoredMessage>& message,
              const Conversation& conversation);
  /// The plugin has carried out some more: go on where that was waited for.
  void applied();

 private:
  struct Live {
    std::shared_ptr<const StoredMessage> message;
    bool is_room;
    std::string conv;
  };
  struct Run {
    std::uint64_t id = 0;  // 0: has not begun. Answers to an earlier one are ignored
    std::uint32_t sync_no = 0;
    std::map<ConversationId, Seq> sent;  // up to where, by this run
    std::deque<sql::Behind> todo;
    std::deque<Live> live;  // stored meanwhile; bounded
    bool overflowed = false;
    bool listed = false;         // once: only then may something be left out (truncated)
    std::uint64_t wait_for = 0;  // a batch that the plugin shall have carried out; 0: none
  };
  void next_waiting();
  void ask(SessionNo session_no);
  void list(SessionNo session_no);
  void listed(SessionNo session_no, const std::vector<PgRows>& results);
  void next_page(SessionNo session_no);
  void page(SessionNo session_no, const sql::Behind& behind,
            const std::vector<sql::MessageRow>& rows);
  void truncated(const link::Session& session, const sql::Behind& behind, Seq from);
  void settle(SessionNo session_no);
  void finish(SessionNo session_no);
  void retry(SessionNo session_no);
  [[nodiscard]] bool current(SessionNo session_no, std::uint64_t id) const;

  asio::steady_timer timer_;
  struct Retry {
    SessionNo session_no;
    std::uint64_t id;
  };
  std::vector<Retry> retrying_;
  Needs needs_;
  const std::uint32_t sync_messages_max_;
  std::unordered_map<SessionNo, Run> runs_;
  std::deque<SessionNo> waiting_;                          // not begun; may name some that are gone
  std::unordered_map<SessionNo, std::uint32_t> finished_;  // sync_no: told, and perhaps on its way
  std::size_t running_ = 0;                                // of runs_: those that have begun
  std::uint64_t last_id_ = 0;
  bool starting_ = false;  // within next_waiting
};

/// A row as it goes to clients. `conv` is not set.
StoredMessage stored_message(ConversationId conversation, const sql::MessageRow& row);

}  // namespace parley
