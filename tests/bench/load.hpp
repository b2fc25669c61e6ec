// Many clients in one thread that cost little: pairs of users, one of each writing to the other.
// Raw sockets and epoll, MQTT 3.1.1, QoS 1; nothing is parsed that need not be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/instance.hpp"

namespace parley::bench {

struct LoadOptions {
  int pairs = 50;
  int window = 16;          // messages of one writer that are not acked yet
  std::size_t bytes = 100;  // of a text
};

class Load {
 public:
  /// Users w1, w2 … and r1, r2 … of the instance; connects them.
  Load(test::Instance& instance, const LoadOptions& options);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Sends so many messages, and waits until every one is acked as stored and was delivered.
  /// @return seconds from the first to the last
  /// @throw std::runtime_error if one is refused, or nothing moves for 30 s
  double run(std::uint64_t messages);

 private:
  struct Client;
  void handle(Client& client, unsigned type, unsigned flags, const char* body, std::size_t size);
  void take(Client& client);
  void send_more(Client& client);
  void flush(Client& client);

  const LoadOptions options_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Client>> clients_;
  std::uint64_t to_send_ = 0;
  std::uint64_t stored_ = 0;
  std::uint64_t delivered_ = 0;
};

}  // namespace parley::bench
