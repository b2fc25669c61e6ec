// A ring of numbered records in memory that outlives the process: what the broker has accepted and
// nobody has stored yet (docs/ARCHITECTURE.md, "Spool"). Pure; plugin/spool_file maps the file.
//
// Memory: one page of header, then the ring. Positions count bytes ever written and never go back;
// the place in the ring is the position modulo its capacity. Everything is aligned to 8 bytes. A
// record is its bytes first and its header last, so that a process killed at any instruction leaves
// whole records only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/ids.hpp"
#include "core/link.hpp"
#include "core/result.hpp"

namespace parley {

class Spool {
 public:
  static constexpr std::size_t header_bytes = 4096;
  static constexpr std::uint32_t version = 1;
  /// What the numbers leap by after the operating system itself has gone down, or a record was
  /// found damaged: what is lost may have been offered already, and a number must never mean two
  /// records.
  static constexpr IngestNo leap = 1U << 20U;

  /// One run of the operating system (Linux: /proc/sys/kernel/random/boot_id). Zeros: not known,
  /// which is never the same run.
  using BootMark = std::array<unsigned char, 16>;

  /// What a header page says.
  struct Found {
    std::uint64_t spool_id = 0;
    std::uint64_t capacity = 0;  // bytes of the ring
  };
  /// @param header  at least header_bytes
  /// @return or what is wrong with it
  static Result<Found, std::string> inspect(std::span<const std::byte> header);
  /// Makes `memory` an empty spool. Its ring takes all that lies behind the header page.
  static void format(std::span<std::byte> memory, std::uint64_t spool_id);

  /// Takes up what lies in `memory`: everything from the commit mark on, up to the first record
  /// that is not whole. `memory` must outlive the spool.
  static Result<Spool, std::string> open(std::span<std::byte> memory, const BootMark& boot);

  /// Who may use the last twentieth of the ring.
  enum class Reserve {
    keep,  // ordinary records
    use,   // records that only carry a refusal
  };
  /// Appends a record. When this returns a number, the record survives the end of this process.
  /// @return nothing if it does not fit now
  std::optional<IngestNo> append(std::string_view record, Reserve reserve);

  /// A record that has not been released.
  struct Entry {
    IngestNo ingest_no = 0;
    std::uint64_t position = 0;
    std::uint32_t length = 0;  // bytes of the record
    bool released = false;     // its space is not free yet, as an older one still stands before it
  };
  /// Lets go of everything up to the mark and of the ranges above it. Numbers that do not exist are
  /// ignored.
  /// @param gone  called for each record that goes
  void release(const link::Commit& commit, const std::function<void(const Entry&)>& gone);

  [[nodiscard]] std::uint64_t spool_id() const { return spool_id_; }
  /// The first record that is not released; next() if there is none.
  [[nodiscard]] IngestNo oldest() const;
  [[nodiscard]] IngestNo next() const { return next_; }
  /// Records that stand in the ring, the released ones among them, in order of their numbers.
  [[nodiscard]] const std::deque<Entry>& entries() const { return entries_; }
  /// Index in entries() of the first record with at least this number.
  [[nodiscard]] std::size_t find(IngestNo from) const;
  [[nodiscard]] std::string_view read(const Entry& entry) const;

  [[nodiscard]] std::uint64_t capacity() const { return ring_.size(); }
  [[nodiscard]] std::uint64_t used_bytes() const { return tail_ - head_; }
  /// How open() found things.
  [[nodiscard]] bool dropped_tail() const { return dropped_tail_; }
  [[nodiscard]] bool leapt() const { return leapt_; }

 private:
  struct RecordHeader;
  struct Slot;

  Spool(std::span<std::byte> memory, std::uint64_t spool_id);
  bool load_mark();
  void save_mark();
  void scan();
  /// Looks at every place where one could begin; for when the spool is opened.
  bool record_beyond_tail();
  /// If that place is free.
  void clear_header(std::uint64_t position);
  [[nodiscard]] std::optional<Entry> whole_record_at(std::uint64_t position, IngestNo after);
  [[nodiscard]] std::uint32_t record_crc(IngestNo ingest_no, std::string_view record) const;
  [[nodiscard]] std::uint64_t room_before_wrap(std::uint64_t position) const;
  void mark_range(const link::Range& range, const std::function<void(const Entry&)>& gone);
  void drop_front(IngestNo mark, const std::function<void(const Entry&)>& gone);

  std::span<std::byte> header_;
  std::span<std::byte> ring_;
  std::uint64_t spool_id_ = 0;
  std::uint64_t slot_turn_ = 0;
  std::uint64_t head_ = 0;  // position of the first entry
  std::uint64_t tail_ = 0;  // where the next record goes
  IngestNo mark_ = 0;       // everything up to it is released
  IngestNo floor_ = 1;      // next_ is at least this
  IngestNo next_ = 1;
  bool dropped_tail_ = false;
  bool leapt_ = false;
  std::deque<Entry> entries_;
  std::map<IngestNo, IngestNo> released_;  // first → last, above mark_, not adjacent
};

}  // namespace parley
