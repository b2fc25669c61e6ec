// Our users' connections, by the broker's pointer: client ids are taken over, pointers are not.
// Also what of them the worker is told. All in the broker's thread.
#pragma once

#include <mosquitto.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "core/limits.hpp"
#include "core/link.hpp"
#include "core/rate.hpp"
#include "core/session_feeds.hpp"

namespace parley::plugin {

struct User;

enum class Life {
  fresh,  // logged in since the last tick: the broker may still be giving it a former session's
          // past
  live,
  dead,  // disconnected; kept for its will, and for what a persistent session may still be given
};

/// What a token proved.
struct Identity {
  std::string user;
  UserId user_id;  // 0 for a service
  std::uint8_t scope = 0;
  std::uint32_t expires_at = 0;  // unix seconds, 0 = never
  std::uint32_t generation = 0;
  bool bound = false;  // good for this client id only
};

struct Connection {
  std::string client_id;
  bool clean = true;  // MQTT 3.1.1 clean session, MQTT 5 clean start
  int protocol_version = 4;
  std::uint32_t keep_alive_s = 0;
};

struct Session {
  Session(mosquitto* c, SessionNo n, Identity i, Connection via);

  mosquitto* client;  // never read through after it is dead
  SessionNo no;
  Identity identity;
  Connection connection;
  std::string device;  // empty: not a named device
  /// Of its device when it logged in: with a higher one the device has been removed or revoked.
  /// Nothing: it has none.
  std::optional<std::uint32_t> device_generation;
  User* user = nullptr;
  Life life = Life::fresh;
  bool doomed = false;  // it has to go (see doom): nothing is allowed until it is gone
  SessionFeeds feeds;
  bool syncing = false;       // contents wait until the worker has sent what it missed
  std::uint32_t sync_no = 0;  // how often that was; an answer to an earlier time does not count
  std::uint32_t hold_no = 0;  // the last time that the worker asked for it
  bool announced = false;     // the worker knows of it
  bool changed = false;       // the worker is to be told at the tick
  bool sees_inbound = false;  // a service's subscriptions to the link's topics
  bool sees_fence = false;
  TokenBucket error_lines;
  TokenBucket rate_lines;  // those of them that say that something was dropped for the rate

  [[nodiscard]] bool is_service() const;
  [[nodiscard]] bool is_mqtt5() const { return connection.protocol_version >= 5; }
  /// May it do anything at all.
  [[nodiscard]] bool active() const { return life != Life::dead && !doomed; }
  /// A past that comes back: what was queued for it while it was away reaches it.
  [[nodiscard]] bool may_resume() const {
    return !device.empty() && (!connection.clean || is_mqtt5());
  }
};

struct User {
  User(std::string n, const Limits& limits);

  std::string name;
  std::vector<Session*> sessions;  // without the dead ones that nothing can reach any more
  std::size_t known = 0;           // with them: they refer to this user
  std::uint32_t feeds = 0;         // that any session of his could be given now
  bool has_mqtt5 = false;          // among the live ones
  TokenBucket publishes;
  TokenBucket typing;
  MonoMillis idle_since;
};

class Sessions {
 public:
  static constexpr std::size_t dead_max = 65'536;         // beyond: the longest dead is forgotten
  static constexpr std::size_t remembered_max = 100'000;  // beyond: the oldest is forgotten

  explicit Sessions(const Limits& limits);

  /// Null if it is none of ours.
  [[nodiscard]] Session* find(const mosquitto* client);
  [[nodiscard]] Session* find(SessionNo no);
  [[nodiscard]] User* find_user(std::string_view name);
  /// A live service session with that client id.
  [[nodiscard]] Session* find_service(std::string_view client_id);

  /// A valid login. Whatever was known under this pointer is void.
  Session& login(mosquitto* client, Identity identity, Connection connection);
  /// A check of a known connection came to this.
  void renew(Session& session, const Identity& identity);
  /// The connection is gone. Its entry stays, dead.
  void disconnect(Session& session);
  /// The broker uses the pointer for somebody else now.
  void forget(const mosquitto* client);
  /// Its token is no longer good, or it would get what follows without something before it:
  /// disconnected at the tick.
  void doom(Session& session);

  void subscribe(Session& session, std::string_view filter, const FilterGrant& grant);
  void unsubscribe(Session& session, std::string_view filter);
  /// It has caught up.
  void sync_done(const link::SyncDone& done);
  /// The worker is going to bring it up to date again.
  void hold(const link::Hold& hold);
  /// What was meant to bring it up to date was lost: again.
  void sync_again(SessionNo no);

  /// Once per tick: those that logged in become live, those that ended and have nothing left to
  /// come go.
  void tick(MonoMillis now);
  /// Those to be disconnected now.
  std::vector<SessionNo> take_doomed() { return std::exchange(doomed_, {}); }
  /// Dooms those whose token has expired; returns how many.
  std::size_t expire(std::int64_t now_s);
  /// Dooms those that `good` does not hold for.
  template <class Good>
  std::size_t doom_unless(Good&& good);

  // ---- what the worker is told ----

  /// Changes since the last call. Call once per tick.
  std::vector<link::SessionChange> take_changes();
  /// All sessions with subscriptions, as ups.
  std::vector<link::SessionChange> snapshot();

  [[nodiscard]] std::size_t live() const { return live_; }
  [[nodiscard]] std::size_t known() const { return sessions_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct Remembered {
    std::string user;
    SessionFeeds feeds;
    SessionNo of = 0;
  };
  using Expiry = std::pair<std::uint32_t, SessionNo>;

  User& user(const std::string& name);
  void watch_expiry(const Session& session);
  void unwatch_expiry(const Session& session);
  void remove(Session& session);
  void recount(User& user);
  static void begin_sync(Session& session);
  void on_change(Session& session, SessionFeeds::Change change);
  void mark_changed(Session& session);
  void resume(Session& session);
  void remember(Session& session);
  [[nodiscard]] link::Session describe(const Session& session) const;

  const Limits limits_;
  const SessionNo base_;  // numbers of this start; the next start has others
  std::uint32_t count_ = 0;
  std::size_t live_ = 0;
  std::unordered_map<const mosquitto*, Session> sessions_;
  std::unordered_map<SessionNo, Session*> by_no_;
  std::unordered_map<std::string, User, Hash, std::equal_to<>> users_;
  std::unordered_map<std::string, Remembered, Hash, std::equal_to<>> remembered_;  // by client id
  std::deque<std::pair<SessionNo, std::string>> remembered_order_;  // may hold forgotten ones
  std::vector<SessionNo> fresh_;
  std::vector<SessionNo> ended_;      // to be removed at the tick
  std::deque<SessionNo> dead_order_;  // may hold removed ones
  std::vector<SessionNo> changed_;
  std::vector<link::SessionChange> downs_;
  std::vector<SessionNo> doomed_;
  std::vector<Session*> services_;
  std::set<Expiry> expiries_;  // of those that are not dead
  std::deque<std::pair<MonoMillis, std::string>> idle_users_;
};

template <class Good>
std::size_t Sessions::doom_unless(Good&& good) {
  std::size_t count = 0;
  for (auto& [client, session] : sessions_) {
    if (session.life == Life::dead || session.doomed || good(session)) continue;
    doom(session);
    ++count;
  }
  return count;
}

}  // namespace parley::plugin
