#include "tests/sim/spool_life.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "core/commit_tracker.hpp"
#include "core/inbound_sender.hpp"
#include "core/inbound_stream.hpp"
#include "core/spool.hpp"
#include "tests/sim/random.hpp"

namespace parley::sim {
namespace {

using Memory = std::vector<std::byte>;
constexpr std::size_t word = 8;
constexpr Spool::BootMark boot{1};

/// A spool, what should be in it, and both ends of the stream of records. Everything is lost but
/// the memory when the process is killed.
class Life {
 public:
  explicit Life(std::uint64_t seed)
      : random_{seed}, memory_(Spool::header_bytes + word * random_.between(20, 120)) {
    for (auto& byte : memory_) byte = static_cast<std::byte>(random_.next());
    Spool::format(memory_, 7 + seed);
    reopen();
  }

  std::optional<std::string> run() {
    const int events = static_cast<int>(random_.between(50, 250));
    for (int i = 0; i < events && !wrong_; ++i) {
      now_.value += random_.between(0, 700);
      step();
    }
    return wrong_;
  }

 private:
  void step() {
    switch (random_.below(9)) {
      case 0:
      case 1:
      case 2:
        append();
        break;
      case 3:
      case 4:
        transfer();
        break;
      case 5:
        settle();
        break;
      case 6:
        commit();
        break;
      case 7:
        if (random_.percent(30)) reopen();
        break;
      default:
        if (random_.percent(30)) begin_worker();
        break;
    }
  }

  std::string some_record() {
    std::string record(random_.below(60), ' ');
    for (auto& byte : record) byte = static_cast<char>(random_.next());
    return record;
  }

  void append() {
    const std::string record = some_record();
    const Memory before = memory_;
    const auto number =
        spool_->append(record, random_.percent(80) ? Spool::Reserve::keep : Spool::Reserve::use);
    if (!number) return;
    if (random_.percent(25)) {
      die_in_append(before, *number, record);
      return;
    }
    kept_[*number] = record;
  }

  /// The words that were written, in the order in which they may become visible: the record's in
  /// any order, what makes it valid, the way to it in any order, what makes that valid.
  void die_in_append(const Memory& before, IngestNo number, const std::string& record) {
    const std::size_t at =
        Spool::header_bytes +
        static_cast<std::size_t>(spool_->entries().back().position % spool_->capacity());
    const std::size_t end = at + 3 * word + (record.size() + word - 1) / word * word;
    std::vector<std::size_t> of_record;
    std::vector<std::size_t> of_way;
    for (std::size_t i = Spool::header_bytes; i < memory_.size(); i += word) {
      if (std::memcmp(&before[i], &memory_[i], word) == 0 || i == at + 2 * word) continue;
      (i >= at && i < end ? of_record : of_way).push_back(i);
    }
    const bool has_record = random_.percent(60);
    Memory torn = before;
    const auto copy = [&](std::size_t i) { std::memcpy(&torn[i], &memory_[i], word); };
    for (const std::size_t i : of_record) {
      if (has_record || random_.percent(50)) copy(i);
    }
    bool whole = false;
    if (has_record) {
      copy(at + 2 * word);
      // Of the way only the last word makes it valid; it is written last.
      const std::size_t ways = of_way.empty() ? 0 : random_.below(of_way.size() + 1);
      for (std::size_t i = 0; i < ways; ++i) copy(of_way[i]);
      whole = ways == of_way.size();
    }
    memory_ = std::move(torn);
    expecting_ = false;
    reopen();
    expecting_ = true;
    if (wrong_) return;
    // Not told to anybody: it may be there, whole, or not.
    const auto& entries = spool_->entries();
    if (!entries.empty() && entries.back().ingest_no == number && !kept_.contains(number)) {
      kept_[number] = record;
      if (spool_->read(entries.back()) != record) wrong_ = "a torn record was taken for whole";
    } else if (whole) {
      wrong_ = "a whole record was not found";
    }
    check_content();
  }

  void reopen() {
    auto opened = Spool::open(memory_, boot);
    if (!opened) {
      wrong_ = "it does not open: " + opened.error();
      return;
    }
    spool_.emplace(std::move(*opened));
    sender_ = {};
    sender_.begin(*spool_, credit_, now_);
    sender_.skip(*spool_, stream_.next() - 1, now_);
    const bool same = stream_.spool_id() == spool_->spool_id();
    stream_.begin(spool_->spool_id(), spool_->oldest());
    if (!same) waiting_.clear();
    if (expecting_) check_content();
  }

  void begin_worker() {
    stream_ = {};
    handed_over_ = 0;
    waiting_.clear();
    credit_ = {static_cast<std::size_t>(random_.between(1, 6)),
               static_cast<std::size_t>(random_.between(1, 200))};
    stream_.begin(spool_->spool_id(), spool_->oldest());
    sender_.begin(*spool_, credit_, now_);
  }

  void transfer() {
    if (random_.percent(20)) sender_.repeat(*spool_, now_, 1'000);
    auto batch = sender_.next(*spool_, now_);
    if (batch) check_credit();
    if (batch && std::exchange(asked_, false) && batch->after >= stream_.next()) {
      wrong_ = "what the worker asked for does not come";
    }
    if (!batch || random_.percent(20)) return;  // lost
    const auto copy = *batch;
    take(std::move(*batch));
    if (random_.percent(15)) take(copy);
    if (random_.percent(80)) sender_.received(stream_.next() - 1, now_);
  }

  void take(link::InboundBatch batch) {
    auto taken = stream_.take(std::move(batch));
    if (taken.gap) {
      sender_.resume(*spool_, stream_.next(), now_);
      asked_ = true;
    }
    for (auto& record : taken.records) {
      if (record.ingest_no <= handed_over_) wrong_ = "a record was handed over twice";
      handed_over_ = record.ingest_no;
      const auto kept = kept_.find(record.ingest_no);
      const auto known = stored_.find(record.ingest_no);
      if (kept == kept_.end() && known == stored_.end()) {
        wrong_ =
            "something was offered that was never written: " + std::to_string(record.ingest_no);
        return;
      }
      if (record.record != (kept != kept_.end() ? kept->second : known->second)) {
        wrong_ = "offered with other bytes: " + std::to_string(record.ingest_no);
        return;
      }
      waiting_.push_back(std::move(record));
    }
  }

  void settle() {
    for (std::size_t i = random_.below(4); i > 0 && !waiting_.empty(); --i) {
      const auto at =
          waiting_.begin() + static_cast<std::ptrdiff_t>(random_.below(waiting_.size()));
      stored_[at->ingest_no] = at->record;
      stream_.done(spool_->spool_id(), at->ingest_no);
      waiting_.erase(at);
    }
  }

  void commit() {
    const Memory before = memory_;
    spool_->release(stream_.tracker().commit(1 + random_.below(4)), [&](const Spool::Entry& entry) {
      sender_.released(entry);
      if (!stored_.contains(entry.ingest_no)) {
        wrong_ = "released and not stored: " + std::to_string(entry.ingest_no);
      }
      kept_.erase(entry.ingest_no);
    });
    if (!random_.percent(15)) return;
    // Killed while the mark was written: some of its words are there.
    Memory torn = before;
    for (std::size_t i = 0; i < Spool::header_bytes; i += word) {
      if (random_.percent(50)) std::memcpy(&torn[i], &memory_[i], word);
    }
    memory_ = std::move(torn);
    // Whatever has been stored may be offered once more.
    expecting_ = false;
    reopen();
    expecting_ = true;
    if (wrong_) return;
    for (const auto& entry : spool_->entries()) {
      const auto known = stored_.find(entry.ingest_no);
      if (known != stored_.end()) kept_[entry.ingest_no] = known->second;
    }
    check_content();
  }

  void check_credit() {
    const std::size_t records = sender_.outstanding_records();
    if (records > credit_.records) wrong_ = "more outstanding than credit";
  }

  /// Everything that was kept is there, with its bytes, and nothing else but what was stored.
  void check_content() {
    std::size_t found = 0;
    IngestNo last = 0;
    for (const auto& entry : spool_->entries()) {
      if (entry.ingest_no <= last) wrong_ = "the numbers do not rise";
      last = entry.ingest_no;
      const auto kept = kept_.find(entry.ingest_no);
      const auto known = stored_.find(entry.ingest_no);
      if (kept != kept_.end()) {
        ++found;
        if (spool_->read(entry) != kept->second) wrong_ = "other bytes than were written";
      } else if (known == stored_.end()) {
        wrong_ = "holds what was never written: " + std::to_string(entry.ingest_no);
      } else if (spool_->read(entry) != known->second) {
        wrong_ = "other bytes than were stored";
      }
    }
    if (found != kept_.size()) wrong_ = "something that was kept is gone";
    if (spool_->used_bytes() > spool_->capacity()) wrong_ = "more used than there is";
  }

  Random random_;
  Memory memory_;
  std::optional<Spool> spool_;
  std::map<IngestNo, std::string> kept_;    // by the spool, and nobody may lose it
  std::map<IngestNo, std::string> stored_;  // by the worker
  InboundSender sender_;
  InboundSender::Credit credit_{4, 100};
  InboundStream stream_;
  std::vector<link::SpooledRecord> waiting_;  // received, not stored
  IngestNo handed_over_ = 0;                  // the last one, to this worker
  bool asked_ = false;                        // the worker has noticed a gap
  MonoMillis now_{1};
  bool expecting_ = true;  // to find exactly what is kept
  std::optional<std::string> wrong_;
};

}  // namespace

std::optional<std::string> run_spool_life(std::uint64_t seed) { return Life{seed}.run(); }

}  // namespace parley::sim
