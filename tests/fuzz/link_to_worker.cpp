// Frames and records that the worker gets from the plugin, and what it does with them.

#include "core/inbound_stream.hpp"
#include "core/link.hpp"
#include "core/outbound_stream.hpp"
#include "core/sessions.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

struct Worker {
  InboundStream in;
  OutboundStream out{4};
  Sessions sessions;
  IngestNo last = 0;

  void take(link::PluginFrame frame) {
    if (frame.welcome) {
      if (frame.spool_id != in.spool_id()) last = 0;
      in.begin(frame.spool_id, frame.welcome->oldest_ingest_no);
    }
    out.push({}, 10);
    (void)out.due(MonoMillis{1'000}, 1'000);
    const auto before = out.applied_batch_no();
    out.applied(frame.applied_batch_no, MonoMillis{5});
    require(out.applied_batch_no() >= before && out.applied_batch_no() <= out.last_batch_no(),
            "only what was pushed is applied");
    out.resume(frame.resume_batch_no);
    require(out.due(MonoMillis{1'001}, 1'000).size() <= 4, "never more than the window");
    if (frame.sessions) {
      for (const auto& change : frame.sessions->changes) {
        if (const auto* up = std::get_if<link::Session>(&change)) {
          sessions.up(*up);
          require(sessions.find(up->session_no) != nullptr, "a session that is up is known");
        } else {
          sessions.down(std::get<link::SessionDown>(change).session_no);
        }
      }
    }
    if (frame.batch) take_records(std::move(*frame.batch));
  }

  void take_records(link::InboundBatch batch) {
    // A plugin that says it sent a number far away makes the tracker keep one bit per number: the
    // worker trusts its plugin that far, so the fuzzer does not go there.
    for (const auto& record : batch.records) {
      if (record.ingest_no > in.next() + 100'000) return;
    }
    const auto taken = in.take(std::move(batch));
    for (const auto& record : taken.records) {
      require(record.ingest_no > last, "each record once, and in order");
      last = record.ingest_no;
      if (record.ingest_no % 3 != 0) in.done(in.spool_id(), record.ingest_no);
    }
    const auto commit = in.tracker().commit(4);
    require(commit.above.size() <= 4, "no more ranges than asked for");
    IngestNo end = commit.mark;
    for (const auto& range : commit.above) {
      require(range.first > end && range.last >= range.first, "ranges lie above, in order, apart");
      end = range.last;
    }
    require(end <= in.tracker().last(), "nothing is committed that was not received");
  }
};

void check_record(std::string_view bytes) {
  const auto record = link::decode_record(bytes);
  if (!record) return;
  const auto once = link::encode(*record);
  const auto again = link::decode_record(once);
  require(again.has_value() && link::encode(*again) == once, "a record is read as it is written");
  require(again->payload == record->payload && again->topic_rest == record->topic_rest &&
              again->user == record->user && again->properties == record->properties &&
              again->correlation_data == record->correlation_data &&
              again->refused == record->refused,
          "with all it says");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  if (input.byte() % 3 == 0) {
    check_record(input.rest());
    return 0;
  }
  Worker worker;
  fuzz::each_frame(input, [&](std::string_view bytes) {
    auto frame = link::decode_plugin_frame(bytes);
    if (!frame) return;
    const auto once = link::encode(*frame);
    const auto again = link::decode_plugin_frame(once);
    require(again.has_value() && link::encode(*again) == once, "a frame is read as it is written");
    worker.take(std::move(*frame));
  });
  return 0;
}
