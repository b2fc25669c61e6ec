// Who is writing right now: passed on, never stored (docs/protocol.md, "Topics").
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/code.hpp"
#include "core/fan_out.hpp"
#include "core/link.hpp"
#include "worker/conversations.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/publisher.hpp"

namespace parley {

class Typing {
 public:
  struct Needs {
    PgLink& database;
    PluginLink& plugin;
    Resolver& resolver;
    MembersCache& members;
    Publisher& publisher;
    std::function<void()> turn;
  };
  Typing(asio::io_context& loop, std::string prefix, Needs needs);

  /// Begins to end what was not said again.
  void start() { tick(); }
  void stop() { timer_.cancel(); }
  /// @param record  "typing/<conv>" of a user; whether he may write there is looked up
  void take(const std::string& record);

 private:
  using Key = std::pair<UserId, std::string>;  // who writes, and where as he calls it
  struct Said {
    Key key;
    std::string name;
    std::string topic_rest;
    bool typing = false;
  };
  struct Writer {
    std::string name;
    ConversationId room;  // 0: to one user
    MonoMillis until;
    MonoMillis told_at;  // that he is writing
    bool typing = false;
    bool told = false;  // what the others think
  };
  void resolved(const Said& said, const sql::Resolved& found);
  void to_one(const Said& said);
  void to_room(const Said& said, ConversationId room);
  [[nodiscard]] bool is_too_much(const Said& said) const;
  void err(const Said& said, Code code, std::string_view detail);
  void changed(const Said& said, ConversationId room);
  [[nodiscard]] bool may_write(ConversationId room, UserId user) const;
  [[nodiscard]] std::vector<std::string> others_in(ConversationId room, UserId writer) const;
  [[nodiscard]] static bool may_tell_again(const Writer& writer);
  void tell(const Key& key, Writer& writer);
  void tick();

  const std::string prefix_;
  Needs needs_;
  asio::steady_timer timer_;
  std::map<Key, Writer> writers_;  // bounded
  std::size_t asking_ = 0;         // lookups that are not answered yet
};

}  // namespace parley
