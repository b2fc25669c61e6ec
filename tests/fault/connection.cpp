#include "tests/fault/connection.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace parley::fault {

Connection::Connection(std::uint16_t port)
    : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)} {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    close();
    return;
  }
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void Connection::write(std::string_view bytes) {
  out_.append(bytes);
  flush();
}

void Connection::flush() {
  while (open() && !out_.empty()) {
    const ssize_t sent = ::send(fd(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    // A connection that failed is found by reading, after what the broker still said.
    if (sent < 0) return;
    out_.erase(0, static_cast<std::size_t>(sent));
  }
}

void Connection::read(std::size_t bytes_max) {
  if (!open()) return;
  std::string part(bytes_max, '\0');
  const ssize_t got = ::recv(fd(), part.data(), part.size(), 0);
  if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (got <= 0) return close();
  in_.append(part, 0, static_cast<std::size_t>(got));
}

std::optional<test::Packet> Connection::next() { return test::take_packet(in_); }

}  // namespace parley::fault
