// Publishing to users: to whoever subscribed, or to one session alone (core/gates.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/code.hpp"
#include "core/gates.hpp"
#include "core/ids.hpp"
#include "core/link.hpp"
#include "plugin/sessions.hpp"

namespace parley::plugin {

struct Counters {
  std::uint64_t logins = 0;
  std::uint64_t logins_refused = 0;
  std::uint64_t spooled = 0;
  std::uint64_t wills = 0;
  std::uint64_t wills_dropped = 0;
  std::uint64_t refused = 0;       // publishes and subscriptions
  std::uint64_t rate_limited = 0;  // publishes
  std::uint64_t spool_full = 0;    // publishes
  std::uint64_t frames_in = 0;     // from the worker
  std::uint64_t frames_bad = 0;    // from the worker
  std::uint64_t frames_out = 0;    // to the worker
  std::uint64_t repeats = 0;       // times that records were sent again
  std::uint64_t delivered = 0;     // publishes to users
  std::uint64_t gates_lost = 0;
  std::uint64_t kicked = 0;
  std::uint64_t out_of_memory = 0;  // publishes that the broker did not take
  bool operator==(const Counters&) const = default;
};

class Outlet {
 public:
  Outlet(std::string prefix, Sessions& sessions, Counters& counters);

  /// Something for one user's topic.
  struct Item {
    std::string_view suffix;  // behind "<prefix>/u/<name>/"
    std::string_view payload;
    int qos = 0;
    SessionNo only = 0;  // not 0: this session alone, whatever it waits for
    const std::vector<link::Property>* properties = nullptr;
    const std::string* correlation_data = nullptr;
  };
  /// Publishes it if a session of the user could be given it.
  void to_user(const User& user, const Item& item);
  /// The same for many; those who are not here are left out.
  void to_users(const std::vector<std::string>& names, const Item& item);
  /// From here on the first have caught up, and the second are to be brought up to date again.
  void turn_over(std::vector<link::SyncDone> sync_done, std::vector<link::Hold> holds);
  /// A refusal that the protocol cannot tell, as a line on the user's `err`.
  void error_line(Session& session, Code code, std::string_view topic, std::string_view detail,
                  MonoMillis now);

  /// Whether fences are seen: whoever publishes for one session alone needs that.
  void fences_seen(bool seen) { fences_seen_ = seen; }
  /// A fence reached the worker's connection.
  void pass_fence();
  /// The broker is about to give the session something of its user's topics.
  /// @param of  feed bit of the topic
  [[nodiscard]] bool lets_through(const Session& session, std::uint32_t of) const;

  /// At the tick's start and end: see Gates.
  void begin_tick();
  void end_tick() { gates_.end_tick(); }

 private:
  void to_one(const User& user, const Item& item, std::uint32_t feed);
  bool fence(Gate gate);
  void lose(const Gate& gate);
  void missed(const User& user, SessionNo only);

  const std::string prefix_;
  const std::string fence_topic_;
  Sessions& sessions_;
  Counters& counters_;
  Gates gates_;
  bool fences_seen_ = false;
  std::vector<const User*> recipients_;  // of one call: its memory serves the next one
};

}  // namespace parley::plugin
