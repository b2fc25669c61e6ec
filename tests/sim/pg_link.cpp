// The simulation's PgLink: the same class as worker/pg_link.cpp, with tests/sim/database behind it
// instead of libpq. It keeps the promises of worker/pg_link.hpp and nothing else.
#include "worker/pg_link.hpp"

#include <algorithm>
#include <asio/post.hpp>
#include <chrono>
#include <memory>
#include <utility>

#include "tests/sim/database.hpp"

namespace parley {
namespace {
constexpr int retry_delay_ms_max = 2'000;
constexpr std::size_t in_flight_max = 32;
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

PgLink::~PgLink() { stop(); }

void PgLink::start() { connect(); }

void PgLink::stop() {
  state_ = State::stopped;
  retry_.cancel();
  close();
  queue_.clear();
  in_flight_.clear();
}

void PgLink::close() {
  if (generation_ != 0) sim::the_database()->close(std::exchange(generation_, 0));
}

void PgLink::connect() {
  if (!sim::the_database()->up) {
    lost("down");
    return;
  }
  state_ = State::connecting;
  retry_.expires_after(std::chrono::milliseconds{5});
  retry_.async_wait([this](const asio::error_code& error) {
    if (error || state_ != State::connecting) return;
    if (sim::the_database()->up) {
      connected();
    } else {
      lost("down");
    }
  });
}

void PgLink::connected() {
  sim::Connection connection;
  connection.answer = [this](sim::JobResult result) {
    asio::post(loop_, [this, generation = generation_,
                       kept = std::make_shared<sim::JobResult>(std::move(result))] {
      if (generation != generation_ || in_flight_.empty()) return;
      auto& job = in_flight_.front();
      if (*kept) {
        job.rows = std::move(**kept);
      } else {
        job.fault = kept->error();
      }
      finish_front();
    });
  };
  connection.lost = [this] {
    asio::post(loop_, [this, generation = generation_] {
      if (generation == generation_) lost("cut");
    });
  };
  generation_ = sim::the_database()->connect(std::move(connection));
  state_ = State::ready;
  retry_delay_ms_ = 0;
  pump();
  if (on_ready_) on_ready_();
}

void PgLink::lost(const std::string& why) {
  if (state_ == State::stopped) return;
  close();
  if (std::exchange(state_, State::waiting) == State::ready && on_lost_) on_lost_();
  retry_delay_ms_ = std::min(retry_delay_ms_ == 0 ? 50 : retry_delay_ms_ * 2, retry_delay_ms_max);
  retry_.expires_after(std::chrono::milliseconds{retry_delay_ms_});
  retry_.async_wait([this](const asio::error_code& error) {
    if (!error && state_ == State::waiting) connect();
  });
  for (auto& job : std::exchange(in_flight_, {})) {
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
    sim::the_database()->send(generation_, std::move(in_flight_.back().queries));
  }
}

/// An answer has come: called from within the loop.
void PgLink::finish_front() {
  if (in_flight_.empty()) return;
  Job job = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (job.fault) {
    job.done(failed(std::move(*job.fault)));
  } else {
    job.done(std::move(job.rows));
  }
  pump();
}

}  // namespace parley
