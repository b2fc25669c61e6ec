// Hand-off from any thread to the loop thread.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace parley {

template <class T>
class Inbox {
 public:
  /// @param wake  called on the pushing thread, once per batch; must not block
  Inbox(std::size_t items_max, std::function<void()> wake)
      : items_max_{items_max}, wake_{std::move(wake)} {}

  /// Any thread. Never blocks; false when full: count it and drop it, the sender offers it again.
  [[nodiscard]] bool push(T item) {
    bool first = false;
    {
      const std::lock_guard lock{mutex_};
      if (items_.size() == items_max_) return false;
      first = items_.empty();
      items_.push_back(std::move(item));
    }
    if (first) wake_();
    return true;
  }

  /// Loop thread. Everything waiting, in arrival order; may be empty.
  [[nodiscard]] std::vector<T> take() {
    const std::lock_guard lock{mutex_};
    return std::exchange(items_, {});
  }

 private:
  const std::size_t items_max_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<T> items_;  // guarded by mutex_
};

}  // namespace parley
