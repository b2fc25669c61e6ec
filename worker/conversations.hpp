// What the worker remembers of conversations: names to ids, and members by version. Never the
// truth: the statements decide, and say when what is remembered here is stale.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/fan_out.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements.hpp"

namespace parley {

/// Members by conversation.
class MembersCache {
 public:
  using Entry = std::shared_ptr<const Conversation>;
  /// Null if not remembered. Who says to the database what he knows must hold on to it until the
  /// answer: it may be forgotten here meanwhile.
  [[nodiscard]] Entry find(ConversationId conversation) const;
  /// Replaces what was known of each conversation that occurs in the rows.
  void update(const std::vector<sql::MemberRow>& rows);

 private:
  std::unordered_map<ConversationId, Entry> conversations_;
  std::size_t members_ = 0;  // in all; when there are too many everything is forgotten
};

/// Turns `<to>` of a sender into a conversation, making 1:1 conversations on their first message.
/// Asks the database once per turn for all that is new; callers of one (sender, to) are answered in
/// order.
class Resolver {
 public:
  using Done = std::function<void(const sql::Resolved&)>;

  Resolver(asio::io_context& loop, PgLink& database, const MembersCache& members)
      : database_{database}, members_{members}, timer_{loop} {}
  /// @param make  make the 1:1 conversation if there is none
  /// @param done  called at once if the answer is remembered; never with a fault: those are tried
  /// again
  void resolve(UserId sender, const std::string& to, bool make, Done done);
  /// The answer, if `resolve` would give it at once; good until the next call. Null: it would ask.
  [[nodiscard]] const sql::Resolved* known(UserId sender, const std::string& to) const;
  /// The same without making, for what is for members only: `member` is no only if the database
  /// says so now. It may be yes for a moment longer than it is true.
  void resolve_member(UserId user, const std::string& to, Done done);
  /// Asks for everything new. Call it at the end of each turn of the loop.
  void flush();

 private:
  struct Key {
    UserId sender;
    std::string to;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return std::hash<std::string>{}(key.to) * 31 + std::hash<UserId>{}(key.sender);
    }
  };
  struct Waiting {
    bool make = false;
    bool asked = false;
    std::vector<Done> done;
  };
  void ask(std::vector<Key> keys, bool make);
  void answered(const std::vector<Key>& keys, const std::vector<sql::Resolved>& resolved);

  PgLink& database_;
  const MembersCache& members_;
  asio::steady_timer timer_;
  std::unordered_map<Key, sql::Resolved, KeyHash> known_;
  std::unordered_map<Key, Waiting, KeyHash> waiting_;
  bool news_ = false;
};

}  // namespace parley
