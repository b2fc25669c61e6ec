// One MQTT connection that never blocks: a socket with what waits to be written and read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/mqtt_packet.hpp"
#include "tests/support/process.hpp"

namespace parley::fault {

class Connection {
 public:
  /// Connects the socket to a loopback port; see `open`.
  explicit Connection(std::uint16_t port);
  [[nodiscard]] bool open() const { return socket_.open(); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Queues bytes and sends what the socket takes.
  void write(std::string_view bytes);
  [[nodiscard]] bool wants_write() const { return !out_.empty(); }
  void flush();
  /// Reads once, at most `bytes_max`. After the other end has hung up, `open` is false.
  void read(std::size_t bytes_max);
  /// The next complete packet. @throw std::runtime_error if the bytes cannot be MQTT
  std::optional<test::Packet> next();
  void close() { socket_.reset(); }

 private:
  test::Descriptor socket_;
  std::string in_;
  std::string out_;
};

}  // namespace parley::fault
