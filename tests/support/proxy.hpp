// A wire that can be cut: forwards connections from a free loopback port to a server, and does to
// them what networks do.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/process.hpp"

namespace parley::test {

/// Everything is done by a thread of its own. What changes its behaviour is in force when the call
/// returns. Buffers are bounded: a side that does not read stops the other one.
class Proxy {
 public:
  enum class Direction { to_server, to_client };

  /// To a TCP port of this machine. @throw std::runtime_error if there is no free port
  explicit Proxy(std::uint16_t server_port);
  /// To a Unix socket, such as PostgreSQL's. @throw std::runtime_error likewise
  explicit Proxy(std::string server_socket);
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy();

  /// Where clients connect: on 127.0.0.1.
  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// Resets every connection, on both sides; what was on its way is lost. New ones pass.
  void cut();
  /// While `refused`, new connections are refused; those that there are go on.
  void refuse(bool refused);
  /// From now on everything stays connected, new connections too, and nothing passes.
  void half_open();
  /// After half_open: what waited goes on, unless the ends gave up.
  void resume();
  /// What is read from now on is passed on that much later.
  void delay(Milliseconds time);

  /// Once: closes the connection that carries the `bytes`th byte in that direction from now on
  /// (counted over all connections), when that byte has been passed on.
  void cut_after(Direction direction, std::size_t bytes);
  /// Once: closes the first connection in which `pattern` appears in that direction from now on;
  /// everything before it has been passed on, nothing from it on.
  /// @param once_seen  if not empty: only connections count in which the client has sent this since
  ///                   now, before the pattern. So one of several connections can be meant.
  void cut_before(Direction direction, std::string pattern, std::string once_seen = {});

  /// What cut_after or cut_before was to do and has not begun to is off.
  void disarm();

  /// Accepted so far.
  [[nodiscard]] std::size_t connections() const { return connections_; }
  [[nodiscard]] std::size_t open_connections() const { return open_; }
  /// Connections that cut, cut_after and cut_before ended.
  [[nodiscard]] std::size_t cuts() const { return cuts_; }

  /// What ends a batch of PostgreSQL's protocol, from the client and in its answer.
  static std::string postgres_sync() { return {"S\0\0\0\4", 5}; }
  static std::string postgres_ready() { return {"Z\0\0\0\5", 5}; }

 private:
  struct Loop;  // all that the thread owns
  void start();
  void in_loop(const std::function<void(Loop&)>& fn);

  const std::uint16_t server_port_ = 0;
  const std::string server_socket_;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> connections_ = 0;
  std::atomic<std::size_t> open_ = 0;
  std::atomic<std::size_t> cuts_ = 0;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace parley::test
