// The worker: puts its parts together, and their life from start to stop.
#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <set>
#include <string>

#include "core/auto_got.hpp"
#include "core/clock_check.hpp"
#include "core/delivery_positions.hpp"
#include "core/keyring.hpp"
#include "core/sessions.hpp"
#include "worker/attendance.hpp"
#include "worker/backlog.hpp"
#include "worker/chores.hpp"
#include "worker/config.hpp"
#include "worker/conversations.hpp"
#include "worker/cursors.hpp"
#include "worker/dispatch.hpp"
#include "worker/exports.hpp"
#include "worker/indexer.hpp"
#include "worker/lanes.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/presence_events.hpp"
#include "worker/receipts.hpp"
#include "worker/specials.hpp"
#include "worker/state_topics.hpp"
#include "worker/statements.hpp"
#include "worker/sync.hpp"
#include "worker/typing.hpp"

namespace parley {

/// How the worker ends; also its exit codes.
enum class Ending : int {
  stopped = 0,     // SIGTERM or SIGINT, in good order
  failed = 1,      // it could not start; the log says why
  superseded = 3,  // another worker has taken over
  unusable = 4,    // the broker cannot carry our frames
};

class Worker {
 public:
  /// @param claim  of the lanes, which makes this worker the one that stores
  Worker(const Config& config, const sql::Claim& claim);
  /// Runs until it is stopped.
  Ending run();
  /// What run() does before the loop turns: for who turns it himself, until it has stopped.
  void start();
  [[nodiscard]] asio::io_context& loop() { return loop_; }

 private:
  MqttSettings mqtt_settings() const;
  PluginLink::Handlers plugin_handlers();
  Lanes::Handlers lane_handlers();
  void on_session(const link::SessionChange& change);
  void forget_sessions();
  void on_sessions_known();
  void on_welcome();
  void push_generations();
  void push_generations_soon();
  void generations_from(UserId after_user, const std::string& after_device, bool first);
  void on_notify(const std::string& channel);
  void announce();
  void housekeeping();
  void auto_got();
  void expire_messages();
  void contents_gone(ConversationId conversation);
  void tell_contents_gone();
  void every_second();
  void check_clock();
  void forget_clock();
  void make_partitions();
  void tell_status();
  void turn();
  void end_turn();
  void stop_gracefully();
  void when_drained();
  void end(Ending ending);

  const Config config_;
  const sql::Claim claim_;
  asio::io_context loop_;
  asio::signal_set signals_;
  asio::steady_timer minute_;
  asio::steady_timer second_;
  asio::steady_timer drain_;
  asio::steady_timer revoked_timer_;
  PgLink database_;
  MembersCache members_;
  Sessions sessions_;
  AutoGot auto_got_;
  Attendance attendance_;
  MonoMillis auto_got_at_;  // when that was last looked at
  DeliveryPositions positions_;
  PluginLink plugin_;
  Lanes lanes_;
  Indexer indexer_;
  PgLink names_;     // of its own: everybody's messages wait for a name that is looked up
  PgLink asked_;     // of requests
  PgLink searched_;  // of those that may take long: search, mentions, exports
  PgLink seen_;      // of the state topics
  InOrder in_order_;
  Resolver resolver_;
  Cursors cursors_;
  Backlogs backlogs_;
  StateTopics state_;
  Publisher publisher_;
  PresenceEvents presence_events_;
  Typing typing_;
  Receipts receipts_;
  Syncs syncs_;
  Exports exports_;
  Specials specials_;
  Requests requests_;
  Chores chores_;
  Dispatch dispatch_;
  std::uint64_t dropped_frames_ = 0;
  bool turn_open_ = false;
  bool stopping_ = false;
  ClockCheck clock_;
  bool newest_known_ = false;
  bool checking_clock_ = false;
  bool expiring_ = false;
  /// Whether messages may be stored by the clocks. Another database may come back than was lost.
  enum class Clock { unknown, good, off };
  Clock clock_state_ = Clock::unknown;
  bool clock_stale_ = false;  // the answer that is awaited is from before
  bool stored_ = false;       // something, since the clock was looked at
  bool degraded_ = false;
  std::set<ConversationId> contents_gone_;  // not told to who shows their state; bounded
  bool telling_contents_gone_ = false;
  std::int64_t database_ahead_ = 0;  // its clock, ms
  bool pushing_generations_ = false;
  bool generations_changed_ = false;
  bool pushing_soon_ = false;
  MonoMillis stop_deadline_;
  Ending ending_ = Ending::stopped;
};

}  // namespace parley
