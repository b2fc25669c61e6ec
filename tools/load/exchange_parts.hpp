// The two sorts of clients of an exchange; for exchange.cpp and exchange_habits.cpp.
#pragma once

#include <string>
#include <vector>

#include "tools/load/exchange.hpp"

namespace parley::load {

/// A message that is under way.
struct Exchange::Sent {
  std::int64_t due = 0;    // when it was, or should have been, published
  std::uint32_t left = 0;  // arrivals that are missing: readers, and the ack
};

class Exchange::Writer final : public Client {
 public:
  Writer(Exchange& exchange, std::size_t readers, bool alone)
      : Client{exchange.poller_}, exchange_{exchange}, readers_{readers}, alone_{alone} {}

  void prepare(std::string_view topic, std::string_view text);
  /// Appends the next message. The window sees to it that its place in `under_way` is free.
  void send_next(std::int64_t due);
  [[nodiscard]] bool has_place() const { return under_way_[(sent_ + 1) % places].left == 0; }
  Sent& under_way(std::uint32_t number) { return under_way_[number % places]; }

  Group::Member who;
  unsigned window_ = 0;  // 0: the load's
  std::uint32_t sent_ = 0;
  std::uint32_t complete_ = 0;
  Tally acks_;
  std::uint32_t last_seq_ = 0;  // of a stored message

 private:
  /// Under way at once, at most.
  static constexpr std::size_t places = 4096;

  void on_publish(const PublishView& message) override;
  void on_puback(std::uint16_t packet_id) override;
  void on_stored(std::uint32_t seq);
  void on_closed() override;

  Exchange& exchange_;
  const std::size_t readers_;
  const bool alone_;
  std::string frame_;  // of a publish
  std::size_t text_at_ = 0;
  std::uint32_t base_ = 0;  // alone: the seq of message 1, less 1
  std::uint32_t acks_count_ = 0;
  std::uint16_t first_id_ = 1;  // packet id of message 1
  std::vector<Sent> under_way_ = std::vector<Sent>(places);
};

class Exchange::Reader final : public Client {
 public:
  Reader(Exchange& exchange, std::size_t first_writer, std::size_t writers)
      : Client{exchange.poller_},
        exchange_{exchange},
        first_writer_{first_writer},
        tallies_(writers) {}

  Group::Member who;
  Exchange& exchange_;
  const std::size_t first_writer_;
  std::vector<Tally> tallies_;  // of each writer
  unsigned unread_ = 0;
  enum class Stage { there, leaving, connecting, subscribing };
  Stage stage_ = Stage::there;

 private:
  void on_publish(const PublishView& message) override { exchange_.delivered(*this, message); }
  void on_closed() override;
};

}  // namespace parley::load
