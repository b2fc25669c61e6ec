#include "core/outbound_filling.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace parley {
namespace {

constexpr std::size_t overfull_bytes = 4 * link::frame_bytes_target;
constexpr std::size_t turn_bytes = 24;  // of who has caught up, or is held

std::size_t bytes_of(const link::Delivery& delivery) {
  std::size_t bytes = 32 + delivery.suffix.size() + delivery.payload.size();
  for (const auto& name : delivery.to) bytes += name.size() + 4;
  for (const auto& property : delivery.properties)
    bytes += property.key.size() + property.value.size() + 8;
  if (delivery.correlation_data) bytes += delivery.correlation_data->size();
  return bytes;
}

}  // namespace

bool OutboundFilling::ends_before(Next next, std::size_t items) const {
  const bool full = bytes_ > link::frame_bytes_target ||
                    (items_ > 0 && items_ + items > link::frame_deliveries_max);
  const bool overfull = bytes_ > overfull_bytes || items_ >= link::frame_deliveries_max;
  if ((full && between_messages_) || overfull) return true;
  switch (next) {
    case Next::delivery:
      return !batch_.sync_done.empty() || !batch_.holds.empty();
    case Next::sync_done:
      return !batch_.holds.empty();
    case Next::hold:
      return false;
    case Next::generations:
      return items_ > 0;
  }
  return false;
}

std::size_t OutboundFilling::room() const {
  return link::frame_deliveries_max - std::min(items_, link::frame_deliveries_max);
}

void OutboundFilling::add(link::Delivery delivery) {
  between_messages_ = false;
  bytes_ += bytes_of(delivery);
  items_ += std::max<std::size_t>(1, delivery.to.size());
  batch_.deliveries.push_back(std::move(delivery));
}

void OutboundFilling::add_part(link::Delivery& delivery) {
  auto names = std::exchange(delivery.to, {});
  link::Delivery part = delivery;
  const auto kept = static_cast<std::ptrdiff_t>(names.size() - std::min(names.size(), room()));
  part.to.assign(std::make_move_iterator(names.begin() + kept),
                 std::make_move_iterator(names.end()));
  names.erase(names.begin() + kept, names.end());
  delivery.to = std::move(names);
  add(std::move(part));
}

void OutboundFilling::add(const link::SyncDone& done) {
  bytes_ += turn_bytes;
  ++items_;
  batch_.sync_done.push_back(done);
}

void OutboundFilling::add(const link::Hold& hold) {
  bytes_ += turn_bytes;
  ++items_;
  batch_.holds.push_back(hold);
}

void OutboundFilling::add(std::vector<link::Generation> some, bool first, bool last) {
  bytes_ += some.size() * 16;
  ++items_;
  batch_.generations = std::move(some);
  batch_.generations_first = first;
  batch_.generations_last = last;
}

link::OutboundBatch OutboundFilling::take() {
  bytes_ = 0;
  items_ = 0;
  between_messages_ = true;
  return std::exchange(batch_, {});
}

}  // namespace parley
