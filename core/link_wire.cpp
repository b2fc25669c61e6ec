// core/link.hpp to and from bytes.
#include <google/protobuf/arena.h>

#include <array>
#include <limits>
#include <utility>

#include "core/link.hpp"
#include "schema/proto/parley/v1/link.pb.h"

namespace parley::link {
namespace {

/// An arena that begins on the stack: a single record needs no heap.
class Workspace {
 public:
  Workspace() : arena_{first_block_.data(), first_block_.size()} {}
  template <class T>
  T& make() {
    return *google::protobuf::Arena::CreateMessage<T>(&arena_);
  }

 private:
  alignas(8) std::array<char, 4096> first_block_;
  google::protobuf::Arena arena_;
};

template <class T>
bool parse(std::string_view bytes, T& into) {
  return bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
         into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

template <class Repeated>
void put_properties(const std::vector<Property>& from, Repeated& to) {
  for (const Property& property : from) {
    auto& added = *to.Add();
    added.set_key(property.key);
    added.set_value(property.value);
  }
}

template <class Repeated>
std::vector<Property> take_properties(const Repeated& from) {
  std::vector<Property> to;
  to.reserve(static_cast<std::size_t>(from.size()));
  for (const auto& property : from) to.push_back({property.key(), property.value()});
  return to;
}

/// @return false if it is out of range
bool take_scope(std::uint32_t from, std::uint8_t& to) {
  if (from > std::numeric_limits<std::uint8_t>::max()) return false;
  to = static_cast<std::uint8_t>(from);
  return true;
}

// ---- plugin to worker ----

void put(const InboundBatch& from, v1::InboundBatch& to) {
  to.set_after(from.after);
  for (const SpooledRecord& record : from.records) {
    auto& added = *to.add_records();
    added.set_ingest_no(record.ingest_no);
    added.set_record(record.record);
  }
}

InboundBatch take(const v1::InboundBatch& from) {
  InboundBatch to;
  to.after = from.after();
  to.records.reserve(static_cast<std::size_t>(from.records_size()));
  for (const auto& record : from.records()) {
    to.records.push_back({record.ingest_no(), record.record()});
  }
  return to;
}

void put(const Session& from, v1::Session& to) {
  to.set_session_no(from.session_no);
  to.set_user(from.user);
  to.set_user_id(from.user_id.value);
  to.set_client_id(from.client_id);
  to.set_device(from.device);
  to.set_feeds(from.feeds);
  to.set_inbox_all(from.inbox_all);
  for (const std::string& conv : from.inbox_convs) to.add_inbox_convs(conv);
  to.set_keep_alive_s(from.keep_alive_s);
  to.set_protocol_version(from.protocol_version);
  to.set_syncing(from.syncing);
  to.set_sync_no(from.sync_no);
  to.set_hold_no(from.hold_no);
  to.set_scope(from.scope);
  for (const StateFilter& state : from.state_filters) {
    auto& added = *to.add_state_filters();
    added.set_filter(state.filter);
    added.set_asked_no(state.asked_no);
  }
}

std::optional<Session> take(const v1::Session& from) {
  Session to;
  to.session_no = from.session_no();
  to.user = from.user();
  to.user_id = UserId{from.user_id()};
  to.client_id = from.client_id();
  to.device = from.device();
  to.feeds = from.feeds();
  to.inbox_all = from.inbox_all();
  to.inbox_convs.assign(from.inbox_convs().begin(), from.inbox_convs().end());
  to.keep_alive_s = from.keep_alive_s();
  to.protocol_version = from.protocol_version();
  to.syncing = from.syncing();
  to.sync_no = from.sync_no();
  to.hold_no = from.hold_no();
  for (const auto& state : from.state_filters()) {
    to.state_filters.push_back({state.filter(), state.asked_no()});
  }
  if (!take_scope(from.scope(), to.scope)) return std::nullopt;
  return to;
}

void put(const SessionBatch& from, v1::SessionBatch& to) {
  to.set_after(from.after);
  for (const SessionChange& change : from.changes) {
    auto& added = *to.add_changes();
    if (const auto* up = std::get_if<Session>(&change)) put(*up, *added.mutable_up());
    if (const auto* down = std::get_if<SessionDown>(&change)) added.set_down(down->session_no);
  }
  to.set_snapshot(from.snapshot);
  to.set_first_part(from.first_part);
  to.set_last_part(from.last_part);
}

std::optional<SessionBatch> take(const v1::SessionBatch& from) {
  SessionBatch to;
  to.after = from.after();
  to.changes.reserve(static_cast<std::size_t>(from.changes_size()));
  for (const auto& change : from.changes()) {
    if (change.has_up()) {
      auto session = take(change.up());
      if (!session) return std::nullopt;
      to.changes.emplace_back(std::move(*session));
    } else if (change.has_down()) {
      to.changes.emplace_back(SessionDown{change.down()});
    } else {
      return std::nullopt;  // a sort of change that we do not know: the numbers behind it would
                            // shift
    }
  }
  to.snapshot = from.snapshot();
  to.first_part = from.first_part();
  to.last_part = from.last_part();
  return to;
}

void put(const Welcome& from, v1::Welcome& to) {
  to.set_oldest_ingest_no(from.oldest_ingest_no);
  to.set_next_ingest_no(from.next_ingest_no);
  to.set_refused(from.refused);
  to.set_obeyed_epoch(from.obeyed_epoch);
  to.set_padding(from.padding);
  to.set_generations_known(from.generations_known);
}

Welcome take(const v1::Welcome& from) {
  Welcome to;
  to.oldest_ingest_no = from.oldest_ingest_no();
  to.next_ingest_no = from.next_ingest_no();
  to.refused = from.refused();
  to.obeyed_epoch = from.obeyed_epoch();
  to.padding = from.padding();
  to.generations_known = from.generations_known();
  return to;
}

// ---- worker to plugin ----

void put(const Hello& from, v1::Hello& to) {
  to.set_receive_client_id(from.receive_client_id);
  to.set_credit_records(from.credit_records);
  to.set_credit_bytes(from.credit_bytes);
  to.set_padding(from.padding);
}

Hello take(const v1::Hello& from) {
  return {from.receive_client_id(), from.credit_records(), from.credit_bytes(), from.padding()};
}

void put(const Delivery& from, v1::Delivery& to) {
  to.mutable_to()->Reserve(static_cast<int>(from.to.size()));
  for (const std::string& name : from.to) to.add_to(name);
  to.set_suffix(from.suffix);
  to.set_payload(from.payload);
  to.set_qos(from.qos);
  to.set_session_no(from.session_no);
  put_properties(from.properties, *to.mutable_properties());
  if (from.correlation_data) to.set_correlation_data(*from.correlation_data);
}

Delivery take(const v1::Delivery& from) {
  Delivery to;
  to.to.assign(from.to().begin(), from.to().end());
  to.suffix = from.suffix();
  to.payload = from.payload();
  to.qos = from.qos();
  to.session_no = from.session_no();
  to.properties = take_properties(from.properties());
  if (from.has_correlation_data()) to.correlation_data = from.correlation_data();
  return to;
}

void put(const Commit& from, v1::Commit& to) {
  to.set_mark(from.mark);
  for (const Range& range : from.above) {
    auto& added = *to.add_above();
    added.set_first(range.first);
    added.set_last(range.last);
  }
}

/// Nothing if a range is upside down: whoever releases it would run through all numbers.
std::optional<Commit> take(const v1::Commit& from) {
  Commit to;
  to.mark = from.mark();
  to.above.reserve(static_cast<std::size_t>(from.above_size()));
  for (const auto& range : from.above()) {
    if (range.first() > range.last()) return std::nullopt;
    to.above.push_back({range.first(), range.last()});
  }
  return to;
}

void put(const OutboundBatch& from, v1::OutboundBatch& to) {
  to.set_batch_no(from.batch_no);
  for (const Generation& generation : from.generations) {
    auto& added = *to.add_generations();
    added.set_user_id(generation.user_id.value);
    added.set_device(generation.device);
    added.set_generation(generation.generation);
    added.set_disabled(generation.disabled);
  }
  to.set_generations_first(from.generations_first);
  to.set_generations_last(from.generations_last);
  for (const Delivery& delivery : from.deliveries) put(delivery, *to.add_deliveries());
  for (const SyncDone& done : from.sync_done) {
    auto& added = *to.add_sync_done();
    added.set_session_no(done.session_no);
    added.set_sync_no(done.sync_no);
  }
  for (const Hold& hold : from.holds) {
    auto& added = *to.add_holds();
    added.set_session_no(hold.session_no);
    added.set_hold_no(hold.hold_no);
  }
  if (from.commit) put(*from.commit, *to.mutable_commit());
}

std::optional<OutboundBatch> take(const v1::OutboundBatch& from) {
  OutboundBatch to;
  to.batch_no = from.batch_no();
  to.generations.reserve(static_cast<std::size_t>(from.generations_size()));
  for (const auto& generation : from.generations()) {
    to.generations.push_back({UserId{generation.user_id()}, generation.device(),
                              generation.generation(), generation.disabled()});
  }
  to.generations_first = from.generations_first();
  to.generations_last = from.generations_last();
  to.deliveries.reserve(static_cast<std::size_t>(from.deliveries_size()));
  for (const auto& delivery : from.deliveries()) to.deliveries.push_back(take(delivery));
  for (const auto& done : from.sync_done())
    to.sync_done.push_back({done.session_no(), done.sync_no()});
  for (const auto& hold : from.holds()) to.holds.push_back({hold.session_no(), hold.hold_no()});
  if (from.has_commit()) {
    to.commit = take(from.commit());
    if (!to.commit) return std::nullopt;
  }
  return to;
}

}  // namespace

std::string encode(const InboundRecord& record) {
  Workspace workspace;
  auto& to = workspace.make<v1::InboundRecord>();
  to.set_received_at_ms(record.received_at.value);
  to.set_user(record.user);
  to.set_user_id(record.user_id.value);
  to.set_session_no(record.session_no);
  to.set_client_id(record.client_id);
  to.set_device(record.device);
  to.set_scope(record.scope);
  to.set_flags(record.flags);
  to.set_topic_rest(record.topic_rest);
  to.set_payload(record.payload);
  put_properties(record.properties, *to.mutable_properties());
  to.set_response_topic(record.response_topic);
  if (record.correlation_data) to.set_correlation_data(*record.correlation_data);
  if (record.refused) to.set_refused(std::string{to_string(*record.refused)});
  to.set_token_expires_at(record.token_expires_at);
  to.set_token_generation(record.token_generation);
  if (record.device_generation) to.set_device_generation(*record.device_generation);
  return to.SerializeAsString();
}

std::string encode(const PluginFrame& frame) {
  Workspace workspace;
  auto& to = workspace.make<v1::PluginFrame>();
  to.set_spool_id(frame.spool_id);
  to.set_worker_epoch(frame.worker_epoch);
  to.set_applied_batch_no(frame.applied_batch_no);
  to.set_session_change_no(frame.session_change_no);
  if (frame.batch) put(*frame.batch, *to.mutable_batch());
  if (frame.sessions) put(*frame.sessions, *to.mutable_sessions());
  if (frame.welcome) put(*frame.welcome, *to.mutable_welcome());
  to.set_resume_batch_no(frame.resume_batch_no);
  for (const auto& record : frame.typing) to.add_typing(record);
  return to.SerializeAsString();
}

std::string encode(const WorkerFrame& frame, const OutboundBatch* batch) {
  Workspace workspace;
  auto& to = workspace.make<v1::WorkerFrame>();
  to.set_worker_epoch(frame.worker_epoch);
  to.set_spool_id(frame.spool_id);
  to.set_received_ingest_no(frame.received_ingest_no);
  if (frame.hello) put(*frame.hello, *to.mutable_hello());
  if (batch == nullptr && frame.batch) batch = &*frame.batch;
  if (batch != nullptr) put(*batch, *to.mutable_batch());
  to.set_last_batch_no(frame.last_batch_no);
  to.set_resume_ingest_no(frame.resume_ingest_no);
  to.set_want_sessions(frame.want_sessions);
  to.set_collect_ms(frame.collect_ms);
  return to.SerializeAsString();
}

std::optional<InboundRecord> decode_record(std::string_view bytes) {
  // Keeps its strings' memory from one to the next, which is a payload's at most.
  thread_local v1::InboundRecord from;
  if (!parse(bytes, from)) return std::nullopt;
  InboundRecord to;
  to.received_at = UnixMillis{from.received_at_ms()};
  to.user = from.user();
  to.user_id = UserId{from.user_id()};
  to.session_no = from.session_no();
  to.client_id = from.client_id();
  to.device = from.device();
  if (!take_scope(from.scope(), to.scope)) return std::nullopt;
  to.flags = from.flags();
  to.topic_rest = from.topic_rest();
  to.payload = from.payload();
  to.properties = take_properties(from.properties());
  to.response_topic = from.response_topic();
  if (from.has_correlation_data()) to.correlation_data = from.correlation_data();
  to.token_expires_at = from.token_expires_at();
  to.token_generation = from.token_generation();
  if (from.has_device_generation()) to.device_generation = from.device_generation();
  if (!from.refused().empty()) {
    to.refused = code_from(from.refused());
    if (!to.refused) return std::nullopt;
  }
  return to;
}

std::optional<PluginFrame> decode_plugin_frame(std::string_view bytes) {
  Workspace workspace;
  auto& from = workspace.make<v1::PluginFrame>();
  if (!parse(bytes, from)) return std::nullopt;
  PluginFrame to;
  to.spool_id = from.spool_id();
  to.worker_epoch = from.worker_epoch();
  to.applied_batch_no = from.applied_batch_no();
  to.session_change_no = from.session_change_no();
  if (from.has_batch()) to.batch = take(from.batch());
  if (from.has_sessions()) {
    to.sessions = take(from.sessions());
    if (!to.sessions) return std::nullopt;
  }
  if (from.has_welcome()) to.welcome = take(from.welcome());
  to.resume_batch_no = from.resume_batch_no();
  to.typing.assign(from.typing().begin(), from.typing().end());
  return to;
}

std::optional<WorkerFrame> decode_worker_frame(std::string_view bytes) {
  Workspace workspace;
  auto& from = workspace.make<v1::WorkerFrame>();
  if (!parse(bytes, from)) return std::nullopt;
  WorkerFrame to;
  to.worker_epoch = from.worker_epoch();
  to.spool_id = from.spool_id();
  to.received_ingest_no = from.received_ingest_no();
  if (from.has_hello()) to.hello = take(from.hello());
  if (from.has_batch()) {
    to.batch = take(from.batch());
    if (!to.batch) return std::nullopt;
  }
  to.last_batch_no = from.last_batch_no();
  to.resume_ingest_no = from.resume_ingest_no();
  to.want_sessions = from.want_sessions();
  to.collect_ms = from.collect_ms();
  return to;
}

}  // namespace parley::link
