// Many connections in one thread, as cheaply as the kernel lets us: one read for each that has
// something, one write for each that says something, in each turn.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tools/load/packet_stream.hpp"

namespace parley::load {

/// The load side cannot go on: says what is wrong, without a full stop.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Nanoseconds of the steady clock.
std::int64_t now_ns();
inline constexpr std::int64_t ns_per_s = 1'000'000'000;

/// Where the broker is.
struct Endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
};

class Poller;

/// A socket with what is read from it and what is to be written. It stays where it is while it is
/// open.
class Connection {
 public:
  explicit Connection(Poller& poller) : poller_{poller} {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() { close(); }

  /// Connects, TCP_NODELAY. @param number  of this connection: thousands from one address to a
  /// broker on loopback use several source addresses. @throw Error
  void open(const Endpoint& where, std::size_t number = 0);
  void close();
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  /// Written at the end of the turn.
  void write(std::string_view bytes) {
    want_write();
    out_.append(bytes);
  }

 protected:
  virtual void on_packet(const PacketView& packet) = 0;
  /// The other side has closed it, or it broke; it is closed already.
  virtual void on_closed() = 0;
  /// For writing into `out()` directly.
  std::string& want_write();

 private:
  friend class Poller;

  Poller& poller_;
  int fd_ = -1;
  bool dirty_ = false;    // in the poller's list
  bool blocked_ = false;  // the socket is full: waiting for EPOLLOUT
  std::size_t sent_ = 0;  // of out_
  std::string out_;
  PacketStream in_;
};

class Poller {
 public:
  Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller();

  /// Writes what is waiting, waits until something comes or `until` (of now_ns) is over, handles
  /// it, and writes what that led to.
  void turn(std::int64_t until);

 private:
  friend class Connection;

  void receive(Connection& connection);
  void flush();
  void flush(Connection& connection);
  void forget(Connection& connection);

  int epoll_ = -1;
  std::vector<Connection*> dirty_;
  std::vector<char> buffer_;
  std::vector<epoll_event> events_;
  std::vector<Connection*> ready_;  // of this turn; null: closed meanwhile
};

/// Lets this process have so many files open. @throw Error if it may not
void allow_files(std::size_t count);

}  // namespace parley::load
