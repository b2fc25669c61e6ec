// One record of the spool: which command it is, and what becomes of it.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/answer.hpp"
#include "core/auto_got.hpp"
#include "core/send_message.hpp"
#include "core/sessions.hpp"
#include "worker/backlog.hpp"
#include "worker/config.hpp"
#include "worker/conversations.hpp"
#include "worker/cursors.hpp"
#include "worker/lanes.hpp"
#include "worker/plugin_link.hpp"

namespace parley {

class Dispatch {
 public:
  struct Needs {
    PgLink& database;  // for what is not ingest: names, history
    PluginLink& plugin;
    Lanes& lanes;
    Resolver& resolver;
    Cursors& cursors;
    Sessions& sessions;
    AutoGot& auto_got;
    Backlogs& backlogs;
    std::function<void()> turn;
  };
  Dispatch(asio::io_context& loop, const Config& config, Needs needs);

  /// Every record ends in exactly one PluginLink::done, after its answer has been handed over.
  void on_record(const Origin& origin, const std::string& bytes);
  /// The lanes say what became of a message.
  void settled(const PendingSend& pending, const sql::StoreOutcome& outcome,
               const Conversation* conversation);
  void refused(const PendingSend& pending, Code code, const std::string& detail);
  void stop() { timer_.cancel(); }

 private:
  /// A `do` that has not been answered; its deadline answers TIMEOUT.
  struct Request {
    Origin origin;
    AnswerTo to;
    std::string id;
    MonoMillis deadline;
    bool counted = false;  // among the unanswered ones
    bool answered = false;
  };
  /// A message whose target is being looked up. None overtakes an older one, whoever sent it: a
  /// replay has to be delivered in the order of the first time.
  struct Held {
    PendingSend pending;
    std::optional<sql::Resolved> resolved;
  };
  void on_send(const Origin& origin, link::InboundRecord record, const SendTopic& topic);
  void send_to(const Origin& origin, link::InboundRecord record, SendMessage send);
  void push_resolved();
  void on_mark(const Origin& origin, const link::InboundRecord& record, const MarkTopic& topic);
  void tell_backlogs(const link::InboundRecord& record, const sql::MarkUpdate& update);
  void on_do(const Origin& origin, const link::InboundRecord& record, const DoTopic& topic);
  void run(const std::shared_ptr<Request>& request, const link::InboundRecord& record,
           const DoTopic& topic);
  void reply(const std::shared_ptr<Request>& request,
             std::variant<ReplyFailed, HistoryResult> result);
  void refuse_send(const Origin& origin, const link::InboundRecord& record, Format format,
                   const Ack& ack);
  void answer(const link::InboundRecord& record, Format format, const Ack& ack);
  void publish(const PendingSend& pending, const sql::StoreOutcome& outcome,
               const Conversation& conversation);
  void mark_read_by_sending(const PendingSend& pending, const sql::StoreOutcome& outcome);
  void err(const Origin& origin, const link::InboundRecord& record, Code code,
           std::string_view detail);
  [[nodiscard]] std::uint32_t feeds_of(std::string_view user) const;
  void watch_deadlines();

  const std::string prefix_;
  const Limits limits_;
  const std::int64_t request_timeout_ms_;
  Needs needs_;
  asio::steady_timer timer_;
  std::deque<std::shared_ptr<Held>> held_;         // bounded by the credit that the plugin has
  std::deque<std::shared_ptr<Request>> requests_;  // by deadline; answered ones may be among them
  std::size_t unanswered_ = 0;
  std::unordered_map<std::string, std::size_t> unanswered_of_;  // by user
};

}  // namespace parley
