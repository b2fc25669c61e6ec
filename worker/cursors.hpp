// `got` and `read`, of clients and of sessions that stayed up: coalesced per (user, device,
// conversation) and raised in the database a few times a second on a connection of their own.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/statements.hpp"

namespace parley {

class Cursors {
 public:
  struct Handlers {
    /// For the origin of each raised mark, once it is committed, or a later one covers it.
    std::function<void(const Origin&)> done;
    /// Users' cursors that have risen, committed.
    std::function<void(const std::vector<sql::MovedCursor>&)> moved;
  };
  Cursors(asio::io_context& loop, const std::string& uri, Handlers handlers);

  void start();
  void raise(const sql::MarkUpdate& update);
  /// For a mark that a client published.
  void raise(const sql::MarkUpdate& update, const Origin& origin);
  /// This device becomes known, and begins where its user stands, before anything that is raised
  /// from here on.
  void begin(UserId user, const std::string& device) { begins_.insert({user, device}); }
  [[nodiscard]] bool idle() const { return waiting_.empty() && !busy_; }
  /// Writes what is waiting now if it uses up the credit.
  void end_turn(bool credit_short);
  /// Writes what is waiting now instead of at the next turn of the timer.
  void flush();
  /// Calls back once everything raised so far is committed; at once if it is. For those who are
  /// about to read what a client said a moment ago.
  void after_raised(std::function<void()> fn);

 private:
  using Key = std::tuple<UserId, std::string, ConversationId>;
  struct Waiting {
    sql::MarkUpdate update;
    std::vector<Origin> origins;  // bounded by the credit that the plugin has
  };
  Waiting& add(const sql::MarkUpdate& update);
  void tick();
  void send(std::vector<Waiting> batch);

  const Handlers handlers_;
  asio::steady_timer timer_;
  PgLink database_;
  std::map<Key, Waiting> waiting_;
  std::set<std::pair<UserId, std::string>> begins_;  // with the next batch
  bool busy_ = false;
  bool failing_ = false;
  MonoMillis sent_at_{std::numeric_limits<std::int32_t>::min()};
  std::vector<std::function<void()>> after_this_;  // the batch that is on its way
  std::vector<std::function<void()>> after_next_;  // the one that takes all that is waiting
};

}  // namespace parley
