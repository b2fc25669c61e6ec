// What tests/sim/world demands at all times, and at the end.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/sim/world.hpp"

namespace parley::sim {
namespace {

constexpr std::size_t word = 8;
constexpr std::size_t small_frame_bytes_max = 400'000;  // larger ones are the handshake's padding

std::string read_file(const std::string& path) {
  std::string bytes;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return bytes;
  bytes.resize(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)));
  if (::pread(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    bytes.clear();
  }
  ::close(file);
  return bytes;
}

void write_file(const std::string& path, const std::string& bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0 || ::pwrite(file, bytes.data(), bytes.size(), 0) < 0) std::abort();
  ::close(file);
}

}  // namespace

/// The broker is killed within `action`: of the words that it would have written to the spool, only
/// some are there. Those of a record are written in any order, and the one that makes it valid
/// last.
void World::torn_crash(const std::function<void()>& action) {
  ++counts_.torn;
  const std::string path = state_dir_ + "/spool";
  const std::string before = read_file(path);
  const auto& spool = broker_.plugin().spool;
  const IngestNo next = spool.next();
  const auto open = open_;
  action();
  if (!broker_.running()) return;
  const bool appended = spool.next() != next && spool.next() == next + 1;
  const std::uint64_t at =
      appended ? Spool::header_bytes + spool.entries().back().position % spool.capacity() : 0;
  const std::string after = read_file(path);
  kill_broker();
  std::string torn = before;
  const bool whole = random_.percent(30);
  for (std::size_t i = 0; i + word <= after.size(); i += word) {
    if (std::memcmp(before.data() + i, after.data() + i, word) == 0) continue;
    if (!whole && (i == at + 2 * word || random_.percent(50))) continue;
    std::memcpy(torn.data() + i, after.data() + i, word);
  }
  // A mark that is there although what led to it is not would be another order than the code's.
  if (appended && !whole) std::memcpy(torn.data(), before.data(), Spool::header_bytes);
  write_file(path, torn);
  trace(whole ? "the broker dies after it" : "the broker dies within it");
  if (appended) open_ = open;  // nobody has heard a PUBACK: it may be there or not
}

/// As if the machine had been started anew meanwhile: the spool then leaps over many numbers.
void World::forget_boot() {
  constexpr std::size_t boot_mark_offset = 128;  // core/spool.cpp
  constexpr std::size_t boot_mark_bytes = 16;
  const std::string path = state_dir_ + "/spool";
  std::string bytes = read_file(path);
  if (bytes.empty()) return;
  bytes.replace(boot_mark_offset, boot_mark_bytes, boot_mark_bytes, '\0');
  write_file(path, bytes);
}

bool World::still_in_spool(IngestNo ingest_no) {
  const auto& spool = broker_.plugin().spool;
  const auto& entries = spool.entries();
  const std::size_t i = spool.find(ingest_no);
  return i < entries.size() && entries[i].ingest_no == ingest_no && !entries[i].released;
}

void World::look_at_spool() {
  if (!broker_.running()) return;
  const auto spool_id = broker_.plugin().spool.spool_id();
  std::erase_if(open_, [&](const auto& entry) {
    if (entry.first.first != spool_id || still_in_spool(entry.first.second)) return false;
    check_outcome(entry.first.second, entry.second);
    return true;
  });
}

/// A later mark that is still in the spool says as much.
bool World::covered(IngestNo ingest_no, const Accepted& mark) {
  const auto spool_id = broker_.plugin().spool.spool_id();
  return std::any_of(open_.begin(), open_.end(), [&](const auto& entry) {
    const auto& [key, other] = entry;
    return key.first == spool_id && key.second > ingest_no && other.is_mark &&
           other.user_id == mark.user_id && other.device == mark.device &&
           other.conv == mark.conv && other.mark >= mark.mark && still_in_spool(key.second);
  });
}

void World::check_outcome(IngestNo ingest_no, const Accepted& accepted) {
  const auto spool_id = broker_.plugin().spool.spool_id();
  const std::string number = "record " + std::to_string(ingest_no);
  if (accepted.is_mark) {
    for (const auto& [id, table] : database_.conversations()) {
      if (database_.conv_name(id, accepted.user_id) != accepted.conv) continue;
      if (database_.device_mark(accepted.user_id, accepted.device, id) < accepted.mark &&
          !covered(ingest_no, accepted)) {
        violated(number + " released before its mark was stored");
      }
    }
    return;
  }
  const Row* const row = database_.by_origin(spool_id, ingest_no);
  if (row != nullptr) {
    if (row->text != accepted.text) violated(number + " stored with another text");
    return;
  }
  const bool repeat =
      !accepted.id.empty() && database_.by_id(accepted.user_id, accepted.id) != nullptr;
  if (!repeat && !accepted.refusable) violated(number + " released before it was stored");
  if (accepted.parks && !repeat && !database_.parked(spool_id, ingest_no)) {
    violated(number + " released and neither stored nor parked");
  }
}

void World::on_link_packet(const Packet& packet) {
  if (packet.payload.size() > small_frame_bytes_max) return;
  const auto frame = link::decode_plugin_frame(packet.payload);
  if (frame && frame->sessions && verbose()) {
    for (const auto& change : frame->sessions->changes) {
      const auto* const up = std::get_if<link::Session>(&change);
      if (up == nullptr) continue;
      trace("plugin tells of session " + std::to_string(up->session_no & 0xFFFFU) + " " +
            up->client_id + (up->syncing ? " syncing " : " ") + std::to_string(up->sync_no) +
            (frame->sessions->snapshot ? " (snapshot)" : ""));
    }
  }
  if (!frame) return;
  auto& told = told_applied_[{broker_starts_, frame->worker_epoch}];
  told = std::max(told, frame->applied_batch_no);
  if (!frame->batch) return;
  if (frame->worker_epoch != sent_epoch_) sent_.clear();
  sent_epoch_ = frame->worker_epoch;
  for (const auto& record : frame->batch->records) sent_.insert(record.ingest_no);
  std::erase_if(sent_, [this](IngestNo ingest_no) { return !still_in_spool(ingest_no); });
  std::size_t bytes = 0;
  const auto& spool = broker_.plugin().spool;
  for (const auto ingest_no : sent_) bytes += spool.entries()[spool.find(ingest_no)].length;
  if (sent_.size() > profile_.credit_records) violated("more records outstanding than credit");
  if (sent_.size() > 1 && bytes > profile_.credit_bytes) {
    violated("more bytes outstanding than credit");
  }
}

void World::before_broker(const Packet& packet) {
  batch_.reset();
  if (packet.payload.size() > small_frame_bytes_max) return;
  const auto frame = link::decode_worker_frame(packet.payload);
  if (!frame || !frame->batch) return;
  batch_ = {frame->worker_epoch, frame->batch->batch_no, broker_.plugin_publishes};
  if (verbose()) trace_batch(*frame);
  // The worker knows at most what the plugin has said.
  const auto told = told_applied_.find({broker_starts_, frame->worker_epoch});
  const auto applied = told == told_applied_.end() ? 0 : told->second;
  if (frame->batch->batch_no > applied + profile_.batches_window) {
    violated("the worker sends beyond its window");
  }
}

void World::trace_batch(const link::WorkerFrame& frame) const {
  for (const auto& done : frame.batch->sync_done) {
    trace("worker " + std::to_string(frame.worker_epoch) + " batch " +
          std::to_string(frame.batch->batch_no) + " sync_done session " +
          std::to_string(done.session_no & 0xFFFFU) + " sync_no " + std::to_string(done.sync_no));
  }
  for (const auto& delivery : frame.batch->deliveries) {
    trace("worker " + std::to_string(frame.worker_epoch) + " batch " +
          std::to_string(frame.batch->batch_no) + " " + delivery.suffix + " to " +
          delivery.to.front() + " only " + std::to_string(delivery.session_no & 0xFFFFU) + " " +
          delivery.payload.substr(0, 60));
  }
}

void World::after_broker() {
  look_at_spool();
  if (!batch_ || broker_.plugin_publishes == batch_->publishes) return;
  auto& last = executed_[{broker_starts_, batch_->epoch}];
  if (batch_->batch_no <= last) violated("a batch was carried out twice, or out of order");
  last = batch_->batch_no;
}

bool World::at_rest() {
  if (!broker_.running() || workers_.empty()) return false;
  look_at_spool();
  const auto& entries = broker_.plugin().spool.entries();
  if (!entries.empty() || !open_.empty()) return false;
  if (!database_.idle() || !network_.idle()) return false;
  for (const auto& client : clients_) {
    if (client.connection == 0 || broker_.connection_of(client.place) != client.connection) {
      return false;
    }
    if (!broker_.context(client.place).out.empty()) return false;
    if (client.observes) continue;
    for (const auto& [id, table] : database_.conversations()) {
      if (database_.conv_name(id, client.user_id).empty()) continue;
      const auto seen = client.seen.find(id);
      // Who has been given nothing yet has everything up to where he began.
      const auto end = static_cast<Seq>(table.rows.size() + 1);
      Seq from = seen != client.seen.end() ? seen->second : base_of(client, id, end);
      if (client.device.empty()) from = std::max(from, base_of(client, id, end));
      for (Seq seq = from + 1; seq <= table.rows.size(); ++seq) {
        if (visible(client, id, seq)) return false;
      }
    }
  }
  return true;
}

void World::check_end() {
  check_rows();
  const auto& spool = broker_.plugin().spool;
  if (spool.used_bytes() != 0) violated("the spool is empty and holds bytes");
  if (broker_.plugin().sessions.live() > clients_.size() + 2 * workers_.size()) {
    violated("the plugin believes in connections that are gone");
  }
}

void World::check_rows() {
  std::set<std::string> texts;
  std::set<std::pair<std::int64_t, std::string>> ids;
  for (const auto& [id, table] : database_.conversations()) {
    // By sender: the origin of his last message.
    std::map<std::int64_t, std::pair<std::uint64_t, IngestNo>> last;
    Seq seq = 0;
    for (const auto& row : table.rows) {
      if (row.seq != ++seq) violated("a gap in the seqs");
      if (!texts.insert(row.text).second) violated("stored twice: " + row.text);
      if (!row.id.empty() && !ids.insert({row.sender, row.id}).second) {
        violated("an id stored twice: " + row.id);
      }
      auto& origin = last[row.sender];
      if (origin.first == row.spool_id && origin.second >= row.ingest_no) {
        violated("stored in another order than received");
      }
      origin = {row.spool_id, row.ingest_no};
    }
  }
}

}  // namespace parley::sim
