#include "worker/pg_link.hpp"

#include <asio/post.hpp>
#include <chrono>
#include <memory>
#include <utility>

#include "core/fault_point.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr int retry_delay_ms_max = 2'000;
constexpr std::size_t in_flight_max = 32;
// A server that answers nothing for so long is taken for dead (half-open connection, stopped
// process).
constexpr std::int64_t answer_ms_max = 30'000;
constexpr std::int64_t connect_ms_max = 5'000;
constexpr std::uint32_t lock_ms_max = 5'000;

/// Plans must not be made from the statistics of an empty partition (docs/ARCHITECTURE.md,
/// "Storage").
std::string options_of(std::uint32_t limit_ms) {
  std::string options =
      "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c synchronous_commit=on "
      "-c timezone=UTC -c client_min_messages=warning -c jit=off -c lock_timeout=" +
      std::to_string(limit_ms == 0 ? lock_ms_max : limit_ms);
  if (limit_ms != 0) options += " -c statement_timeout=" + std::to_string(limit_ms);
  return options;
}

}  // namespace

PgLink::PgLink(asio::io_context& loop, std::string name, std::string uri,
               std::vector<const PgStatement*> setup, std::uint32_t limit_ms)
    : loop_{loop},
      name_{std::move(name)},
      uri_{std::move(uri)},
      setup_{std::move(setup)},
      limit_ms_{limit_ms},
      retry_{loop},
      watchdog_{loop},
      socket_{loop} {}

// NOLINTNEXTLINE(bugprone-exception-escape): cancelling a timer does not fail
PgLink::~PgLink() { stop(); }

void PgLink::start() {
  connect();
  watch();
}

void PgLink::stop() {
  state_ = State::stopped;
  retry_.cancel();
  watchdog_.cancel();
  close();
  queue_.clear();
  in_flight_.clear();
}

void PgLink::close() {
  ++generation_;
  waiting_writable_ = false;
  if (socket_.is_open()) socket_.release();  // the descriptor is libpq's
  PQfinish(connection_);
  connection_ = nullptr;
  prepared_.clear();
}

void PgLink::connect() {
  close();
  state_ = State::connecting;
  connecting_since_ms_ = mono_now().value;
  const std::string application = "parley " + name_;
  const std::string options = options_of(limit_ms_);
  const char* const keys[] = {"dbname", "application_name", "options", nullptr};
  const char* const values[] = {uri_.c_str(), application.c_str(), options.c_str(), nullptr};
  connection_ = PQconnectStartParams(keys, values, 1);
  if (connection_ == nullptr || PQstatus(connection_) == CONNECTION_BAD) {
    lost(connection_ == nullptr ? "out of memory" : PQerrorMessage(connection_));
    return;
  }
  poll_connect();
}

void PgLink::poll_connect() {
  // libpq may change the socket between two polls.
  if (socket_.is_open()) socket_.release();
  const auto outcome = PQconnectPoll(connection_);
  if (outcome == PGRES_POLLING_OK) {
    connected();
    return;
  }
  if (outcome == PGRES_POLLING_FAILED) {
    lost(PQerrorMessage(connection_));
    return;
  }
  socket_.assign(PQsocket(connection_));
  const auto direction = outcome == PGRES_POLLING_READING
                             ? asio::posix::stream_descriptor::wait_read
                             : asio::posix::stream_descriptor::wait_write;
  socket_.async_wait(direction, [this, generation = generation_](const asio::error_code& error) {
    if (generation == generation_ && !error) poll_connect();
  });
}

void PgLink::connected() {
  PQsetnonblocking(connection_, 1);
  if (PQenterPipelineMode(connection_) != 1) {
    lost(PQerrorMessage(connection_));
    return;
  }
  socket_.assign(PQsocket(connection_));
  state_ = State::ready;
  retry_delay_ms_ = 0;
  if (reported_lost_) log::info("event=database_back link={}", name_);
  reported_lost_ = false;
  wait_readable();
  for (const auto* statement : setup_) {
    Job job;
    job.queries.push_back({statement, {}});
    job.done = [](const auto&) {};
    queue_.push_front(std::move(job));
  }
  pump();
  if (on_ready_) on_ready_();
}

void PgLink::lost(const std::string& why) {
  if (state_ == State::stopped) return;
  if (!reported_lost_) {
    log::warn("event=database_lost link={} err={}", name_, log::quoted(why));
    reported_lost_ = true;
  }
  close();
  if (std::exchange(state_, State::waiting) == State::ready && on_lost_) on_lost_();
  retry_delay_ms_ = std::min(retry_delay_ms_ == 0 ? 50 : retry_delay_ms_ * 2, retry_delay_ms_max);
  retry_.expires_after(std::chrono::milliseconds{retry_delay_ms_});
  retry_.async_wait([this](const asio::error_code& error) {
    if (!error && state_ == State::waiting) connect();
  });
  auto broken = std::exchange(in_flight_, {});
  for (auto& job : broken) {
    asio::post(loop_, [done = std::move(job.done), why] {
      done(failed(PgFault{PgFault::Kind::in_doubt, "", why}));
    });
  }
}

void PgLink::submit(std::vector<PgQuery> queries, Done done) {
  Job job;
  job.queries = std::move(queries);
  job.done = std::move(done);
  queue_.push_back(std::move(job));
  if (state_ == State::ready) pump();
}

void PgLink::pump() {
  while (state_ == State::ready && !queue_.empty() && in_flight_.size() < in_flight_max) {
    in_flight_.push_back(std::move(queue_.front()));
    queue_.pop_front();
    if (!send(in_flight_.back())) {
      lost(PQerrorMessage(connection_));
      return;
    }
  }
  flush();
}

bool PgLink::send(Job& job) {
  job.sent_at_ms = mono_now().value;
  for (const auto& query : job.queries) {
    const auto types = query.params.types();
    const int count = static_cast<int>(query.params.count());
    if (prepared_.insert(query.statement).second) {
      if (PQsendPrepare(connection_, query.statement->name, query.statement->sql, count,
                        types.data()) != 1) {
        return false;
      }
      job.steps.push_back({query.statement, true});
    }
    const auto values = query.params.values();
    const auto lengths = query.params.lengths();
    const std::vector<int> formats(query.params.count(), 1);
    if (PQsendQueryPrepared(connection_, query.statement->name, count, values.data(),
                            lengths.data(), formats.data(), 1) != 1) {
      return false;
    }
    job.steps.push_back({query.statement, false});
  }
  return PQpipelineSync(connection_) == 1;
}

void PgLink::flush() {
  if (state_ != State::ready) return;
  const int left = PQflush(connection_);
  if (left < 0) {
    lost(PQerrorMessage(connection_));
  } else if (left > 0) {
    wait_writable();
  }
}

void PgLink::wait_writable() {
  if (waiting_writable_) return;
  waiting_writable_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                     [this, generation = generation_](const asio::error_code& error) {
                       if (generation != generation_ || error) return;
                       waiting_writable_ = false;
                       flush();
                     });
}

void PgLink::wait_readable() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [this, generation = generation_](const asio::error_code& error) {
                       if (generation != generation_ || error) return;
                       readable();
                       if (generation == generation_) wait_readable();
                     });
}

void PgLink::readable() {
  if (PQconsumeInput(connection_) != 1) {
    take_results();  // what came before the end still counts
    if (state_ == State::ready) lost(PQerrorMessage(connection_));
    return;
  }
  take_results();
  if (state_ != State::ready) return;
  take_notifications();
  pump();
}

void PgLink::take_results() {
  const auto generation = generation_;
  while (generation == generation_ && !in_flight_.empty() && PQisBusy(connection_) == 0) {
    PGresult* const result = PQgetResult(connection_);
    if (result != nullptr) {
      take_result(result);
    } else if (PQstatus(connection_) == CONNECTION_BAD) {
      return;
    }
  }
}

void PgLink::take_result(PGresult* result) {
  PgRows rows{result};
  auto& job = in_flight_.front();
  const auto status = PQresultStatus(result);
  if (status == PGRES_PIPELINE_SYNC) {
    finish_front();
    return;
  }
  if (job.steps.empty()) {  // the server says goodbye (57P01) outside any statement
    lost(PQresultErrorMessage(result));
    return;
  }
  const auto step = job.steps.front();
  job.steps.pop_front();
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
    if (!step.prepare) job.rows.push_back(std::move(rows));
    if (job.steps.empty() && name_.starts_with("lane ")) {
      crash_point(CrashPoint::worker_rows_without_sync);
    }
    return;
  }
  if (step.prepare) prepared_.erase(step.statement);
  if (!job.fault && status != PGRES_PIPELINE_ABORTED) {
    const char* const sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    job.fault = PgFault{PgFault::Kind::error, sqlstate == nullptr ? "" : sqlstate,
                        PQresultErrorMessage(result)};
  }
}

void PgLink::finish_front() {
  Job job = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (!job.fault) {
    job.done(std::move(job.rows));
    return;
  }
  // The server is going away, or libpq speaks for it: whether the COMMIT came through is not known.
  const auto& state = job.fault->sqlstate;
  if (state.empty() || state.starts_with("08") || state.starts_with("57P")) {
    job.fault->kind = PgFault::Kind::in_doubt;
  }
  job.done(failed(std::move(*job.fault)));
}

void PgLink::take_notifications() {
  while (PGnotify* const note = PQnotifies(connection_)) {
    const std::unique_ptr<PGnotify, decltype(&PQfreemem)> owner{note, &PQfreemem};
    if (on_notify_) on_notify_(note->relname, note->extra);
  }
}

void PgLink::watch() {
  watchdog_.expires_after(std::chrono::seconds{1});
  watchdog_.async_wait([this](const asio::error_code& error) {
    if (error || state_ == State::stopped) return;
    const auto now = mono_now().value;
    if (state_ == State::ready && !in_flight_.empty() &&
        now - in_flight_.front().sent_at_ms > answer_ms_max) {
      lost("no answer for too long");
    } else if (state_ == State::connecting && now - connecting_since_ms_ > connect_ms_max) {
      lost("no connection within " + std::to_string(connect_ms_max) + " ms");
    }
    watch();
  });
}

}  // namespace parley
