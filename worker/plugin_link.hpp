// The worker's end of the two numbered streams: handshake, records in, batches out
// (docs/ARCHITECTURE.md, "The two streams").
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/inbound_stream.hpp"
#include "core/link.hpp"
#include "core/outbound_filling.hpp"
#include "core/outbound_stream.hpp"
#include "worker/config.hpp"
#include "worker/linger.hpp"
#include "worker/mqtt_link.hpp"

namespace parley {

/// Where a record came from: it names the record for ever.
struct Origin {
  std::uint64_t spool_id = 0;
  IngestNo ingest_no = 0;
  auto operator<=>(const Origin&) const = default;
};

class PluginLink {
 public:
  struct Handlers {
    std::function<void(Origin, std::string record)> record;
    std::function<void(const std::string& record)> typing;  // is in no spool
    std::function<void(const link::SessionChange&)> session;
    std::function<void()> down;            // the broker is gone: so are its sessions, until told
    std::function<void()> sessions_reset;  // a snapshot begins: forget all sessions
    std::function<void()> sessions_known;  // all sessions are known (again)
    std::function<void()> welcome;
    std::function<void()> superseded;                  // a worker with a higher epoch is obeyed
    std::function<void(const std::string&)> unusable;  // the broker cannot carry our frames
    std::function<void()> applied;                     // the plugin has carried out some more
    std::function<bool()> storing;  // whether messages wait for being stored, or are just stored
  };
  PluginLink(asio::io_context& loop, const Config& config, MqttSettings settings,
             std::uint64_t epoch, Handlers handlers);

  void start();

  /// Adds to the batch that is being filled; it goes out at the end of the turn, or when it is
  /// full.
  void deliver(link::Delivery delivery);
  /// After everything delivered so far.
  void sync_done(const link::SyncDone& done);
  /// What is delivered live from now on does not reach the session.
  void hold(const link::Hold& hold);
  void generations(std::vector<link::Generation> some, bool first, bool last);
  /// The record is stored or refused with an answer, and all its deliveries have been handed over.
  void done(const Origin& origin);
  /// Sends what has been filled. Call it at the end of each turn of the loop.
  void flush();

  [[nodiscard]] std::uint64_t applied_total() const { return applied_total_; }
  /// Counts batches since start, over restarts of the stream: for comparing with applied_total().
  [[nodiscard]] std::uint64_t filling_total() const { return applied_total_ + out_.held() + 1; }
  /// Whether the worker should stop storing until the plugin has caught up.
  [[nodiscard]] bool congested() const;
  /// Whether the plugin may soon have to wait: half of the credit is used up by records that are
  /// not done, or that it has not been told of, as only so many ranges are.
  [[nodiscard]] bool credit_short() const;
  /// Whether the sessions are known exactly; if not, everything is published in all formats.
  [[nodiscard]] bool sessions_sure() const { return sessions_sure_; }
  [[nodiscard]] bool is_up() const { return welcomed_; }
  /// Whether no worker before this one can have been offered the record: it came into the spool
  /// after we were first welcomed.
  [[nodiscard]] bool is_new(const Origin& origin) const {
    return origin.spool_id == first_spool_id_ && origin.ingest_no >= first_new_;
  }
  /// When the plugin last said something; it does at least once a second.
  [[nodiscard]] MonoMillis heard_at() const { return heard_at_; }
  /// Frames that came while the inbox was full; the gaps asked for them again.
  [[nodiscard]] std::uint64_t dropped_frames() const { return mqtt_.dropped(); }
  /// From now on nothing more is taken from the plugin: its spool keeps that.
  void take_no_more() { taking_ = false; }
  /// Nothing is waiting for the plugin.
  [[nodiscard]] bool drained() const { return out_.held() == 0 && filling_.empty(); }

  bool publish_retained(const std::string& topic, std::string_view payload) {
    return mqtt_.publish_retained(topic, payload);
  }
  void stop();

 private:
  void on_up();
  void on_down(const std::string& why);
  void on_message(const std::string& payload);
  void on_welcome(const link::PluginFrame& frame);
  void on_sessions(link::SessionBatch batch);
  void on_batch(link::InboundBatch batch);
  void hand_over(link::SpooledRecord record);
  void say_hello();
  void end_before(OutboundFilling::Next next, std::size_t items = 1);
  void close_batch();
  void send_due();
  void see_that_collecting_ends();
  void send(link::WorkerFrame frame, const link::OutboundBatch* batch = nullptr);
  void tick();

  const LinkConfig config_;
  const std::uint64_t epoch_;
  const std::string control_topic_;
  const std::string receive_client_id_;
  const Handlers handlers_;
  MqttLink mqtt_;
  asio::steady_timer ticker_;
  asio::steady_timer collecting_;

  InboundStream in_;
  OutboundStream out_;
  OutboundFilling filling_;
  Linger linger_;
  bool watches_ = false;  // the timer runs
  std::uint32_t told_collect_ms_ = 0;
  std::uint64_t applied_total_ = 0;
  IngestNo told_ = 0;  // so many records the plugin has been told to be done, of this spool
  bool commit_news_ = false;
  bool received_news_ = false;

  MonoMillis heard_at_;
  bool welcomed_ = false;
  std::uint64_t first_spool_id_ = 0;
  IngestNo first_new_ = 0;
  bool ever_welcomed_ = false;
  bool probe_ = true;  // hello carries the largest frame until it came through once
  int hellos_ = 0;
  bool sessions_sure_ = false;
  bool snapshot_open_ = false;
  bool taking_ = true;
  std::uint64_t session_change_no_ = 0;
  std::vector<link::SpooledRecord> early_;  // came before the first snapshot; bounded by the credit
  MonoMillis asked_at_;                     // last resume or snapshot request
};

}  // namespace parley
