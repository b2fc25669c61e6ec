// The batch for the plugin that is being filled, and where it ends (docs/ARCHITECTURE.md, "The two
// streams"). Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "core/link.hpp"

namespace parley {

class OutboundFilling {
 public:
  enum class Next { delivery, sync_done, hold, generations };
  /// Whether what has been filled has to go before this is added: to keep the order, in which
  /// deliveries come first in a batch, then who has caught up, then who is held; or as it is full.
  /// @param items  recipients of the delivery. If they do not fit behind a message, they begin a
  /// batch
  [[nodiscard]] bool ends_before(Next next, std::size_t items = 1) const;

  /// How many recipients fit.
  [[nodiscard]] std::size_t room() const;
  void add(link::Delivery delivery);
  /// Adds it for the last of its recipients, as many as fit, and takes those off it: what is left
  /// is for the next batch. Not for a session's own, which has one recipient.
  void add_part(link::Delivery& delivery);
  void add(const link::SyncDone& done);
  void add(const link::Hold& hold);
  void add(std::vector<link::Generation> some, bool first, bool last);
  /// All that belongs to a message has been added. A message's deliveries and its commit travel
  /// together if they can: a worker that dies in between would deliver them twice. So a full batch
  /// ends between two messages, and within one only when that alone is more than a batch may hold.
  void between_messages() { between_messages_ = true; }

  [[nodiscard]] bool empty() const { return items_ == 0; }
  /// About how much memory it holds.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// What has been filled; begins the next one.
  link::OutboundBatch take();

 private:
  link::OutboundBatch batch_;
  std::size_t bytes_ = 0;
  std::size_t items_ = 0;
  bool between_messages_ = true;
};

}  // namespace parley
