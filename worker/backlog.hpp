// What a session lacks, sent to it alone: what it missed when it subscribes an inbox, before
// anything live; and what its device has not confirmed in time, once more (docs/protocol.md,
// "Backlog" and "Got"; docs/adr/0005, 0007). One run at a time for each session; never more on its
// way than the broker keeps for a client.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/auto_got.hpp"
#include "core/backlog_pace.hpp"
#include "core/delivery_positions.hpp"
#include "core/fan_out.hpp"
#include "core/sessions.hpp"
#include "worker/config.hpp"
#include "worker/cursors.hpp"
#include "worker/lanes.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/statements_sync.hpp"

namespace parley {

class Backlogs {
 public:
  struct Needs {
    PgLink& database;
    PgLink& seen;  // for what may fail, and take its time
    PluginLink& plugin;
    Lanes& lanes;
    Cursors& cursors;
    Sessions& sessions;
    AutoGot& auto_got;
    DeliveryPositions& positions;
    std::function<void()> turn;  // something was delivered outside a turn: end it
  };
  struct Settings {
    std::uint32_t sync_messages_max = 0;
    DeliveryConfig delivery;
    std::uint32_t first_hold_no = 1;  // another one than earlier workers had
  };
  Backlogs(asio::io_context& loop, Needs needs, Settings settings);

  /// Begins to look after those that are due.
  void start();
  /// A session has come up or has changed. If it is syncing: begins with it, or begins again if it
  /// has to be brought up to date once more (another sync_no), or goes on.
  void changed(const link::Session& session);
  /// Takes up a session that had caught up with an earlier worker, or while this one could not see
  /// it.
  void follow(SessionNo session_no);
  void drop(SessionNo session_no);
  /// All sessions are known: those that are not among them are gone.
  void forget_gone();
  /// The sessions are not known for a while: what is stored now is missed.
  void lost_sight();
  /// A message has just been stored and published: this session is syncing, and gets it with its
  /// backlog.
  void stored(const link::Session& session, const std::shared_ptr<const StoredMessage>& message,
              bool is_room, std::string_view conv);
  /// An event has just been told: this session is syncing, and gets it behind its backlog.
  /// @param conversation  0: the event is none of its revs
  /// @param about         then: it replaces an earlier one that says the same of that conversation
  void told(const link::Session& session, const std::shared_ptr<const Event>& event,
            ConversationId conversation, const std::string& about);
  /// The same for one that gets it live.
  void told_live(const link::Session& session, ConversationId conversation, Rev rev);
  /// The same as stored() for one that gets it live.
  void live(const link::Session& session, const StoredMessage& message);
  /// Holds back those that have been given as much as they may have on their way. Call it when a
  /// message's deliveries and its commit have been handed over: the two are not to be parted.
  void hold_full();
  /// A client has said up to where it holds a conversation.
  void got(SessionNo session_no, ConversationId conversation, Seq seq, bool confirms);
  /// Whether it has been told all events, also those from before it came: what it is not told later
  /// can only be what it is told live.
  [[nodiscard]] bool told_all(SessionNo session_no) const {
    return told_all_.contains(session_no) && !runs_.contains(session_no);
  }
  /// Whether a session of his without a device is being brought up to date.
  [[nodiscard]] bool catches_up_without_device(std::string_view user) const;
  /// A new device begins where its user stands. Call it before his marks are raised: else those
  /// that subscribed before it would begin behind what came since, and never get that.
  void begin_devices(std::string_view user);
  /// The session has now subscribed events, beside an inbox: it gets those that it missed.
  void events_begin(SessionNo session_no);
  /// Whose position a `sync` says: a named device's, or one session's.
  struct Place {
    std::string user;
    std::string device;        // empty: none
    SessionNo session_no = 0;  // then
    auto operator<=>(const Place&) const = default;
  };
  /// A `sync` is being carried out: nothing more is sent to the sessions that are there, nor to
  /// those that come.
  void pause(const Place& place);
  /// It has been. Goes on from where the device is now; null: that has not changed.
  void resume(const Place& place, const std::vector<sql::Placed>* placed);
  /// The plugin has carried out some more: go on where that was waited for.
  void applied();

 private:
  struct Live {
    std::shared_ptr<const StoredMessage> message;
    bool is_room;
    std::string conv;
    std::uint64_t no;  // in the order of coming, with events
  };
  enum class State {
    holding,  // until the plugin says that live messages are held back
    waiting,  // for its turn
    active,   // asks, sends
    blocked,  // as much is on its way as may be
    paused,   // until it is known where the device is
  };
  struct Told {
    std::shared_ptr<const Event> event;
    ConversationId conversation;
    std::uint64_t no;
  };
  struct Run {
    Run(const DeliveryConfig& config, Place where)
        : place{std::move(where)}, pace{config.paced_per_s, config.unconfirmed_max} {}
    State state = State::waiting;
    bool anew = false;          // while it is holding: the plugin itself began again, so what was
                                // sent live is not sure
    bool with_events = false;   // it had subscribed them when todo was made
    bool overflowed = false;    // not all that was told meanwhile is there
    bool wants_missed = false;  // behind the pages: events without a rev
    bool missed_told = true;    // all of them that were asked for
    bool observes = false;      // gets only what is new, and that from here alone
    bool listed = false;        // once: only then may something be left out (truncated)
    Place place;
    std::uint64_t id = 0;  // answers to an earlier one are ignored
    std::uint32_t sync_no = 0;
    std::uint32_t hold_no = 0;  // while it is holding
    std::deque<sql::Behind> todo;
    std::unordered_map<ConversationId, Seq>
        confirmed;                                   // meanwhile: the database may not say so yet
    std::unordered_map<ConversationId, Seq> passed;  // of todo: up to where it was sent
    std::deque<Live> live;                           // stored meanwhile; bounded
    std::deque<Told> events;                         // told meanwhile, with a rev; bounded
    std::map<std::pair<std::string, std::string>, std::shared_ptr<const Event>>
        unnumbered;              // told meanwhile, by conv and what they are about; bounded
    std::deque<Event> missed;    // … and before: to be sent
    std::uint64_t came = 0;      // messages and events told meanwhile, counted
    std::uint64_t wait_for = 0;  // a batch that the plugin shall have carried out; 0: none
    MonoMillis blocked_at;
    BacklogPace pace;  // packets that nobody confirms
  };
  /// Of one conversation; without those that were not asked for.
  struct Page {
    std::vector<sql::MessageRow> messages;
    std::vector<sql::EventRow> events;
    bool all_messages = true;  // there are no more
    bool all_events = true;
  };
  [[nodiscard]] static Place place_of(const link::Session& session);
  [[nodiscard]] std::vector<SessionNo> sessions_at(const Place& place) const;
  void park(SessionNo session_no, Run& run);
  void begin(SessionNo session_no);
  void held(Run& run, const link::Session& session);
  void hold(SessionNo session_no);
  void hold_anew(SessionNo session_no);
  void enqueue(SessionNo session_no, Run& run);
  void activate(SessionNo session_no, Run& run);
  void placed_anew(SessionNo session_no, const Place& place,
                   const std::vector<sql::Placed>& placed);
  void next_waiting();
  void block(SessionNo session_no, Run& run);
  void ask(SessionNo session_no);
  void list(SessionNo session_no);
  void listed(SessionNo session_no, const std::vector<PgRows>& results);
  void next_page(SessionNo session_no);
  void ask_page(SessionNo session_no, std::int64_t packets);
  void send_page(SessionNo session_no, const Page& page);
  bool send_row(const link::Session& session, Run& run, const sql::MessageRow& row);
  void end_page(const link::Session& session, Run& run, bool last);
  void ask_missed(SessionNo session_no);
  void next_missed(SessionNo session_no, std::int64_t packets);
  void wait_for_plugin(SessionNo session_no, Run& run);
  void positions_of(const link::Session& session, Run& run, sql::Behind& behind);
  void plan(const link::Session& session, Run& run, const PgRows& rows);
  std::uint32_t send_event(const link::Session& session, const Event& event);
  bool send(const link::Session& session, Run& run, const StoredMessage& message, bool is_room,
            std::string_view conv);
  [[nodiscard]] std::int64_t allowance(SessionNo session_no);
  void limit(const link::Session& session, sql::Behind& behind);
  void truncated(const link::Session& session, const sql::Behind& behind, Seq from);
  void settle(SessionNo session_no);
  void send_what_came(const link::Session& session, Run& run);
  void finish(SessionNo session_no);
  void retry(SessionNo session_no);
  std::vector<SessionNo> due_now();
  void tick();
  [[nodiscard]] std::uint32_t enough_room(SessionNo session_no);
  [[nodiscard]] bool may_wake(SessionNo session_no);
  void extend_if_silent(SessionNo session_no);
  void wake_blocked();
  void wake(SessionNo session_no);
  [[nodiscard]] bool current(SessionNo session_no, std::uint64_t id) const;

  asio::steady_timer retry_timer_;
  asio::steady_timer tick_timer_;
  struct Retry {
    SessionNo session_no;
    std::uint64_t id;
  };
  std::vector<Retry> retrying_;
  Needs needs_;
  const Settings settings_;
  std::unordered_map<SessionNo, Run> runs_;
  std::map<Place, std::uint32_t> paused_;  // by how many requests
  /// What sessions without a device have said that they hold, until they have got the rest.
  std::unordered_map<SessionNo, std::unordered_map<ConversationId, sql::Placed>> placed_;
  std::unordered_set<SessionNo> told_all_;
  /// Those that get all events without a rev that there are, as a `sync` has said where they are.
  std::unordered_set<SessionNo> since_ever_;
  /// Up to which rev a session was told; what it was told before it came is not there.
  std::unordered_map<SessionNo, std::unordered_map<ConversationId, Rev>> told_up_to_;
  std::deque<SessionNo> waiting_;  // may name some that are gone
  std::unordered_set<SessionNo> blocked_;
  std::vector<SessionNo> unapplied_;  // active, with wait_for; may name some that are gone
  MonoMillis looked_at_;              // at what is due
  std::vector<SessionNo> full_;       // see hold_full()
  std::unordered_map<SessionNo, std::uint32_t> finished_;  // sync_no: told, and perhaps on its way
  std::size_t active_ = 0;
  std::uint64_t last_id_ = 0;
  std::uint32_t next_hold_no_;
  bool starting_ = false;  // within next_waiting
};

}  // namespace parley
