#include "tests/sim/network.hpp"

#include <algorithm>
#include <utility>

namespace parley::sim {

Network*& the_network() {
  static Network* network = nullptr;
  return network;
}

void Network::dial(const std::shared_ptr<LinkEnd>& end) { ends_.push_back(end); }

void Network::hang_up(const std::shared_ptr<LinkEnd>& end) {
  end->hung_up = true;
  end->message = nullptr;
  end->event = nullptr;
}

void Network::send(LinkEnd& end, Packet packet) {
  if (words_left == 0) return;
  if (words_left > 0) --words_left;
  if (end.connected) end.to_broker.push_back(std::move(packet));
}

bool Network::alive(const LinkEnd& end) const {
  return end.connected && broker_.running() && broker_.connection_of(end.in) == end.in_connection &&
         broker_.connection_of(end.out) == end.out_connection;
}

void Network::end_at_broker(LinkEnd& end) {
  if (!std::exchange(end.connected, false)) return;
  if (!broker_.running()) return;
  if (broker_.connection_of(end.in) == end.in_connection) broker_.disconnect(end.in);
  if (broker_.connection_of(end.out) == end.out_connection) broker_.disconnect(end.out);
}

void Network::settle() {
  for (const auto& end : ends_) {
    if (end->hung_up) {
      // What was sent before still arrives, or some of it.
      if (end->connected && alive(*end) && !end->to_broker.empty() && random_.percent(80)) continue;
      end_at_broker(*end);
    } else if (end->connected && !alive(*end)) {
      end_at_broker(*end);
      end->to_broker.clear();
      end->event(false);
      end->hung_up = true;
    } else if (!end->connected) {
      end->in = broker_.connect(end->receiver);
      end->out = end->in == nullptr ? nullptr : broker_.connect(end->publisher);
      if (end->out == nullptr) {
        if (end->in != nullptr) broker_.disconnect(end->in);
        end->event(false);
        end->hung_up = true;
        continue;
      }
      end->connected = true;
      end->in_connection = broker_.connection_of(end->in);
      end->out_connection = broker_.connection_of(end->out);
      for (const auto& filter : end->filters) broker_.subscribe(end->in, filter);
      end->event(true);
    }
  }
  std::erase_if(ends_, [](const auto& end) { return end->hung_up && !end->connected; });
}

/// @return whether the packet arrives now
bool Network::fate(Packet& packet, std::deque<Packet>& back_to) {
  if (packet.qos > 0) return true;
  if (random_.permille(lost_permille)) {
    ++lost;
    return false;
  }
  if (random_.permille(repeated_permille)) back_to.push_front(packet);
  return true;
}

bool Network::to_broker() {
  std::vector<LinkEnd*> busy;
  for (const auto& end : ends_) {
    if (alive(*end) && !end->to_broker.empty()) busy.push_back(end.get());
  }
  if (busy.empty()) return false;
  LinkEnd& end = *busy[random_.below(busy.size())];
  Packet packet = std::move(end.to_broker.front());
  end.to_broker.pop_front();
  if (!fate(packet, end.to_broker)) return true;
  if (before_broker) before_broker(packet);
  broker_.publish(end.out, packet.topic, packet.payload, packet.qos);
  if (after_broker) after_broker(packet);
  return true;
}

bool Network::to_worker() {
  std::vector<LinkEnd*> busy;
  for (const auto& end : ends_) {
    if (alive(*end) && !end->hung_up && !broker_.context(end->in).out.empty()) {
      busy.push_back(end.get());
    }
  }
  if (busy.empty()) return false;
  LinkEnd& end = *busy[random_.below(busy.size())];
  auto& queue = broker_.context(end.in).out;
  Packet packet = std::move(queue.front());
  queue.pop_front();
  if (fate(packet, queue)) end.message(std::move(packet.payload));
  return true;
}

bool Network::idle() {
  return std::all_of(ends_.begin(), ends_.end(), [&](const auto& end) {
    return alive(*end) && end->to_broker.empty() && broker_.context(end->in).out.empty();
  });
}

void Network::cut() {
  std::vector<LinkEnd*> live;
  for (const auto& end : ends_) {
    if (alive(*end)) live.push_back(end.get());
  }
  if (live.empty()) return;
  LinkEnd& end = *live[random_.below(live.size())];
  // One of the two, or both at once. The worker notices by itself.
  const auto which = random_.below(3);
  if (which != 1) broker_.disconnect(end.in);
  if (which != 0) broker_.disconnect(end.out);
}

}  // namespace parley::sim
