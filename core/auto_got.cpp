#include "core/auto_got.hpp"

#include <algorithm>
#include <utility>

namespace parley {
namespace {
constexpr std::int64_t buckets_max = 128;  // of a session, whatever its keep-alive

std::int64_t bucket_ms(std::int64_t after_ms) {
  return std::max<std::int64_t>(1'000, after_ms / buckets_max);
}
}  // namespace

std::int64_t got_after_ms(std::uint32_t keep_alive_s) {
  return keep_alive_s == 0 ? 90'000 : static_cast<std::int64_t>(keep_alive_s) * 1'500;
}

void AutoGot::follow(SessionNo session_no, UserId user, std::string device, std::int64_t after_ms,
                     bool confirms) {
  auto& session = sessions_[session_no];
  session.user = user;
  session.device = std::move(device);
  session.after_ms = after_ms;
  if (confirms) set_confirms(session_no);
}

bool AutoGot::follows(SessionNo session_no) const {
  const auto found = sessions_.find(session_no);
  return found != sessions_.end() && !found->second.confirms;
}

void AutoGot::set_confirms(SessionNo session_no) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end()) return;
  found->second.confirms = true;
  for (auto& bucket : found->second.buckets) bucket.seqs.clear();
}

void AutoGot::forget(SessionNo session_no) {
  const auto found = sessions_.find(session_no);
  if (found != sessions_.end()) found->second.buckets.clear();
}

AutoGot::Bucket& AutoGot::bucket(Session& session, MonoMillis now) {
  auto& buckets = session.buckets;
  if (buckets.empty() || now.value - buckets.back().begun_at.value >= bucket_ms(session.after_ms)) {
    buckets.push_back({now, {}, {}});
  }
  return buckets.back();
}

void AutoGot::published(SessionNo session_no, ConversationId conversation, Seq seq,
                        MonoMillis now) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || found->second.confirms) return;
  auto& known = bucket(found->second, now).seqs[conversation];
  known = std::max(known, seq);
}

void AutoGot::told(SessionNo session_no, ConversationId conversation, Rev rev, MonoMillis now) {
  const auto found = sessions_.find(session_no);
  if (found == sessions_.end() || found->second.device.empty()) return;
  auto& known = bucket(found->second, now).revs[conversation];
  known = std::max(known, rev);
}

std::vector<AutoGot::Due> AutoGot::due(MonoMillis now) {
  std::vector<Due> due;
  for (auto& [session_no, session] : sessions_) {
    while (!session.buckets.empty() && now.value - session.buckets.front().begun_at.value >=
                                           session.after_ms + bucket_ms(session.after_ms)) {
      for (const auto& [conversation, seq] : session.buckets.front().seqs) {
        due.push_back({session_no, session.user, session.device, conversation, seq, 0});
      }
      for (const auto& [conversation, rev] : session.buckets.front().revs) {
        due.push_back({session_no, session.user, session.device, conversation, 0, rev});
      }
      session.buckets.pop_front();
    }
  }
  return due;
}

void AutoGot::postpone(std::int64_t ms) {
  for (auto& [session_no, session] : sessions_) {
    for (auto& bucket : session.buckets) bucket.begun_at.value += ms;
  }
}

}  // namespace parley
