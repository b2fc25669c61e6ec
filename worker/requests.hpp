// `do`: which method it is, where it is carried out, and its answer (docs/protocol.md, "Requests";
// docs/adr/0006).
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/answer.hpp"
#include "core/methods.hpp"
#include "worker/attendance.hpp"
#include "worker/config.hpp"
#include "worker/conversations.hpp"
#include "worker/in_order.hpp"
#include "worker/lanes.hpp"
#include "worker/plugin_link.hpp"
#include "worker/publisher.hpp"
#include "worker/specials.hpp"
#include "worker/statements_requests.hpp"
#include "worker/sync.hpp"

namespace parley {

class Requests {
 public:
  struct Needs {
    PgLink& database;  // of its own: what asks for much delays nothing but other requests
    PluginLink& plugin;
    Lanes& lanes;
    Resolver& resolver;
    Publisher& publisher;
    InOrder& in_order;  // of what goes into the lanes
    const Attendance& attendance;
    Syncs& syncs;
    Cursors& cursors;
    StateTopics& state;
    Specials& specials;
    std::function<void()> revoked;  // tokens, perhaps: the plugin is to be told
    std::function<void()> turn;     // something was delivered outside a turn: end it
  };
  Requests(asio::io_context& loop, const Config& config, Needs needs);

  /// Every record ends in exactly one PluginLink::done, after its answer and what follows from it
  /// have been handed over.
  void take(const Origin& origin, const link::InboundRecord& record, const DoTopic& topic);
  void stop() { timer_.cancel(); }
  /// To all whom it concerns what has been changed.
  void tell(const Changed& changed);

 private:
  /// Answered once; its deadline answers TIMEOUT.
  struct Request {
    const Method* method = nullptr;
    sql::Asker asker;
    AnswerTo to;
    std::string id;
    SessionNo session_no = 0;
    std::string json;  // for the database
    MonoMillis deadline;
    bool counted = false;  // among the open ones
    bool answered = false;
    bool open = false;  // something has been begun for it: its record is needed until that ends
    std::shared_ptr<InOrder::Place> place;  // if it changes something
  };
  using Shared = std::shared_ptr<Request>;

  void admit(const Shared& request, const link::InboundRecord& record, const DoTopic& topic);
  void run(const Shared& request);
  void special(const Shared& request);
  void history(const Shared& request, std::string_view payload);
  void sync(const Shared& request, const link::InboundRecord& record);
  void look_again(const Shared& request, const link::InboundRecord& record, const DoTopic& topic);
  void resolved(const Shared& request, bool room, const sql::Resolved& found);
  void located(const Shared& request, ConversationId conversation);
  void not_located(const Shared& request, Code code, const std::string& detail);
  void carry_out(const Shared& request, ConversationId conversation);
  void change(const Shared& request, ConversationId conversation);
  void changed(const Shared& request, const Result<Changed, PgFault>& result);
  void answer(const Shared& request, const sql::Outcome& outcome);
  [[nodiscard]] std::string with_presence(const Request& request, const std::string& result) const;
  void fault(const Shared& request, const PgFault& fault);
  void fail(const Shared& request, Code code, const std::string& detail);
  void reply(const Shared& request, const std::string& payload);
  void ended(const Shared& request);
  void close(const Shared& request);
  void watch_deadlines();

  const std::string prefix_;
  const std::string limits_;
  const std::int64_t timeout_ms_;
  Needs needs_;
  asio::steady_timer timer_;
  std::deque<Shared> requests_;  // by deadline; answered ones may be among them
  std::size_t open_ = 0;         // not answered, or not through
  std::unordered_map<std::string, std::size_t> open_of_;  // by user
};

}  // namespace parley
