// Text that never changes and that several places keep: one copy of it, counted. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

namespace parley {

/// A pointer wide, and the text has 8 bytes in front of it. Copies belong to one thread: the count
/// has no lock.
class SharedText {
 public:
  SharedText() = default;  // empty, and takes no memory
  explicit SharedText(std::string_view text);
  SharedText(const SharedText& other) noexcept : block_{other.block_} {
    if (block_ != nullptr) ++block_->uses;
  }
  SharedText(SharedText&& other) noexcept : block_{std::exchange(other.block_, nullptr)} {}
  SharedText& operator=(SharedText other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedText() { let_go(); }

  [[nodiscard]] std::string_view view() const {
    if (block_ == nullptr) return {};
    return {reinterpret_cast<const char*>(block_ + 1), block_->size};
  }
  [[nodiscard]] bool empty() const { return block_ == nullptr; }
  explicit operator bool() const { return !empty(); }

 private:
  struct Block {  // the text follows
    std::uint32_t uses;
    std::uint32_t size;  // bytes
  };
  void let_go() noexcept;

  Block* block_ = nullptr;
};

}  // namespace parley
