#include "core/shared_text.hpp"

#include <cstring>
#include <memory>
#include <new>

namespace parley {

SharedText::SharedText(std::string_view text) {
  if (text.empty()) return;
  void* const memory = ::operator new(sizeof(Block) + text.size());
  block_ = std::construct_at(static_cast<Block*>(memory),
                             Block{1, static_cast<std::uint32_t>(text.size())});
  std::memcpy(block_ + 1, text.data(), text.size());
}

void SharedText::let_go() noexcept {
  if (block_ != nullptr && --block_->uses == 0) ::operator delete(block_);
}

}  // namespace parley
