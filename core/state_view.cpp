#include "core/state_view.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace parley {

void StateView::wait(const StateKey& key, Topic& topic, MonoMillis now) {
  if (std::exchange(topic.waits, true)) return;
  topic.touched_at = now;
  queue_.push_back(key);
}

void StateView::touch(const StateKey& key, MonoMillis now) { wait(key, topics_[key], now); }

void StateView::ask(const StateKey& key, MonoMillis now) {
  auto& topic = topics_[key];
  topic.asked = true;
  wait(key, topic, now);
}

void StateView::put_back(const StateKey& key, MonoMillis now) { touch(key, now); }

MonoMillis StateView::due_of(const Topic& topic) {
  if (topic.asked) return topic.touched_at;
  const std::int64_t gathered = topic.touched_at.value + gather_ms;
  if (!topic.told_at) return {gathered};
  return {std::max(gathered, topic.told_at->value + again_after_ms)};
}

std::vector<StateKey> StateView::take(MonoMillis now, std::size_t max) {
  const auto room = std::max<std::int64_t>(pace_.level(now), 0);
  max = std::min(max, static_cast<std::size_t>(room));
  std::vector<StateKey> taken;
  if (max == 0) return taken;
  std::deque<StateKey> rest;
  for (auto& key : queue_) {
    auto& topic = topics_.at(key);
    if (taken.size() < max && due_of(topic) <= now) {
      topic.waits = false;
      taken.push_back(std::move(key));
    } else {
      rest.push_back(std::move(key));
    }
  }
  queue_ = std::move(rest);
  return taken;
}

bool StateView::tell(const StateKey& key, std::string_view payload, MonoMillis now) {
  auto& topic = topics_[key];
  const auto hash = std::hash<std::string_view>{}(payload);
  const bool changed = topic.told != hash;
  if (!std::exchange(topic.asked, false) && !changed) return false;
  topic.told = hash;
  topic.told_at = now;
  pace_.spend(1);
  return true;
}

void StateView::nothing(const StateKey& key) {
  const auto found = topics_.find(key);
  if (found == topics_.end()) return;
  found->second.asked = false;
  found->second.told.reset();
  // When it was told last still counts, if it comes back.
  if (!found->second.waits && !found->second.told_at) topics_.erase(found);
}

std::optional<MonoMillis> StateView::due(MonoMillis now) {
  if (queue_.empty()) return std::nullopt;
  auto first = due_of(topics_.at(queue_.front()));
  for (const auto& key : queue_) first = std::min(first, due_of(topics_.at(key)));
  const auto room = pace_.level(now);
  if (room > 0) return first;
  // Some at a time: each time all that waits is looked through.
  constexpr std::int64_t at_a_time = per_s / 10;
  constexpr std::int64_t one_ms = (1'000 + per_s - 1) / per_s;
  return std::max(first, MonoMillis{now.value + (at_a_time - room) * one_ms});
}

}  // namespace parley
