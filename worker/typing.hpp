// Who is writing right now: passed on, never stored (docs/protocol.md, "Topics").
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <string>
#include <utility>

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
  Typing(asio::io_context& loop, Needs needs);

  /// Begins to end what was not said again.
  void start() { tick(); }
  void stop() { timer_.cancel(); }
  /// @param record  "typing/<conv>" of a user; his membership is looked up
  void take(const std::string& record);

 private:
  using Key = std::pair<ConversationId, UserId>;
  struct Writer {
    std::string name;
    MonoMillis until;
    MonoMillis told_at;  // that he is writing
    bool typing = false;
    bool told = false;  // what the others think
  };
  void with_members(const Key& key, const std::string& name, bool typing);
  void changed(const Key& key, const std::string& name, bool typing);
  [[nodiscard]] bool may_write(const Key& key) const;
  [[nodiscard]] static bool may_tell_again(const Writer& writer);
  void tell(const Key& key, Writer& writer);
  void tick();

  Needs needs_;
  asio::steady_timer timer_;
  std::map<Key, Writer> writers_;  // bounded
};

}  // namespace parley
