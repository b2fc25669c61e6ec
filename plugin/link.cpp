#include "plugin/link.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/fault_point.hpp"
#include "core/topic.hpp"
#include "plugin/broker.hpp"

namespace parley::plugin {
namespace {

constexpr std::int64_t repeat_after_ms = 1'000;     // records, without progress
constexpr std::int64_t ask_again_ms = 200;          // for a lost batch
constexpr std::int64_t tell_applied_ms = 50;        // when there is news and nothing else to send
constexpr std::uint64_t tell_applied_batches = 16;  // or at once when it is that many
constexpr std::int64_t heartbeat_ms = 1'000;
constexpr std::size_t refused_max = 8;
constexpr std::int64_t collect_ms_max = 20;
constexpr std::uint64_t collected_enough = 64;   // records make a good batch
constexpr std::int64_t refuse_again_ms = 1'000;  // a worker that goes on speaking
constexpr std::size_t typing_max = 256;          // per tick: a frame of 64 KiB, about
constexpr std::size_t padding_bytes_max = 1024 * 1024;

std::size_t about_bytes(const link::SessionChange& change) {
  const auto* up = std::get_if<link::Session>(&change);
  if (up == nullptr) return 16;
  std::size_t bytes = 64 + up->user.size() + up->client_id.size() + up->device.size();
  for (const auto& conv : up->inbox_convs) bytes += conv.size() + 2;
  for (const auto& state : up->state_filters) bytes += state.filter.size() + 8;
  return bytes;
}

/// Whether a test wants this frame to be lost.
bool is_lost(const link::PluginFrame& frame) {
  if (frame.welcome) return loss_point(LossPoint::plugin_welcome);
  if (frame.sessions) return loss_point(LossPoint::plugin_sessions);
  if (frame.batch) return loss_point(LossPoint::plugin_inbound_batch);
  return loss_point(frame.resume_batch_no != 0 ? LossPoint::plugin_resume
                                               : LossPoint::plugin_applied);
}

}  // namespace

Link::Link(const std::string& prefix, Sessions& sessions, Spool& spool,
           RevocationsFile& revocations, Outlet& outlet, Counters& counters)
    : inbound_topic_{parley::inbound_topic(prefix)},
      fence_topic_{parley::fence_topic(prefix)},
      control_topic_{parley::control_topic(prefix)},
      quiet_filters_{parley::quiet_filters(prefix)},
      sessions_{sessions},
      spool_{spool},
      revocations_{revocations},
      outlet_{outlet},
      counters_{counters} {}

bool Link::open() const {
  return receiver_ != nullptr && receiver_->active() && receiver_->sees_inbound;
}

bool Link::lets_read(const Session& session, std::string_view payload) const {
  if (is_receiver(session)) return true;
  // The one frame that tells a worker why it is not heard.
  return std::any_of(refused_.begin(), refused_.end(), [&](const Refused& one) {
    return session.client_id.view() == one.client_id && payload == one.frame;
  });
}

bool Link::may_write_server(const Session& session) const {
  return is_receiver(session) || (publisher_ != 0 && session.no == publisher_);
}

void Link::on_service_changed() {
  const Session* before = receiver_;
  if (epoch_ != 0) receiver_ = sessions_.find_service(receive_client_id_);
  const bool now_open = open();
  outlet_.fences_seen(now_open && receiver_->sees_fence);
  if (now_open && (!was_open_ || receiver_ != before)) {
    // What was sent to the one before may have gone with it.
    snapshot_due_ = true;
    sender_.resume(spool_, sender_.received() + 1, read_clocks().mono);
    log_info("event=worker_connected epoch=" + std::to_string(epoch_));
  } else if (!now_open && was_open_) {
    log_warning("event=worker_gone epoch=" + std::to_string(epoch_) +
                " note=\"messages wait in the spool\"");
  }
  was_open_ = now_open;
}

void Link::on_gone(const Session& session) {
  if (&session == receiver_) receiver_ = nullptr;
  on_service_changed();
}

const Link::Refused* Link::find_refused(std::uint64_t epoch) const {
  const auto found = std::find_if(refused_.begin(), refused_.end(),
                                  [epoch](const Refused& one) { return one.epoch == epoch; });
  return found == refused_.end() ? nullptr : &*found;
}

void Link::refuse(std::uint64_t epoch, const std::string& client_id, std::size_t padding,
                  const Now& now) {
  link::PluginFrame answer;
  answer.spool_id = spool_.spool_id();
  answer.worker_epoch = epoch;
  answer.welcome.emplace();
  answer.welcome->refused = true;
  answer.welcome->obeyed_epoch = epoch_;
  // A worker that still probes the sizes listens to nothing shorter.
  answer.welcome->padding.assign(std::min(padding, padding_bytes_max), '\0');
  std::erase_if(refused_, [epoch](const Refused& one) { return one.epoch == epoch; });
  if (refused_.size() >= refused_max) refused_.pop_front();
  refused_.push_back({epoch, client_id, link::encode(answer), now.mono});
  publish(inbound_topic_, refused_.back().frame, 0);
  log_warning("event=worker_refused epoch=" + std::to_string(epoch) +
              " obeyed_epoch=" + std::to_string(epoch_));
}

void Link::on_hello(const Session& from, const link::WorkerFrame& frame, const Now& now) {
  const link::Hello& hello = *frame.hello;
  const InboundSender::Credit credit{hello.credit_records, hello.credit_bytes};
  if (frame.worker_epoch > epoch_) {
    log_info("event=worker_obeyed epoch=" + std::to_string(frame.worker_epoch) +
             " before=" + std::to_string(epoch_));
    const std::uint64_t before = std::exchange(epoch_, frame.worker_epoch);
    if (open()) refuse(before, receive_client_id_, 0, now);
    receiver_stream_.begin();
    told_applied_ = 0;
    was_open_ = false;
    sender_.begin(spool_, credit, now.mono);
  } else {
    sender_.begin(spool_, credit, now.mono);
    // The same one again. It says itself what it has; of another spool it has nothing.
    if (frame.spool_id == spool_.spool_id())
      sender_.skip(spool_, frame.received_ingest_no, now.mono);
  }
  publisher_ = from.no;
  receive_client_id_ = hello.receive_client_id;
  welcome_due_ = true;
  welcome_padding_ = std::min(hello.padding.size(), padding_bytes_max);
  snapshot_due_ = true;
  on_service_changed();
}

void Link::on_frame(Session& from, std::string_view payload, const Now& now) {
  ++counters_.frames_in;
  const auto frame = link::decode_worker_frame(payload);
  if (!frame || frame->worker_epoch == 0) {
    ++counters_.frames_bad;
    return;
  }
  if (frame->worker_epoch < epoch_) {
    const Refused* const known = find_refused(frame->worker_epoch);
    if (frame->hello) {
      refuse(frame->worker_epoch, frame->hello->receive_client_id, frame->hello->padding.size(),
             now);
    } else if (known != nullptr && now.mono.value - known->told_at.value >= refuse_again_ms) {
      refuse(known->epoch, std::string{known->client_id}, 0, now);
    }
    return;
  }
  if (frame->hello) on_hello(from, *frame, now);
  if (frame->worker_epoch != epoch_) return;
  publisher_ = from.no;
  collect_ms_ = std::min<std::int64_t>(frame->collect_ms, collect_ms_max);

  if (frame->spool_id == spool_.spool_id()) {
    sender_.received(frame->received_ingest_no, now.mono);
    if (frame->resume_ingest_no != 0) {
      ++counters_.repeats;
      sender_.resume(spool_, frame->resume_ingest_no, now.mono);
    }
  }
  if (frame->want_sessions) snapshot_due_ = true;
  receiver_stream_.saw_last(frame->last_batch_no);
  if (frame->batch) on_batch(*frame->batch);
}

void Link::on_batch(const link::OutboundBatch& batch) {
  switch (receiver_stream_.judge(batch.batch_no)) {
    case OutboundReceiver::Verdict::repeated:
      told_applied_ = 0;  // it does not know yet that this was carried out
      return;
    case OutboundReceiver::Verdict::early:
      return;
    case OutboundReceiver::Verdict::expected:
      break;
  }
  // What is meant for one session needs fences, and those need the worker's other connection.
  // Without it the batch stays unapplied: the worker sends it again.
  const bool needs_fences =
      !batch.sync_done.empty() || !batch.holds.empty() ||
      std::any_of(batch.deliveries.begin(), batch.deliveries.end(),
                  [](const link::Delivery& delivery) { return delivery.session_no != 0; });
  if (needs_fences && !(open() && receiver_->sees_fence)) return;
  expand(batch);
  crash_point(CrashPoint::plugin_after_expand);
  receiver_stream_.applied();
}

void Link::expand(const link::OutboundBatch& batch) {
  if (!batch.generations.empty() || batch.generations_first || batch.generations_last) {
    revocations_.update(batch.generations, batch.generations_first, batch.generations_last);
    ++revocations_changed_;
  }
  for (const auto& delivery : batch.deliveries) {
    if (&delivery - batch.deliveries.data() == std::ssize(batch.deliveries) / 2) {
      crash_point(CrashPoint::plugin_half_outbound_batch);
    }
    Outlet::Item item;
    item.suffix = delivery.suffix;
    item.payload = delivery.payload;
    item.qos = static_cast<int>(std::min<std::uint32_t>(delivery.qos, 2));
    item.only = delivery.session_no;
    item.properties = &delivery.properties;
    if (delivery.correlation_data) item.correlation_data = &*delivery.correlation_data;
    if (item.only != 0) {
      const Session* session = sessions_.find(item.only);
      if (session == nullptr || !session->active()) continue;
    }
    outlet_.to_users(delivery.to, item);
  }
  outlet_.turn_over(batch.sync_done, batch.holds);
  if (batch.commit) release(*batch.commit);
}

void Link::release(const link::Commit& commit) {
  spool_.release(commit, [this](const Spool::Entry& entry) { sender_.released(entry); });
}

void Link::typing(std::string record) {
  if (open() && typing_.size() < typing_max) typing_.push_back(std::move(record));
}

void Link::send(link::PluginFrame frame) {
  frame.spool_id = spool_.spool_id();
  frame.worker_epoch = epoch_;
  frame.applied_batch_no = receiver_stream_.applied_batch_no();
  frame.session_change_no = session_change_no_;
  told_applied_ = frame.applied_batch_no;
  ++counters_.frames_out;
  if (is_lost(frame)) return;
  if (!publish(inbound_topic_, link::encode(frame), 0)) ++counters_.out_of_memory;
}

void Link::send_welcome() {
  link::PluginFrame frame;
  frame.welcome.emplace();
  frame.welcome->oldest_ingest_no = spool_.oldest();
  frame.welcome->next_ingest_no = spool_.next();
  frame.welcome->obeyed_epoch = epoch_;
  frame.welcome->padding.assign(welcome_padding_, '\0');
  frame.welcome->generations_known = revocations_.list().known();
  send(std::move(frame));
}

void Link::send_sessions(std::vector<link::SessionChange> changes, bool snapshot) {
  std::size_t at = 0;
  bool first = true;
  // A snapshot of nobody is a frame too.
  while (at < changes.size() || (snapshot && first)) {
    link::SessionBatch batch;
    batch.after = session_change_no_;
    std::size_t bytes = 0;
    while (at < changes.size() && (bytes == 0 || bytes < link::frame_bytes_target)) {
      bytes += about_bytes(changes[at]);
      batch.changes.push_back(std::move(changes[at++]));
    }
    session_change_no_ += batch.changes.size();
    batch.snapshot = snapshot;
    batch.first_part = snapshot && first;
    batch.last_part = snapshot && at == changes.size();
    first = false;
    link::PluginFrame frame;
    frame.sessions = std::move(batch);
    send(std::move(frame));
  }
}

/// Whether records wait for more to come. If the broker has nothing to do there is no tick: the
/// worker calls when it has heard nothing.
bool Link::collects(const Now& now) {
  const auto waiting = sender_.unsent(spool_);
  if (collect_ms_ > 0 && waiting > 0 && waiting < collected_enough) {
    if (!collecting_since_) collecting_since_ = now.mono;
    collected_ = spool_.next() - 1;
    if (now.mono.value - collecting_since_->value < collect_ms_) return true;
  }
  collecting_since_.reset();
  return false;
}

void Link::send_records(const Now& now, IngestNo last) {
  while (auto batch = sender_.next(spool_, now.mono, last)) {
    link::PluginFrame frame;
    frame.batch = std::move(*batch);
    send(std::move(frame));
    crash_point(CrashPoint::plugin_after_inbound_batch);
  }
}

void Link::flush(const Now& now) {
  auto changes = sessions_.take_changes();
  auto typing = std::exchange(typing_, {});
  if (!open()) return;  // the next one gets all of them
  const std::uint64_t sent_before = counters_.frames_out;
  if (std::exchange(welcome_due_, false)) send_welcome();
  // What a session subscribed counts for what it sent afterwards, and not for what it sent before.
  if (collecting_since_ && (snapshot_due_ || !changes.empty())) {
    send_records(now, collected_);
    collecting_since_.reset();
  }
  if (std::exchange(snapshot_due_, false)) {
    send_sessions(sessions_.snapshot(), true);
  } else if (!changes.empty()) {
    send_sessions(std::move(changes), false);
  }
  if (sender_.repeat(spool_, now.mono, repeat_after_ms)) ++counters_.repeats;
  if (!collects(now)) send_records(now, spool_.next());
  if (!typing.empty()) {
    link::PluginFrame frame;
    frame.typing = std::move(typing);
    send(std::move(frame));
  }
  const std::uint64_t ask = receiver_stream_.ask(now.mono, ask_again_ms);
  const std::uint64_t applied = receiver_stream_.applied_batch_no();
  const std::int64_t silent_ms = now.mono.value - told_at_.value;
  const bool news = applied != told_applied_ && (silent_ms >= tell_applied_ms ||
                                                 applied - told_applied_ >= tell_applied_batches);
  if (ask != 0 || news || silent_ms >= heartbeat_ms) {
    link::PluginFrame frame;
    frame.resume_batch_no = ask;
    send(std::move(frame));
  }
  if (counters_.frames_out != sent_before) told_at_ = now.mono;
}

}  // namespace parley::plugin
