// What has to wait for something, and must not overtake what came before it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>

namespace parley {

class InOrder {
 public:
  class Place {
    friend class InOrder;
    std::function<void()> go_;
  };
  /// The last place. Bounded by the credit that the plugin has: one for each record.
  std::shared_ptr<Place> take() {
    places_.push_back(std::make_shared<Place>());
    return places_.back();
  }
  /// Nobody waits: what comes now overtakes nothing.
  [[nodiscard]] bool empty() const { return places_.empty(); }
  /// What is at this place can go, as soon as everything before it has gone. May call `go` at once.
  void ready(const std::shared_ptr<Place>& place, std::function<void()> go) {
    place->go_ = std::move(go);
    while (!places_.empty() && places_.front()->go_) {
      const auto first = std::move(places_.front());
      places_.pop_front();
      // Not kept: it may hold on to who holds on to this place.
      std::exchange(first->go_, nullptr)();
    }
  }

 private:
  std::deque<std::shared_ptr<Place>> places_;
};

}  // namespace parley
