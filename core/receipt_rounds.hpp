// How many receipts somebody is given at once: a broker keeps only so much for a client. What is
// too much for one waits for his next round, and nobody else waits for it. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.hpp"

namespace parley {

class ReceiptRounds {
 public:
  using Key = std::pair<ConversationId, UserId>;  // whose cursors, and where
  struct Receipt {
    std::string conv;  // as those who are told call it
    std::string reader;
    Seq got_seq = 0;
    Seq read_seq = 0;
  };
  struct Telling {
    std::shared_ptr<const Receipt> receipt;
    std::vector<std::string> to;  // may be empty
  };
  /// @param at_once_max  to one user in a round
  /// @param waiting_max  receipts, counted for each user; beyond that they are left out
  ReceiptRounds(std::size_t at_once_max, std::size_t waiting_max)
      : at_once_max_{at_once_max}, waiting_max_{waiting_max} {}

  /// Newer than all that was said of this key before: who still waits for that is told this
  /// instead.
  /// @return what is told now
  Telling add(const Key& key, Receipt receipt, const std::vector<std::string>& to);
  /// The next round begins. @return what is told now; each user's go on where his last round ended
  std::vector<Telling> next_round();
  /// Nothing waits, and a round would change nothing.
  [[nodiscard]] bool idle() const { return users_.empty(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  struct User {
    std::size_t given = 0;  // in this round
    Key last;               // of those that had waited
    std::map<Key, std::shared_ptr<const Receipt>> waiting;
  };
  const std::size_t at_once_max_;
  const std::size_t waiting_max_;
  std::map<std::string, User> users_;
  std::size_t waiting_ = 0;
};

}  // namespace parley
