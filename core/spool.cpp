#include "core/spool.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "core/crc32c.hpp"
#include "core/fault_point.hpp"

namespace parley {
namespace {

constexpr std::array<char, 8> magic = {'P', 'A', 'R', 'L', 'E', 'Y', 'S', 'P'};
constexpr std::uint64_t alignment = 8;
constexpr std::uint64_t reserve_divisor = 20;  // 5 % for records that only carry a refusal

/// The unchanging start of the header page.
struct FileHeader {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint64_t spool_id;
  std::uint64_t capacity;
  std::uint32_t crc;  // of all before it
  std::uint32_t unused;
};
static_assert(sizeof(FileHeader) == 40);

constexpr std::size_t boot_offset = 128;
constexpr std::array<std::size_t, 2> slot_offsets = {512, 1024};

template <class T>
std::string_view bytes_before(const T& value, std::size_t length) {
  return {reinterpret_cast<const char*>(&value), length};
}

constexpr std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

/// In front of each record. `position` is written last and makes it valid: what an earlier lap left
/// in its place is another position.
struct Spool::RecordHeader {
  std::uint32_t length;  // of the record; `wrap` has none and means: go on at the ring's start
  std::uint32_t crc;     // of spool_id, ingest_no and the record
  std::uint64_t ingest_no;
  std::uint64_t position;
  static constexpr std::uint32_t wrap = UINT32_MAX;
};

/// Where reading begins. Two of them, written in turn: one is always whole.
struct Spool::Slot {
  std::uint64_t turn;
  IngestNo mark;
  std::uint64_t head;
  IngestNo floor;     // numbers below it are used up, whether a record with them is left or not
  std::uint32_t crc;  // of all before it
  std::uint32_t unused;
};

Result<Spool::Found, std::string> Spool::inspect(std::span<const std::byte> header) {
  if (header.size() < header_bytes) return failed<std::string>("no header");
  FileHeader found{};
  std::memcpy(&found, header.data(), sizeof found);
  if (found.magic != magic) return failed<std::string>("not a spool");
  if (found.version != version) {
    return failed("version " + std::to_string(found.version) + ", not " + std::to_string(version));
  }
  if (found.crc != crc32c(bytes_before(found, offsetof(FileHeader, crc))) ||
      found.header_bytes != header_bytes || found.spool_id == 0 || found.capacity < alignment ||
      found.capacity % alignment != 0) {
    return failed<std::string>("damaged header");
  }
  return Found{found.spool_id, found.capacity};
}

void Spool::format(std::span<std::byte> memory, std::uint64_t spool_id) {
  std::memset(memory.data(), 0, header_bytes);
  FileHeader header{magic,
                    version,
                    header_bytes,
                    spool_id,
                    (memory.size() - header_bytes) / alignment * alignment,
                    0,
                    0};
  header.crc = crc32c(bytes_before(header, offsetof(FileHeader, crc)));
  std::memcpy(memory.data(), &header, sizeof header);
  Spool fresh{memory, spool_id};
  fresh.save_mark();
  fresh.save_mark();  // both slots
}

Spool::Spool(std::span<std::byte> memory, std::uint64_t spool_id)
    : header_{memory.first(header_bytes)},
      ring_{memory.subspan(header_bytes, (memory.size() - header_bytes) / alignment * alignment)},
      spool_id_{spool_id} {}

Result<Spool, std::string> Spool::open(std::span<std::byte> memory, const BootMark& boot) {
  const auto found = inspect(memory);
  if (!found) return failed(found.error());
  if (memory.size() < header_bytes + found->capacity) return failed<std::string>("cut short");
  Spool spool{memory.first(header_bytes + found->capacity), found->spool_id};
  if (!spool.load_mark()) return failed<std::string>("damaged commit mark");
  spool.scan();

  BootMark before{};
  std::memcpy(before.data(), memory.data() + boot_offset, before.size());
  const bool same_run = before == boot && boot != BootMark{};
  std::memcpy(memory.data() + boot_offset, boot.data(), boot.size());
  // Behind a damaged record others may stand; their numbers must not become the next ones either.
  const bool used = before != BootMark{} || spool.next_ > 1;
  if (used && (!same_run || spool.dropped_tail_)) {
    spool.leapt_ = true;
    spool.next_ += leap;
    spool.floor_ = spool.next_;
    spool.save_mark();
  }
  return spool;
}

bool Spool::load_mark() {
  bool loaded = false;
  for (const std::size_t offset : slot_offsets) {
    Slot slot{};
    std::memcpy(&slot, header_.data() + offset, sizeof slot);
    if (slot.crc != crc32c(bytes_before(slot, offsetof(Slot, crc)))) continue;
    if (slot.head % alignment != 0 || (loaded && slot.turn <= slot_turn_)) continue;
    loaded = true;
    slot_turn_ = slot.turn;
    mark_ = slot.mark;
    head_ = slot.head;
    floor_ = slot.floor;
  }
  tail_ = head_;
  return loaded;
}

void Spool::save_mark() {
  Slot slot{++slot_turn_, mark_, head_, floor_, 0, 0};
  slot.crc = crc32c(bytes_before(slot, offsetof(Slot, crc)));
  std::memcpy(header_.data() + slot_offsets[slot_turn_ % slot_offsets.size()], &slot, sizeof slot);
}

std::uint32_t Spool::record_crc(IngestNo ingest_no, std::string_view record) const {
  // With the spool's id, or what another spool left in this memory could pass for a record of this
  // one.
  return crc32c(record, crc32c(bytes_before(ingest_no, 8), crc32c(bytes_before(spool_id_, 8))));
}

std::uint64_t Spool::room_before_wrap(std::uint64_t position) const {
  return ring_.size() - position % ring_.size();
}

std::optional<Spool::Entry> Spool::whole_record_at(std::uint64_t position, IngestNo after) {
  RecordHeader header{};
  std::memcpy(&header, ring_.data() + position % ring_.size(), sizeof header);
  if (header.position != position || header.length == RecordHeader::wrap) return std::nullopt;
  // An older number is what lies behind a tail that was lost with the operating system.
  if (header.ingest_no <= after) return std::nullopt;
  const Entry entry{header.ingest_no, position, header.length, false};
  const bool fits = sizeof header + header.length <= room_before_wrap(position);
  if (!fits || header.crc != record_crc(header.ingest_no, read(entry))) {
    dropped_tail_ = true;
    return std::nullopt;
  }
  return entry;
}

void Spool::scan() {
  IngestNo last = mark_;
  while (tail_ - head_ < ring_.size()) {
    const std::uint64_t room = room_before_wrap(tail_);
    bool wraps = room < sizeof(RecordHeader);
    if (!wraps) {
      RecordHeader header{};
      std::memcpy(&header, ring_.data() + tail_ % ring_.size(), sizeof header);
      wraps = header.position == tail_ && header.length == RecordHeader::wrap;
    }
    if (wraps) {
      if (tail_ - head_ + room >= ring_.size()) break;
      // A mark to go on at the start means nothing unless a record follows.
      const auto next = whole_record_at(tail_ + room, last);
      if (!next) break;
      tail_ += room;
    }
    const auto entry = whole_record_at(tail_, last);
    if (!entry) break;
    const std::uint64_t end = tail_ + sizeof(RecordHeader) + aligned(entry->length);
    if (end - head_ > ring_.size()) break;
    entries_.push_back(*entry);
    last = entry->ingest_no;
    tail_ = end;
  }
  next_ = std::max(last + 1, floor_);
  // A record whose position has changed looks like the end. If others stand behind it, it is not.
  if (!dropped_tail_) dropped_tail_ = record_beyond_tail();
  // Nothing that was dropped may become valid again by what is written around it, or be found
  // damaged at each start: neither what stands here nor what stands where the ring begins again.
  clear_header(tail_);
  clear_header(tail_ + room_before_wrap(tail_));
}

bool Spool::record_beyond_tail() {
  for (std::uint64_t at = tail_; at - head_ < ring_.size(); at += alignment) {
    if (room_before_wrap(at) < sizeof(RecordHeader)) continue;
    RecordHeader header{};
    std::memcpy(&header, ring_.data() + at % ring_.size(), sizeof header);
    // Those of an earlier round have other positions, those from before a leap lower numbers.
    if (header.position != at || header.ingest_no < next_) continue;
    if (whole_record_at(at, next_ - 1)) return true;
    dropped_tail_ = false;  // it was none
  }
  return false;
}

void Spool::clear_header(std::uint64_t position) {
  if (room_before_wrap(position) < sizeof(RecordHeader) ||
      position - head_ + sizeof(RecordHeader) > ring_.size()) {
    return;
  }
  std::memset(ring_.data() + position % ring_.size(), 0, sizeof(RecordHeader));
}

std::optional<IngestNo> Spool::append(std::string_view record, Reserve reserve) {
  const std::uint64_t need = sizeof(RecordHeader) + aligned(record.size());
  const std::uint64_t room = room_before_wrap(tail_);
  const std::uint64_t skip = room < need ? room : 0;
  const std::uint64_t limit =
      reserve == Reserve::use ? ring_.size() : ring_.size() - ring_.size() / reserve_divisor;
  if (record.size() >= RecordHeader::wrap || used_bytes() + skip + need > limit) {
    return std::nullopt;
  }
  entries_.push_back({next_, tail_ + skip, static_cast<std::uint32_t>(record.size()), false});

  const auto write = [this](const RecordHeader& header) {
    std::byte* at = ring_.data() + header.position % ring_.size();
    std::memcpy(at, &header, offsetof(RecordHeader, position));
    auto& position = *reinterpret_cast<std::uint64_t*>(at + offsetof(RecordHeader, position));
    std::atomic_ref{position}.store(header.position, std::memory_order_release);
  };
  const std::uint64_t at = tail_ + skip;
  if (!record.empty()) {
    std::memcpy(ring_.data() + at % ring_.size() + sizeof(RecordHeader), record.data(),
                record.size());
  }
  crash_point(CrashPoint::plugin_spool_payload);
  write({static_cast<std::uint32_t>(record.size()), record_crc(next_, record), next_, at});
  // The way to it comes last: until it is there, the record cannot be found.
  if (skip >= sizeof(RecordHeader)) write({RecordHeader::wrap, 0, 0, tail_});
  tail_ = at + need;
  return next_++;
}

void Spool::release(const link::Commit& commit, const std::function<void(const Entry&)>& gone) {
  for (const auto& range : commit.above) {
    mark_range({std::max(range.first, mark_ + 1), std::min(range.last, next_ - 1)}, gone);
  }
  drop_front(std::min(commit.mark, next_ - 1), gone);
}

void Spool::mark_range(const link::Range& range, const std::function<void(const Entry&)>& gone) {
  const IngestNo last = range.last;
  if (range.first > last) return;
  // Each commit repeats the ranges of the one before: what is known is skipped as a whole.
  auto after = released_.upper_bound(range.first);
  IngestNo from = range.first;
  IngestNo merged_first = range.first;
  if (after != released_.begin()) {
    const auto before = std::prev(after);
    if (before->second + 1 >= range.first) {
      if (before->second >= last) return;
      merged_first = before->first;
      from = before->second + 1;
    }
  }
  IngestNo merged_last = last;
  for (std::size_t i = find(from); i < entries_.size() && entries_[i].ingest_no <= last; ++i) {
    if (entries_[i].released) continue;
    entries_[i].released = true;
    gone(entries_[i]);
  }
  while (after != released_.end() && after->first <= last + 1) {
    merged_last = std::max(merged_last, after->second);
    after = released_.erase(after);
  }
  released_[merged_first] = merged_last;
}

void Spool::drop_front(IngestNo mark, const std::function<void(const Entry&)>& gone) {
  bool moved = false;
  while (!entries_.empty() && (entries_.front().ingest_no <= mark || entries_.front().released)) {
    const Entry entry = entries_.front();
    entries_.pop_front();
    if (!entry.released) gone(entry);
    mark_ = entry.ingest_no;
    moved = true;
  }
  if (!moved) return;
  head_ = entries_.empty() ? tail_ : entries_.front().position;
  while (!released_.empty() && released_.begin()->second <= mark_) {
    released_.erase(released_.begin());
  }
  crash_point(CrashPoint::plugin_released_without_mark);
  save_mark();
}

IngestNo Spool::oldest() const { return entries_.empty() ? next_ : entries_.front().ingest_no; }

std::size_t Spool::find(IngestNo from) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), from,
                       [](const Entry& entry, IngestNo no) { return entry.ingest_no < no; });
  return static_cast<std::size_t>(found - entries_.begin());
}

std::string_view Spool::read(const Entry& entry) const {
  const std::byte* at = ring_.data() + entry.position % ring_.size() + sizeof(RecordHeader);
  return {reinterpret_cast<const char*>(at), entry.length};
}

}  // namespace parley
