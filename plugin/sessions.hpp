// Our users' connections, by the broker's pointer: client ids are taken over, pointers are not.
// Also what of them the worker is told. All in the broker's thread.
#pragma once

#include <mosquitto.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/flat_index.hpp"
#include "core/ids.hpp"
#include "core/limits.hpp"
#include "core/link.hpp"
#include "core/rate.hpp"
#include "core/session_feeds.hpp"
#include "core/shared_text.hpp"

namespace parley::plugin {

struct User;

enum class Life : std::uint8_t {
  fresh,  // logged in since the last tick: the broker may still be giving it a former session's
          // past
  live,
  dead,  // disconnected; kept for its will, and for what a persistent session may still be given
};

/// What a token proved.
struct Identity {
  SharedText user;
  UserId user_id;  // 0 for a service
  std::uint8_t scope = 0;
  std::uint32_t expires_at = 0;  // unix seconds, 0 = never
  std::uint32_t generation = 0;
  bool bound = false;  // good for this client id only
};

struct Connection {
  SharedText client_id;
  bool clean = true;  // MQTT 3.1.1 clean session, MQTT 5 clean start
  std::uint8_t protocol_version = 4;
  std::uint16_t keep_alive_s = 0;
};

/// One of our users' connections. There are very many, and most do nothing: what only a few need is
/// made when they need it, and nothing is kept that can be told from the rest.
struct Session {
  Session(mosquitto* c, SessionNo n, User& u, const Identity& identity, Connection via);

  /// Makes this what the connection has proved.
  void prove(const Identity& identity);

  mosquitto* client;  // never read through after it is dead
  User* user;
  Session* next_of_user = nullptr;
  SharedText client_id;
  SessionNo no;
  UserId user_id;  // 0 for a service
  SessionFeeds feeds;
  std::uint32_t expires_at = 0;  // unix seconds, 0 = never
  std::uint32_t generation = 0;  // of its token
  /// Of its device when it logged in: with a higher one the device has been removed or revoked.
  /// Without meaning unless has_device_generation.
  std::uint32_t device_generation = 0;
  std::uint32_t sync_no = 0;  // how often it had to be brought up to date; an answer to an earlier
                              // time does not count
  std::uint32_t hold_no = 0;  // the last time that the worker asked for it
  std::uint16_t keep_alive_s;
  std::uint8_t protocol_version;
  std::uint8_t scope = 0;
  Life life = Life::fresh;
  bool clean : 1;          // MQTT 3.1.1 clean session, MQTT 5 clean start
  bool bound : 1 = false;  // its token is good for this client id only
  bool is_device : 1;      // a named device
  bool has_device_generation : 1 = false;
  bool doomed : 1 = false;        // it has to go (see doom): nothing is allowed until it is gone
  bool syncing : 1 = false;       // contents wait until the worker has sent what it missed
  bool announced : 1 = false;     // the worker knows of it
  bool changed : 1 = false;       // the worker is to be told at the tick
  bool sees_inbound : 1 = false;  // a service's subscriptions to the link's topics
  bool sees_fence : 1 = false;

  [[nodiscard]] std::string_view name() const;    // of its user
  [[nodiscard]] std::string_view device() const;  // empty: not a named device
  [[nodiscard]] bool is_service() const;
  [[nodiscard]] bool is_mqtt5() const { return protocol_version >= 5; }
  /// May it do anything at all.
  [[nodiscard]] bool active() const { return life != Life::dead && !doomed; }
  /// A past that comes back: what was queued for it while it was away reaches it.
  [[nodiscard]] bool may_resume() const { return is_device && (!clean || is_mqtt5()); }

  /// Lines on `err`.
  struct ErrorRates {
    TokenBucket lines;
    TokenBucket rate_lines;  // those of them that say that something was dropped for the rate
  };
  ErrorRates& error_rates();

 private:
  std::unique_ptr<ErrorRates> error_rates_;  // null: full
};

struct User {
  explicit User(SharedText n) : name{std::move(n)} {}

  struct Rates {
    TokenBucket publishes;
    TokenBucket typing;
  };
  Rates& rates(const Limits& limits);

  SharedText name;
  Session* first = nullptr;           // of a list, without the dead that nothing can reach any more
  std::unique_ptr<Rates> rates_made;  // null: full
  std::uint32_t feeds = 0;            // that any session of his could be given now
  std::uint32_t known = 0;            // sessions that refer to this user, with the dead
  std::uint32_t idle_no = 0;          // of the last time that there were none any more
  bool has_mqtt5 = false;             // among the live ones
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
  Session& login(mosquitto* client, const Identity& identity, Connection connection);
  /// A check of a known connection came to this.
  void renew(Session& session, const Identity& identity);
  /// The connection is gone. Its entry stays, dead.
  void disconnect(Session& session);
  /// The broker uses the pointer for somebody else now.
  void forget(const mosquitto* client);
  /// Its token is no longer good, or it would get what follows without something before it:
  /// disconnected at the tick.
  void doom(Session& session);

  void subscribe(Session& session, const FilterGrant& grant);
  /// @param rest  the filter behind "<prefix>/u/<me>/"
  void unsubscribe(Session& session, std::string_view rest);
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
    SharedText user;
    SessionFeeds feeds;
    SessionNo of = 0;
  };
  struct ClientOf {
    const mosquitto* operator()(const std::unique_ptr<Session>& session) const {
      return session->client;
    }
  };
  struct NoOf {
    SessionNo operator()(const Session* session) const { return session->no; }
  };
  struct NameOf {
    std::string_view operator()(const std::unique_ptr<User>& user) const {
      return user->name.view();
    }
  };
  struct IdleUser {
    MonoMillis since;
    SharedText name;
    std::uint32_t no;
  };
  struct Expiry {
    std::uint32_t at;     // unix seconds
    std::uint32_t count;  // of the session's number
  };
  static bool later(const Expiry& one, const Expiry& other) { return one.at > other.at; }

  User& user(const SharedText& name);
  void watch_expiry(const Session& session);
  static void leave(User& user, const Session& session);
  void remove(Session& session);
  void recount(User& user);
  static void begin_sync(Session& session);
  void on_change(Session& session, std::uint32_t before, SessionFeeds::Change change);
  void mark_changed(Session& session);
  void resume(Session& session);
  void remember(Session& session);
  [[nodiscard]] link::Session describe(const Session& session) const;

  const Limits limits_;
  const SessionNo base_;  // numbers of this start; the next start has others
  std::uint32_t count_ = 0;
  std::size_t live_ = 0;
  FlatIndex<std::unique_ptr<Session>, ClientOf> sessions_;
  FlatIndex<Session*, NoOf> by_no_;
  FlatIndex<std::unique_ptr<User>, NameOf> users_;
  std::unordered_map<std::string, Remembered, Hash, std::equal_to<>> remembered_;  // by client id
  std::deque<std::pair<SessionNo, std::string>> remembered_order_;  // may hold forgotten ones
  std::vector<SessionNo> fresh_;
  std::vector<SessionNo> ended_;      // to be removed at the tick
  std::deque<SessionNo> dead_order_;  // may hold removed ones
  std::vector<SessionNo> changed_;
  std::vector<link::SessionChange> downs_;
  std::vector<SessionNo> doomed_;
  std::vector<Session*> services_;
  std::vector<Expiry> expiries_;  // a heap, the next one first; may hold ended and renewed ones
  std::deque<IdleUser> idle_users_;
  std::uint32_t idle_count_ = 0;
};

template <class Good>
std::size_t Sessions::doom_unless(Good&& good) {
  std::size_t count = 0;
  sessions_.for_each([&](const std::unique_ptr<Session>& session) {
    if (!session->active() || good(*session)) return;
    doom(*session);
    ++count;
  });
  return count;
}

}  // namespace parley::plugin
