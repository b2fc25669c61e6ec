// Fills the search index beside the storing (schema/migrations/0011_search.sql): what is stored
// costs nothing more for it. Each conversation has its own durable position, so that whatever
// happens in between nothing is left out and nothing is in it twice.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/ids.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements_search.hpp"

namespace parley {

/// Loop thread.
class Indexer {
 public:
  /// @param configuration  of the text search; another one than before indexes everything anew
  /// @param pressed        whether messages wait for being stored: then it takes its time
  Indexer(asio::io_context& loop, const std::string& uri, std::string configuration,
          std::function<bool()> pressed);

  void start();
  /// Something in this conversation has changed.
  void touched(ConversationId conversation);

 private:
  void tick(std::chrono::milliseconds after);
  void work();
  void sweep();
  void swept(const sql::HeadsBehind& page);
  /// @param alone  as it has failed together with others
  void index(std::vector<ConversationId> conversations, bool alone);
  void write(const std::vector<ConversationId>& conversations, bool alone,
             const std::vector<sql::IndexWork>& work);
  void adapt(std::size_t messages);
  void failed(const std::vector<ConversationId>& conversations, bool alone, const PgFault& fault);
  void go_on();

  const std::string configuration_;
  asio::steady_timer timer_;
  PgLink database_;
  const std::function<bool()> pressed_;
  bool busy_ = false;
  bool more_ = false;  // of this round something is left: the next one is worth while at once
  std::size_t of_round_ = 0;  // so many of the first are of this round
  MonoMillis round_at_;
  MonoMillis began_;  // the step that is under way, or was the last
  MonoMillis rest_until_;
  MonoMillis pressed_until_;        // it rests longer, while messages wait for being stored
  std::size_t messages_max_ = 400;  // in a step
  bool looked_ = false;             // at a page of all heads, and no round since
  // What is behind: bounded; what does not fit the next look at all heads finds.
  std::deque<ConversationId> waiting_;
  std::unordered_set<ConversationId> known_;  // the same
  std::size_t alone_ = 0;  // so many of the first are tried one by one, as one of them fails
  ConversationId swept_;   // the look at all heads has come so far
  MonoMillis sweep_at_;    // when the next one begins
  MonoMillis plan_at_;     // statements are planned anew
  bool failing_ = false;
};

}  // namespace parley
