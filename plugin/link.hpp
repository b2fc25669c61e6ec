// The plugin's end of the link to the worker: who is obeyed, what is sent, what was carried out
// (docs/ARCHITECTURE.md, "Two numbered streams"; schema/proto/parley/v1/link.proto).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/inbound_sender.hpp"
#include "core/link.hpp"
#include "core/outbound_receiver.hpp"
#include "plugin/outlet.hpp"
#include "plugin/revocations_file.hpp"
#include "plugin/sessions.hpp"

namespace parley::plugin {

class Link {
 public:
  Link(const std::string& prefix, Sessions& sessions, Spool& spool, RevocationsFile& revocations,
       Outlet& outlet, Counters& counters);

  /// A frame on the control topic from a service session.
  void on_frame(Session& from, std::string_view payload, const Now& now);
  /// A service session logged in, subscribed, or is gone.
  void on_service_changed();
  void on_gone(const Session& session);

  [[nodiscard]] const std::string& inbound_topic() const { return inbound_topic_; }
  [[nodiscard]] const std::string& fence_topic() const { return fence_topic_; }
  [[nodiscard]] const std::string& control_topic() const { return control_topic_; }
  [[nodiscard]] const std::vector<std::string>& quiet_filters() const { return quiet_filters_; }

  [[nodiscard]] bool is_receiver(const Session& session) const { return &session == receiver_; }
  /// Whether a service session may be given this frame. Records are for the obeyed worker alone.
  [[nodiscard]] bool lets_read(const Session& session, std::string_view payload) const;
  /// Whether a service session may write the server's topics: the obeyed worker's, until another
  /// connection of it takes its place. So a late will of an old one does not say that the new one
  /// is away.
  [[nodiscard]] bool may_write_server(const Session& session) const;

  /// A record that is in no spool. Lost if there is no worker, or too many are waiting.
  void typing(std::string record);

  /// Sends what is due. Once per tick.
  void flush(const Now& now);
  /// Changes when tokens may have become invalid: a count.
  [[nodiscard]] std::uint64_t revocations_changed() const { return revocations_changed_; }

 private:
  /// A worker that is not obeyed, and what it is told.
  struct Refused {
    std::uint64_t epoch = 0;
    std::string client_id;  // its receiver's
    std::string frame;
    MonoMillis told_at;
  };

  [[nodiscard]] bool open() const;
  void on_hello(const Session& from, const link::WorkerFrame& frame, const Now& now);
  [[nodiscard]] const Refused* find_refused(std::uint64_t epoch) const;
  void refuse(std::uint64_t epoch, const std::string& client_id, std::size_t padding,
              const Now& now);
  void on_batch(const link::OutboundBatch& batch);
  void expand(const link::OutboundBatch& batch);
  void send(link::PluginFrame frame);
  [[nodiscard]] bool collects(const Now& now);
  void send_records(const Now& now, IngestNo last);
  void send_welcome();
  void send_sessions(std::vector<link::SessionChange> changes, bool snapshot);
  void release(const link::Commit& commit);

  const std::string inbound_topic_;
  const std::string fence_topic_;
  const std::string control_topic_;
  const std::vector<std::string> quiet_filters_;
  Sessions& sessions_;
  Spool& spool_;
  RevocationsFile& revocations_;
  Outlet& outlet_;
  Counters& counters_;

  std::uint64_t epoch_ = 0;  // of the obeyed worker; 0: none since the broker's start
  std::string receive_client_id_;
  const Session* receiver_ = nullptr;
  SessionNo publisher_ = 0;  // the last that spoke; may be dead: its will is still his
  bool was_open_ = false;
  bool welcome_due_ = false;
  std::size_t welcome_padding_ = 0;  // bytes
  bool snapshot_due_ = false;
  InboundSender sender_;
  OutboundReceiver receiver_stream_;
  std::int64_t collect_ms_ = 0;  // records may wait so long for others
  std::optional<MonoMillis> collecting_since_;
  IngestNo collected_ = 0;  // the last one that waits since an earlier tick
  std::uint64_t session_change_no_ = 0;
  std::vector<std::string> typing_;  // until the tick
  std::uint64_t told_applied_ = 0;
  MonoMillis told_at_;
  std::deque<Refused> refused_;  // the last ones: each may have to be told again
  std::uint64_t revocations_changed_ = 0;
};

}  // namespace parley::plugin
