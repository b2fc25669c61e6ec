// How long another client waits: a connection of its own, in a thread of its own, that pings and
// pings.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "tools/load/client.hpp"
#include "tools/load/histogram.hpp"

namespace parley::load {

class Probe {
 public:
  /// Logs in and begins. @throw Error if it is refused
  Probe(const Endpoint& where, const Credentials& credentials);
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe();

  /// Ends it. @return nanoseconds from each PINGREQ to its answer, from the last `restart` on
  /// @throw Error if the broker has disconnected it
  const Histogram& stop();
  /// Forgets what was before: any thread.
  void restart() { restart_ = true; }

 private:
  class Pinger;
  void run();

  Poller poller_;
  std::unique_ptr<Pinger> pinger_;
  Histogram waits_;    // of the thread while it runs
  std::string error_;  // likewise
  std::atomic<bool> ending_ = false;
  std::atomic<bool> restart_ = false;
  std::thread thread_;
};

}  // namespace parley::load
