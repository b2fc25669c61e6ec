// One connection to PostgreSQL in pipeline mode, driven by the loop: never blocks, connects again
// by itself.
#pragma once

#include <libpq-fe.h>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/result.hpp"
#include "worker/pg_values.hpp"

namespace parley {

/// SQL text with a name under which it is prepared; a constant that lives for ever
/// (statements.cpp).
struct PgStatement {
  const char* name;
  const char* sql;
};

struct PgQuery {
  const PgStatement* statement;
  PgParams params;
};

/// Why a job did not succeed.
struct PgFault {
  enum class Kind {
    in_doubt,  // the connection broke after sending: committed or not
    error,     // the server refused; nothing of the job happened
  };
  Kind kind = Kind::in_doubt;
  std::string sqlstate;  // five characters; empty when in doubt
  std::string what;
};

class PgLink {
 public:
  using Done = std::function<void(Result<std::vector<PgRows>, PgFault>)>;

  /// @param name         for logs and application_name
  /// @param setup        statements without parameters, run after each connect (LISTEN …)
  /// @param limit_ms     how long a statement may take, and wait for a lock; 0: as long as it
  ///                     takes, and 5 s for a lock
  PgLink(asio::io_context& loop, std::string name, std::string uri,
         std::vector<const PgStatement*> setup = {}, std::uint32_t limit_ms = 0);
  PgLink(const PgLink&) = delete;
  PgLink& operator=(const PgLink&) = delete;
  ~PgLink();  // NOLINT(bugprone-exception-escape): cancelling a timer does not fail

  void start();
  /// Runs the queries as one implicit transaction and then calls `done` once, from the loop, never
  /// from within submit. Jobs start in order. While there is no connection they wait; a job that
  /// was sent when the connection broke ends with `in_doubt`.
  void submit(std::vector<PgQuery> queries, Done done);
  /// Ends without calling anything any more.
  void stop();

  [[nodiscard]] bool ready() const { return state_ == State::ready; }
  [[nodiscard]] std::size_t waiting() const { return queue_.size() + in_flight_.size(); }
  /// Loop thread; called with the payload of each NOTIFY and its channel.
  void on_notify(std::function<void(std::string channel, std::string payload)> fn) {
    on_notify_ = std::move(fn);
  }
  /// Called when the connection is there (again).
  void on_ready(std::function<void()> fn) { on_ready_ = std::move(fn); }
  /// Called when it is gone.
  void on_lost(std::function<void()> fn) { on_lost_ = std::move(fn); }

 private:
  enum class State { stopped, waiting, connecting, ready };
  struct Job {
    std::vector<PgQuery> queries;
    Done done;
    std::vector<PgRows> rows;
    std::optional<PgFault> fault;
    struct Step {
      const PgStatement* statement;
      bool prepare;
    };
    std::deque<Step> steps;  // results still expected, before the sync
    std::int64_t sent_at_ms = 0;
  };

  void connect();
  void poll_connect();
  void connected();
  void lost(const std::string& why);
  void close();
  void pump();
  bool send(Job& job);
  void flush();
  void wait_readable();
  void wait_writable();
  void readable();
  void take_results();
  void take_result(PGresult* result);
  void finish_front();
  void take_notifications();
  void watch();

  asio::io_context& loop_;
  const std::string name_;
  const std::string uri_;
  const std::vector<const PgStatement*> setup_;
  const std::uint32_t limit_ms_;
  asio::steady_timer retry_;
  asio::steady_timer watchdog_;
  asio::posix::stream_descriptor socket_;
  PGconn* connection_ = nullptr;
  State state_ = State::stopped;
  std::uint64_t generation_ = 0;  // of the connection: handlers of an earlier one do nothing
  bool waiting_writable_ = false;
  bool reported_lost_ = false;
  int retry_delay_ms_ = 0;
  std::int64_t connecting_since_ms_ = 0;
  std::unordered_set<const PgStatement*> prepared_;
  std::deque<Job> queue_;
  std::deque<Job> in_flight_;
  std::function<void(std::string, std::string)> on_notify_;
  std::function<void()> on_ready_;
  std::function<void()> on_lost_;
};

}  // namespace parley
