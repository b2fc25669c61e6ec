#include "tests/fault/foreign.hpp"

#include <poll.h>

#include <exception>
#include <utility>

#include "tests/fault/client.hpp"
#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

namespace {

constexpr const char* topic = "home/lamp";
constexpr Micros every = 20'000;
constexpr Micros again_after = 50'000;
constexpr test::Milliseconds back_within{3'000};
constexpr int poll_ms = 5;

}  // namespace

ForeignDevice::ForeignDevice(std::uint16_t port, std::string name, std::string password)
    : port_{port}, name_{std::move(name)}, password_{std::move(password)} {
  thread_ = std::thread{[this] { run(); }};
}

ForeignDevice::~ForeignDevice() {
  stop_ = true;
  thread_.join();
}

void ForeignDevice::run() {
  while (!stop_) {
    {
      const std::lock_guard lock{mutex_};
      guarded_step();
    }
    ::poll(nullptr, 0, poll_ms);
  }
}

void ForeignDevice::guarded_step() {
  try {
    step();
  } catch (const std::exception& error) {
    failures_.push_back(name_ + ": " + error.what());
    hang_up();
  }
}

void ForeignDevice::hang_up() {
  finish_log(false);
  connection_.reset();
  next_at_ = now_micros() + again_after;
}

void ForeignDevice::finish_log(bool in_order) {
  log_.ended_in_order = in_order;
  logs_.push_back(std::exchange(log_, {}));
}

void ForeignDevice::step() {
  const Micros now = now_micros();
  if (!connection_) {
    if (now < next_at_) return;
    ready_ = ping_open_ = in_order_ = false;
    connection_.emplace(port_);
    connection_->write(
        test::encode_connect({.client_id = name_, .username = name_, .password = password_}));
    connection_->write(test::encode_subscribe(1, {{topic, 1}}, 4));
  }
  connection_->flush();
  connection_->read(65'536);
  while (const auto packet = connection_->next()) handle(*packet);
  if (!connection_->open()) return hang_up();
  if (!ready_) return;
  if (pause_) {
    if (!ping_open_) connection_->write(test::encode_empty(test::PacketType::pingreq));
    ping_open_ = true;
    return;
  }
  ping_open_ = in_order_ = false;
  if (now < next_at_) return;
  next_at_ = now + every;
  ++last_number_;
  connection_->write(
      test::encode_publish({.topic = topic,
                            .payload = std::to_string(last_number_),
                            .packet_id = static_cast<std::uint16_t>(2 + last_number_ % 60'000)},
                           4));
}

void ForeignDevice::handle(const test::Packet& packet) {
  if (packet.type == test::PacketType::suback) ready_ = true;
  if (packet.type == test::PacketType::puback) {
    // Of one of the last ones: the packet id says which.
    const std::int64_t id = test::decode_answer(packet).packet_id;
    for (std::int64_t number = last_number_; number > 0; --number) {
      if (2 + number % 60'000 != id) continue;
      log_.taken.push_back(number);
      break;
    }
  }
  if (packet.type == test::PacketType::publish) {
    const test::Publication publication = test::decode_publish(packet, 4);
    connection_->write(test::encode_ack(test::PacketType::puback, publication.packet_id));
    log_.received.push_back(std::stoll(publication.payload));
  }
  if (packet.type == test::PacketType::pingresp && ping_open_) in_order_ = true;
}

void ForeignDevice::hand_over(Round& round) {
  pause_ = true;
  const bool in_order = wait_until(back_within, [&] {
    const std::lock_guard lock{mutex_};
    return in_order_;
  });
  const std::lock_guard lock{mutex_};
  if (!in_order) round.stuck.emplace_back("a foreign device does not get through");
  finish_log(in_order);
  for (ForeignLog& log : logs_) round.foreign.push_back(std::move(log));
  logs_.clear();
  round.failures.insert(round.failures.end(), failures_.begin(), failures_.end());
  failures_.clear();
  pause_ = false;
}

}  // namespace parley::fault
