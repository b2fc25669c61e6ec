// Frames that the plugin gets from the worker, and what it does with them: the broker lives on
// whatever they say, and the spool lets nothing go that was not named.

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/gates.hpp"
#include "core/inbound_sender.hpp"
#include "core/link.hpp"
#include "core/outbound_receiver.hpp"
#include "core/revocations.hpp"
#include "core/spool.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

constexpr InboundSender::Credit credit{3, 500};

class Plugin {
 public:
  Plugin() : memory_(Spool::header_bytes + 1'024) {
    Spool::format(memory_, 5);
    spool_.emplace(std::move(*Spool::open(memory_, Spool::BootMark{1})));
    for (int i = 0; i < 8; ++i) (void)spool_->append("record", Spool::Reserve::keep);
    sender_.begin(*spool_, credit, now_);
  }

  void take(const link::WorkerFrame& frame) {
    now_.value += 150;
    if (frame.hello) {
      sender_.begin(*spool_, credit, now_);
      sender_.skip(*spool_, frame.received_ingest_no, now_);
    }
    sender_.received(frame.received_ingest_no, now_);
    if (frame.resume_ingest_no != 0) sender_.resume(*spool_, frame.resume_ingest_no, now_);
    receiver_.saw_last(frame.last_batch_no);
    if (frame.batch) take_batch(*frame.batch);
    (void)sender_.repeat(*spool_, now_, 1'000);
    send();
    (void)receiver_.ask(now_, 200);
    for (std::size_t i = gates_.take_lost().size(); i > 0; --i) --fences_;
    for (; fences_ > 0; --fences_) (void)gates_.pass();
    gates_.end_tick();
    require(gates_.current() == 0, "after a tick everybody may read");
    (void)spool_->append("one more", Spool::Reserve::keep);
  }

 private:
  void take_batch(const link::OutboundBatch& batch) {
    const auto before = receiver_.applied_batch_no();
    const auto verdict = receiver_.judge(batch.batch_no);
    require((verdict == OutboundReceiver::Verdict::expected) == (batch.batch_no == before + 1),
            "only the next batch is carried out");
    if (verdict != OutboundReceiver::Verdict::expected) return;
    revocations_.update(batch.generations, batch.generations_first, batch.generations_last);
    for (const auto& delivery : batch.deliveries) {
      if (!gates_.needs_gate(delivery.session_no)) continue;
      gates_.publish({delivery.session_no, {}});
      ++fences_;
    }
    if (!batch.sync_done.empty()) {
      gates_.publish({0, batch.sync_done});
      ++fences_;
    }
    if (batch.commit) release(*batch.commit);
    receiver_.applied();
  }

  void release(const link::Commit& commit) {
    const auto named = [&](IngestNo ingest_no) {
      return ingest_no <= commit.mark ||
             std::any_of(commit.above.begin(), commit.above.end(), [&](const link::Range& range) {
               return ingest_no >= range.first && ingest_no <= range.last;
             });
    };
    const IngestNo next = spool_->next();
    std::size_t kept = 0;
    for (const auto& entry : spool_->entries()) {
      if (!entry.released && !named(entry.ingest_no)) ++kept;
    }
    spool_->release(commit, [&](const Spool::Entry& entry) {
      require(named(entry.ingest_no), "only what is named goes");
      sender_.released(entry);
    });
    std::size_t left = 0;
    for (const auto& entry : spool_->entries()) {
      if (!entry.released) ++left;
    }
    require(left == kept, "all that is named goes, and nothing else");
    require(spool_->next() == next, "numbers are not given twice");
  }

  void send() {
    while (const auto batch = sender_.next(*spool_, now_)) {
      require(sender_.outstanding_records() <= credit.records, "never more than the credit");
      for (const auto& record : batch->records) {
        require(record.record == "record" || record.record == "one more", "whole records");
      }
    }
  }

  std::vector<std::byte> memory_;
  std::optional<Spool> spool_;
  InboundSender sender_;
  OutboundReceiver receiver_;
  Gates gates_;
  Revocations revocations_;
  std::size_t fences_ = 0;
  MonoMillis now_{1'000};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Plugin plugin;
  fuzz::each_frame({data, size}, [&](std::string_view bytes) {
    const auto frame = link::decode_worker_frame(bytes);
    if (!frame) return;
    const auto once = link::encode(*frame);
    const auto again = link::decode_worker_frame(once);
    require(again.has_value() && link::encode(*again) == once, "a frame is read as it is written");
    plugin.take(*frame);
  });
  return 0;
}
