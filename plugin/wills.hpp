// Last wills on their way into the spool. The broker asks whether a will may be published and then
// publishes it without us; an ordinary publish to the same topic is asked for in the same way. So
// what was asked for waits here for the rest of the loop's pass: an ordinary publish takes it back,
// a tick makes it final, and the end of the broker discards it (docs/ARCHITECTURE.md, "Wills").
#pragma once

#include <mosquitto.h>

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace parley::plugin {

struct Will {
  const mosquitto* client;
  std::string topic;
  std::string record;  // link::encode(InboundRecord)
};

class Wills {
 public:
  static constexpr std::size_t bytes_max =
      32 * 1024 * 1024;  // beyond: a will is dropped, and counted

  /// @return false if there is no room
  bool add(Will will) {
    if (bytes_ + size_of(will) > bytes_max) return false;
    bytes_ += size_of(will);
    waiting_.push_back(std::move(will));
    return true;
  }
  /// It was an ordinary publish.
  void take_back(const mosquitto* client, std::string_view topic) {
    if (waiting_.empty()) return;
    const Will& last = waiting_.back();  // nothing happens between the question and the publish
    if (last.client != client || last.topic != topic) return;
    bytes_ -= size_of(last);
    waiting_.pop_back();
  }
  /// Hands over the oldest ones until `take` says no.
  template <class Take>
  void hand_over(Take&& take) {
    while (!waiting_.empty() && take(waiting_.front())) {
      bytes_ -= size_of(waiting_.front());
      waiting_.pop_front();
    }
  }

 private:
  static std::size_t size_of(const Will& will) {
    return sizeof(Will) + will.topic.size() + will.record.size();
  }
  std::deque<Will> waiting_;
  std::size_t bytes_ = 0;
};

}  // namespace parley::plugin
