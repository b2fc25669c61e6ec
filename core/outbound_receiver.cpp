#include "core/outbound_receiver.hpp"

namespace parley {

OutboundReceiver::Verdict OutboundReceiver::judge(std::uint64_t batch_no) {
  saw_last(batch_no);
  if (batch_no <= applied_) return Verdict::repeated;
  if (batch_no == applied_ + 1) return Verdict::expected;
  early_ = true;
  return Verdict::early;
}

std::uint64_t OutboundReceiver::ask(MonoMillis now, std::int64_t after_ms) {
  if (last_ <= applied_) {
    early_ = false;
    quiet_since_ = now;
    return 0;
  }
  if (applied_ != applied_at_look_ || quiet_since_.value == 0) {
    applied_at_look_ = applied_;
    quiet_since_ = now;
  }
  if (!early_ && now.value - quiet_since_.value < after_ms) return 0;
  if (asked_at_.value != 0 && now.value - asked_at_.value < after_ms) return 0;
  asked_at_ = now;
  early_ = false;
  return applied_ + 1;
}

}  // namespace parley
