// A hash table of one pointer for each entry, and nothing else: what is known of each connection
// is found by several keys, and nodes of std::unordered_map would cost more than what they find.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

namespace parley {

/// Finds slots by a key that is part of what they point to; it must not change while they are here.
/// Open addressing with linear probing, filled to 2/3 at most; it never shrinks.
/// @tparam Slot   a pointer or another handle: false if it holds nothing, and then nothing is freed
/// @tparam KeyOf  `operator()(const Slot&)`: the key, of a type that std::hash knows
template <class Slot, class KeyOf>
class FlatIndex {
 public:
  using Key = std::decay_t<std::invoke_result_t<KeyOf, const Slot&>>;

  /// Nothing (a false slot) if there is none with that key.
  [[nodiscard]] const Slot& find(const Key& key) const {
    static const Slot none{};
    if (slots_.empty()) return none;
    return slots_[place_of(key)];
  }
  /// There must be none with its key.
  void insert(Slot slot) {
    if ((size_ + 1) * 3 > slots_.size() * 2) grow();
    const std::size_t place = place_of(KeyOf{}(slot));
    slots_[place] = std::move(slot);
    ++size_;
  }
  /// Puts this slot in the place of the one with its key.
  void replace(Slot slot) {
    const std::size_t place = place_of(KeyOf{}(slot));
    slots_[place] = std::move(slot);
  }
  /// Takes the one with that key out; a false slot if there is none.
  Slot extract(const Key& key) {
    if (slots_.empty()) return Slot{};
    std::size_t gap = place_of(key);
    Slot found = std::move(slots_[gap]);
    slots_[gap] = Slot{};
    if (!found) return found;
    --size_;
    // Those behind it move up, unless they would come to stand before where they belong.
    for (std::size_t at = next(gap); slots_[at]; at = next(at)) {
      if (distance(home(KeyOf{}(slots_[at])), at) < distance(gap, at)) continue;
      slots_[gap] = std::move(slots_[at]);
      slots_[at] = Slot{};
      gap = at;
    }
    return found;
  }
  /// In no order. `visit` must not insert or extract.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot) visit(slot);
    }
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  [[nodiscard]] std::size_t home(const Key& key) const {
    // Pointers and counted numbers differ in a few bits only: all of them into the upper half.
    const std::uint64_t mixed = std::hash<Key>{}(key)*0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(((mixed >> 32U) * slots_.size()) >> 32U);
  }
  [[nodiscard]] std::size_t next(std::size_t at) const {
    return at + 1 == slots_.size() ? 0 : at + 1;
  }
  [[nodiscard]] std::size_t distance(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + slots_.size() - from;
  }
  /// Where it is, or would be.
  [[nodiscard]] std::size_t place_of(const Key& key) const {
    std::size_t at = home(key);
    while (slots_[at] && KeyOf{}(slots_[at]) != key) at = next(at);
    return at;
  }
  void grow() {
    std::vector<Slot> old(slots_.size() < 8 ? 8 : slots_.size() + slots_.size() / 2);
    old.swap(slots_);
    for (Slot& slot : old) {
      if (!slot) continue;
      const std::size_t place = place_of(KeyOf{}(slot));
      slots_[place] = std::move(slot);
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace parley
