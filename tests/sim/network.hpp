// What lies between worker and broker: two connections of one worker, each a queue per direction.
// Frames go at QoS 0, so any of them may be missing, and a connection may end at any time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/broker.hpp"
#include "tests/sim/random.hpp"

namespace parley::sim {

/// One worker's pair of connections.
struct LinkEnd {
  std::function<void(std::string payload)> message;
  std::function<void(bool up)> event;
  Login receiver;
  Login publisher;
  std::vector<std::string> filters;

  bool hung_up = false;  // the worker has let go of it, or is dead
  bool connected = false;
  mosquitto* in = nullptr;
  mosquitto* out = nullptr;
  std::uint64_t in_connection = 0;
  std::uint64_t out_connection = 0;
  std::deque<Packet> to_broker;
};

class Network {
 public:
  Network(Random& random, Broker& broker) : random_{random}, broker_{broker} {}

  void dial(const std::shared_ptr<LinkEnd>& end);
  void hang_up(const std::shared_ptr<LinkEnd>& end);
  void send(LinkEnd& end, Packet packet);

  /// Connects those that wait for it, ends those whose other side is gone.
  void settle();
  /// Moves one frame to the broker; one to a worker. @return false if there is none
  bool to_broker();
  bool to_worker();
  [[nodiscard]] bool idle();
  void cut();  // a connection ends
  /// Of 1,000 frames.
  std::uint64_t lost_permille = 0;
  std::uint64_t repeated_permille = 0;
  std::uint64_t lost = 0;
  /// So many frames more are sent by workers, the others are not; negative: all are.
  int words_left = -1;
  /// Called with each frame before the broker gets it, and after.
  std::function<void(const Packet&)> before_broker;
  std::function<void(const Packet&)> after_broker;

 private:
  bool alive(const LinkEnd& end) const;
  void end_at_broker(LinkEnd& end);
  bool fate(Packet& packet, std::deque<Packet>& back_to);

  Random& random_;
  Broker& broker_;
  std::vector<std::shared_ptr<LinkEnd>> ends_;
};

/// The one that the workers' links use; null between seeds.
Network*& the_network();

}  // namespace parley::sim
