#include "worker/plugin_link.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/fault_point.hpp"
#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::int64_t repeat_after_ms = 1'000;
constexpr std::int64_t ask_again_ms = 200;
constexpr std::size_t held_bytes_max = 32 * 1024 * 1024;
constexpr std::size_t ranges_max = 64;
constexpr auto tick_every = std::chrono::milliseconds{100};
constexpr int probing_hellos_max = 8;

/// What the plugin publishes for it.
std::size_t recipients_of(const link::OutboundBatch& batch) {
  std::size_t count = 0;
  for (const auto& delivery : batch.deliveries)
    count += std::max<std::size_t>(1, delivery.to.size());
  return count;
}

/// Whether a test wants this frame to be lost.
bool is_lost(const link::WorkerFrame& frame, const link::OutboundBatch* batch) {
  if (frame.hello) return loss_point(LossPoint::worker_hello);
  if (frame.resume_ingest_no != 0) return loss_point(LossPoint::worker_resume);
  if (batch == nullptr) return false;
  return loss_point(batch->deliveries.empty() ? LossPoint::worker_commit
                                              : LossPoint::worker_outbound_batch);
}

}  // namespace

PluginLink::PluginLink(asio::io_context& loop, const Config& config, MqttSettings settings,
                       std::uint64_t epoch, Handlers handlers)
    : config_{config.link},
      epoch_{epoch},
      control_topic_{control_topic(config.broker.prefix)},
      receive_client_id_{settings.client_ids[0]},
      handlers_{std::move(handlers)},
      mqtt_{loop,
            std::move(settings),
            {[this] { on_up(); }, [this](const std::string& why) { on_down(why); },
             [this](const std::string& payload) { on_message(payload); }}},
      ticker_{loop},
      collecting_{loop},
      out_{config.link.batches_window} {}

void PluginLink::start() {
  mqtt_.start();
  tick();
}

void PluginLink::stop() {
  ticker_.cancel();
  collecting_.cancel();
  mqtt_.stop();
}

void PluginLink::on_up() {
  log::info("event=broker_connected epoch={}", epoch_);
  welcomed_ = false;
  hellos_ = 0;
  say_hello();
}

void PluginLink::on_down(const std::string& why) {
  log::warn("event=broker_lost err={}", log::quoted(why));
  welcomed_ = false;
  sessions_sure_ = false;
  handlers_.down();
}

void PluginLink::say_hello() {
  ++hellos_;
  link::Hello hello{receive_client_id_, config_.credit_records, config_.credit_bytes, ""};
  // The last hellos go without the padding: if only they are answered, a size limit swallows
  // frames.
  if (probe_ && hellos_ <= probing_hellos_max) hello.padding.assign(link::probe_bytes, '\0');
  link::WorkerFrame frame;
  frame.hello = std::move(hello);
  send(std::move(frame));
}

void PluginLink::send(link::WorkerFrame frame, const link::OutboundBatch* batch) {
  frame.worker_epoch = epoch_;
  frame.spool_id = in_.spool_id();
  frame.received_ingest_no = in_.spool_id() == 0 ? 0 : in_.next() - 1;
  frame.last_batch_no = out_.last_batch_no();
  frame.collect_ms = told_collect_ms_ = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(linger_.wait()).count());
  received_news_ = false;
  if (is_lost(frame, batch)) return;
  mqtt_.publish(control_topic_, link::encode(frame, batch));
}

void PluginLink::on_message(const std::string& payload) {
  auto frame = link::decode_plugin_frame(payload);
  if (!frame) {
    log::error("event=bad_frame bytes={}", payload.size());
    return;
  }
  if (frame->worker_epoch != epoch_) return;  // meant for another worker
  heard_at_ = mono_now();
  if (frame->welcome) on_welcome(*frame);
  if (!welcomed_ || frame->spool_id != in_.spool_id()) return;

  const auto before = out_.applied_batch_no();
  out_.applied(frame->applied_batch_no, mono_now());
  applied_total_ += out_.applied_batch_no() - before;
  if (frame->resume_batch_no != 0) out_.resume(frame->resume_batch_no);

  // Sessions first: what a session subscribed counts for the records that it sent afterwards.
  if (frame->sessions) on_sessions(std::move(*frame->sessions));
  if (frame->session_change_no != session_change_no_ && !snapshot_open_) sessions_sure_ = false;
  if (frame->batch) on_batch(std::move(*frame->batch));
  for (const auto& record : frame->typing) handlers_.typing(record);
  if (out_.applied_batch_no() != before) handlers_.applied();
}

void PluginLink::on_welcome(const link::PluginFrame& frame) {
  const auto& welcome = *frame.welcome;
  if (welcome.refused) {
    log::error("event=superseded epoch={} obeyed_epoch={}", epoch_, welcome.obeyed_epoch);
    handlers_.superseded();
    return;
  }
  if (probe_ && welcome.padding.size() < link::probe_bytes) {
    if (!ever_welcomed_) {
      handlers_.unusable("the broker answers small frames but swallows one of " +
                         std::to_string(link::probe_bytes) +
                         " bytes: raise message_size_limit and max_packet_size");
    }
    return;
  }
  probe_ = false;
  if (welcomed_) return;  // the answer to a hello that we repeated
  welcomed_ = true;
  ever_welcomed_ = true;
  if (frame.spool_id != in_.spool_id())
    early_.clear();  // another spool: their numbers mean nothing in it
  if (std::exchange(first_spool_id_, frame.spool_id) != frame.spool_id) {
    first_new_ = welcome.next_ingest_no;
  }
  in_.begin(frame.spool_id, welcome.oldest_ingest_no);
  told_ = in_.tracker().mark();
  // A plugin that has carried out less than we know of is a new one: its numbers begin at 1.
  if (frame.applied_batch_no < out_.applied_batch_no()) out_.restart();
  out_.resume(out_.applied_batch_no() + 1);
  session_change_no_ = 0;
  sessions_sure_ = false;
  snapshot_open_ = false;
  commit_news_ = true;
  log::info("event=welcome epoch={} spool={:016x} oldest={} next={}", epoch_, frame.spool_id,
            welcome.oldest_ingest_no, welcome.next_ingest_no);
  asked_at_ = mono_now();
  handlers_.welcome();
  crash_point(CrashPoint::worker_after_welcome);
}

void PluginLink::on_sessions(link::SessionBatch batch) {
  if (batch.snapshot) {
    if (batch.first_part) {
      handlers_.sessions_reset();
      snapshot_open_ = true;
      sessions_sure_ = false;
    } else if (!snapshot_open_ || batch.after != session_change_no_) {
      return;  // a part is missing: asked for again by tick()
    }
  } else if (batch.after > session_change_no_ || snapshot_open_ || !sessions_sure_) {
    sessions_sure_ = false;
    return;
  }
  asked_at_ = mono_now();  // it is coming
  // Those up to session_change_no_ are known already.
  std::uint64_t number = batch.after;
  for (const auto& change : batch.changes) {
    ++number;
    if (!batch.snapshot && number <= session_change_no_) continue;
    handlers_.session(change);
  }
  session_change_no_ = std::max(session_change_no_, number);
  if (!batch.snapshot || !batch.last_part) return;
  snapshot_open_ = false;
  sessions_sure_ = true;
  handlers_.sessions_known();
  for (auto& record : std::exchange(early_, {})) hand_over(std::move(record));
}

void PluginLink::on_batch(link::InboundBatch batch) {
  if (!taking_) return;
  auto taken = in_.take(std::move(batch));
  received_news_ = true;
  linger_.came(steady_now(), taken.records.size(), handlers_.storing());
  if (linger_.wait() > Linger::Duration::zero()) see_that_collecting_ends();
  if (taken.gap && mono_now().value - asked_at_.value >= ask_again_ms) {
    asked_at_ = mono_now();
    link::WorkerFrame frame;
    frame.resume_ingest_no = in_.next();
    send(std::move(frame));
  }
  for (auto& record : taken.records) {
    // Before the sessions are known for the first time nobody could be told who is online.
    // Those that wait for that are not overtaken.
    if (!early_.empty() || snapshot_open_ || (!sessions_sure_ && session_change_no_ == 0)) {
      early_.push_back(std::move(record));
    } else {
      hand_over(std::move(record));
    }
  }
}

void PluginLink::hand_over(link::SpooledRecord record) {
  handlers_.record({in_.spool_id(), record.ingest_no}, std::move(record.record));
}

void PluginLink::deliver(link::Delivery delivery) {
  end_before(OutboundFilling::Next::delivery, delivery.to.size());
  while (delivery.to.size() > filling_.room()) {
    filling_.add_part(delivery);
    end_before(OutboundFilling::Next::delivery, delivery.to.size());
  }
  filling_.add(std::move(delivery));
}

void PluginLink::sync_done(const link::SyncDone& done) {
  end_before(OutboundFilling::Next::sync_done);
  filling_.add(done);
}

void PluginLink::hold(const link::Hold& hold) {
  end_before(OutboundFilling::Next::hold);
  filling_.add(hold);
}

void PluginLink::generations(std::vector<link::Generation> some, bool first, bool last) {
  end_before(OutboundFilling::Next::generations);
  filling_.add(std::move(some), first, last);
  close_batch();
}

void PluginLink::done(const Origin& origin) {
  in_.done(origin.spool_id, origin.ingest_no);
  commit_news_ = true;
  filling_.between_messages();
}

void PluginLink::end_before(OutboundFilling::Next next, std::size_t items) {
  if (filling_.ends_before(next, items)) close_batch();
}

void PluginLink::close_batch() {
  const auto bytes = filling_.bytes();
  auto batch = filling_.take();
  batch.commit = in_.tracker().commit(ranges_max);
  told_ = batch.commit->mark;
  for (const auto& range : batch.commit->above) told_ += range.last - range.first + 1;
  commit_news_ = false;
  if (log::debugs() && !batch.deliveries.empty()) {
    log::debug("event=outbound_batch payloads={} deliveries={} bytes={}", batch.deliveries.size(),
               recipients_of(batch), bytes);
  }
  out_.push(std::move(batch), bytes + 64);
}

void PluginLink::flush() {
  if (!filling_.empty() || (commit_news_ && welcomed_)) close_batch();
  send_due();
  if (told_collect_ms_ > 0 && linger_.wait() == Linger::Duration::zero() && welcomed_) send({});
}

void PluginLink::send_due() {
  if (!welcomed_) return;
  bool sent = false;
  for (const auto* batch : out_.due(mono_now(), repeat_after_ms)) {
    if (sent) crash_point(CrashPoint::worker_between_frames);
    send({}, batch);
    sent = true;
  }
  if (sent) crash_point(CrashPoint::worker_after_flush);
}

/// The plugin looks at what waits only when the broker has something to do.
void PluginLink::see_that_collecting_ends() {
  if (std::exchange(watches_, true)) return;
  collecting_.expires_after(linger_.wait());
  collecting_.async_wait([this](const asio::error_code& error) {
    watches_ = false;
    if (error) return;
    if (linger_.is_over(steady_now()) && welcomed_) send({});
    if (linger_.wait() > Linger::Duration::zero()) see_that_collecting_ends();
  });
}

bool PluginLink::credit_short() const {
  return in_.tracker().last() >= told_ + (config_.credit_records + 1) / 2;
}

bool PluginLink::congested() const { return out_.held_bytes() > held_bytes_max; }

void PluginLink::tick() {
  ticker_.expires_after(tick_every);
  ticker_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    tick();
    if (!mqtt_.is_up()) return;
    const auto now = mono_now();
    if (!welcomed_) {
      if (now.value - asked_at_.value >= repeat_after_ms) {
        asked_at_ = now;
        say_hello();
      }
      return;
    }
    if (!sessions_sure_ && now.value - asked_at_.value >= ask_again_ms) {
      asked_at_ = now;
      snapshot_open_ = false;
      link::WorkerFrame frame;
      frame.want_sessions = true;
      send(std::move(frame));
    }
    send_due();
    // What has come and is not done is told now and then: the plugin would send it again.
    if (received_news_) send({});
  });
}

}  // namespace parley
