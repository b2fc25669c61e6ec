// What is done in the background, a little at a time, on a connection of its own: erasing the
// accounts of those who asked for it, and removing what is older than it may be.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "worker/lanes.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements_account.hpp"

namespace parley {

/// Loop thread. All of it may be interrupted at any place and done again.
class Chores {
 public:
  struct Needs {
    Lanes& lanes;
    std::function<void(const Changed&)> tell;           // what has changed in a room
    std::function<void(ConversationId)> contents_gone;  // from messages there, or these altogether
    std::function<void()> turn;
  };
  /// @param retention_days  0: messages stay for ever
  Chores(asio::io_context& loop, const std::string& uri, std::uint32_t retention_days, Needs needs);

  void start();

 private:
  enum class Phase { idle, partitions, rows, rooms };
  void tick(int wait_ms);
  void work();
  void erase();
  void leave_room(const sql::ErasureRoom& room);
  void left_room(const sql::ErasureRoom& room, const Result<Changed, PgFault>& result);
  void erase_contents();
  void postpone(UserId user, ConversationId room);
  [[nodiscard]] bool retention_due() const;
  void retain();
  void retained(const sql::RetentionStep& step);
  void failed(const char* what, const PgFault& fault);

  const std::uint32_t retention_days_;
  Needs needs_;
  asio::steady_timer timer_;
  PgLink database_;
  Phase phase_ = Phase::idle;
  bool retain_next_ = false;
  std::int64_t after_ = 0;  // the phase has come so far
  MonoMillis retain_at_;    // when the next round begins
};

}  // namespace parley
