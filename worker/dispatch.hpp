// One record of the spool: which command it is, and what becomes of it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/answer.hpp"
#include "core/auto_got.hpp"
#include "core/send_message.hpp"
#include "core/sessions.hpp"
#include "worker/backlog.hpp"
#include "worker/config.hpp"
#include "worker/conversations.hpp"
#include "worker/cursors.hpp"
#include "worker/in_order.hpp"
#include "worker/lanes.hpp"
#include "worker/plugin_link.hpp"
#include "worker/publisher.hpp"
#include "worker/requests.hpp"

namespace parley {

class Dispatch {
 public:
  struct Needs {
    PluginLink& plugin;
    Lanes& lanes;
    Resolver& resolver;
    Cursors& cursors;
    Sessions& sessions;
    AutoGot& auto_got;
    Backlogs& backlogs;
    Publisher& publisher;
    InOrder& in_order;  // of what goes into the lanes
    Requests& requests;
    /// How far the database's clock is ahead of ours, ms.
    std::function<std::int64_t()> database_ahead;
  };
  Dispatch(const Config& config, const Needs& needs);

  /// Every record ends in exactly one PluginLink::done, after its answer has been handed over.
  void on_record(const Origin& origin, const std::string& bytes);
  /// The lanes say what became of a message.
  void settled(PendingSend& pending, const sql::StoreOutcome& outcome,
               const Conversation* conversation);
  void refused(const PendingSend& pending, Code code, const std::string& detail);

 private:
  void on_send(const Origin& origin, link::InboundRecord record, const SendTopic& topic);
  void send_to(const Origin& origin, link::InboundRecord record, SendMessage send);
  void push(PendingSend& pending, const sql::Resolved& resolved);
  void on_mark(const Origin& origin, const link::InboundRecord& record, const MarkTopic& topic);
  void tell_backlogs(const link::InboundRecord& record, const sql::MarkUpdate& update, Seq seq);
  void refuse_send(const Origin& origin, const link::InboundRecord& record, Format format,
                   const Ack& ack);
  void answer(const link::InboundRecord& record, Format format, const Ack& ack);
  void mark_read_by_sending(const PendingSend& pending, const sql::StoreOutcome& outcome);
  void err(const Origin& origin, const link::InboundRecord& record, Code code,
           std::string_view detail);

  const std::string prefix_;
  const Limits limits_;
  Needs needs_;
};

}  // namespace parley
