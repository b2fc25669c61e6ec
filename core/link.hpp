// What plugin and worker say to each other, as values (schema/proto/parley/v1/link.proto). Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/code.hpp"
#include "core/ids.hpp"
#include "core/topic.hpp"

namespace parley::link {

inline constexpr std::size_t frame_bytes_target =
    64 * 1024;  // a frame grows beyond it only by one item
/// Recipients in a frame, never more. The broker carries it out in one pass of its loop, and
/// everybody else waits for that (docs/adr/0010-a-frame-is-a-turn-of-the-broker.md).
inline constexpr std::size_t frame_deliveries_max = 256;
/// What the start-up handshake sends once, each way, so that a broker's own size limit shows at
/// once.
inline constexpr std::size_t probe_bytes = 768 * 1024;

namespace record_flag {
inline constexpr std::uint32_t mqtt5 = 1;
inline constexpr std::uint32_t qos0 = 2;
inline constexpr std::uint32_t holds_inbox = 4;  // its session holds an inbox subscription
inline constexpr std::uint32_t will = 8;
inline constexpr std::uint32_t bound = 16;  // its token is good for its device only
}  // namespace record_flag

struct Property {
  std::string key;
  std::string value;
  bool operator==(const Property&) const = default;
};

struct InboundRecord {
  UnixMillis received_at;
  std::string user;
  UserId user_id;
  SessionNo session_no = 0;
  std::string client_id;
  std::string device;
  std::uint8_t scope = 0;
  std::uint32_t flags = 0;
  std::string topic_rest;
  std::string payload;
  std::vector<Property> properties;
  std::string response_topic;
  std::optional<std::string> correlation_data;
  std::optional<Code> refused;
  std::uint32_t token_expires_at = 0;  // unix seconds, 0 = never
  std::uint32_t token_generation = 0;
  std::optional<std::uint32_t> device_generation;  // at the session's login, if it was known
};

struct SpooledRecord {
  IngestNo ingest_no = 0;
  std::string record;  // encode_record(InboundRecord)
};
struct InboundBatch {
  IngestNo after = 0;
  std::vector<SpooledRecord> records;
};

struct Session {
  SessionNo session_no = 0;
  std::string user;
  UserId user_id;
  std::string client_id;
  std::string device;
  std::uint32_t feeds = 0;
  bool inbox_all = false;
  std::vector<std::string> inbox_convs;
  std::uint32_t keep_alive_s = 0;
  std::uint32_t protocol_version = 4;
  bool syncing = false;
  std::uint8_t scope = 0;
  std::uint32_t sync_no = 0;  // counts how often it had to be brought up to date
  std::uint32_t hold_no = 0;  // of the last hold that was carried out
  std::vector<StateFilter> state_filters{};
};
struct SessionDown {
  SessionNo session_no = 0;
};
using SessionChange = std::variant<Session, SessionDown>;
struct SessionBatch {
  std::uint64_t after = 0;
  std::vector<SessionChange> changes;
  bool snapshot = false;
  bool first_part = false;
  bool last_part = false;
};

struct Welcome {
  IngestNo oldest_ingest_no = 0;
  IngestNo next_ingest_no = 0;
  bool refused = false;
  std::uint64_t obeyed_epoch = 0;
  std::string padding;
  bool generations_known = false;
};

struct PluginFrame {
  std::uint64_t spool_id = 0;
  std::uint64_t worker_epoch = 0;
  std::uint64_t applied_batch_no = 0;
  std::uint64_t session_change_no = 0;
  std::optional<InboundBatch> batch;
  std::optional<SessionBatch> sessions;
  std::optional<Welcome> welcome;
  std::uint64_t resume_batch_no = 0;
  std::vector<std::string> typing{};  // records that are in no spool
};

struct Hello {
  std::string receive_client_id;
  std::uint32_t credit_records = 0;
  std::uint32_t credit_bytes = 0;
  std::string padding;
};
struct Range {
  IngestNo first = 0;
  IngestNo last = 0;
  bool operator==(const Range&) const = default;
};
struct Commit {
  IngestNo mark = 0;
  std::vector<Range> above;
};
struct Delivery {
  std::vector<std::string> to;
  std::string suffix;
  std::string payload;
  std::uint32_t qos = 0;
  SessionNo session_no = 0;
  std::vector<Property> properties;
  std::optional<std::string> correlation_data;
};
/// Takes deliveries, one after the other.
using Deliver = std::function<void(Delivery)>;
struct Generation {
  UserId user_id;
  std::string device;
  std::uint32_t generation = 0;
  bool disabled = false;
};
/// The session has what it missed; means nothing once it has a higher `sync_no`.
struct SyncDone {
  SessionNo session_no = 0;
  std::uint32_t sync_no = 0;
  bool operator==(const SyncDone&) const = default;
};
/// From here on live messages are held back from the session, until the next SyncDone.
struct Hold {
  SessionNo session_no = 0;
  std::uint32_t hold_no = 0;
  bool operator==(const Hold&) const = default;
};
struct OutboundBatch {
  std::uint64_t batch_no = 0;
  std::vector<Generation> generations;
  bool generations_first = false;
  bool generations_last = false;
  std::vector<Delivery> deliveries;
  std::vector<SyncDone> sync_done;
  std::vector<Hold> holds;
  std::optional<Commit> commit;
};
struct WorkerFrame {
  std::uint64_t worker_epoch = 0;
  std::uint64_t spool_id = 0;
  IngestNo received_ingest_no = 0;
  std::optional<Hello> hello;
  std::optional<OutboundBatch> batch;
  std::uint64_t last_batch_no = 0;
  IngestNo resume_ingest_no = 0;
  bool want_sessions = false;
  std::uint32_t collect_ms = 0;  // records may wait so long for others
};

std::string encode(const InboundRecord& record);
std::string encode(const PluginFrame& frame);
/// @param batch  if not null, goes with the frame as if it were in it
std::string encode(const WorkerFrame& frame, const OutboundBatch* batch = nullptr);
/// Nothing if the bytes are not such a message: the receiver drops them and counts.
std::optional<InboundRecord> decode_record(std::string_view bytes);
std::optional<PluginFrame> decode_plugin_frame(std::string_view bytes);
std::optional<WorkerFrame> decode_worker_frame(std::string_view bytes);

}  // namespace parley::link
