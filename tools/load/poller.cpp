#include "tools/load/poller.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>

namespace parley::load {
namespace {

constexpr std::size_t read_bytes = 64 * 1024;
constexpr int events_max = 1024;
constexpr std::size_t per_source_address = 20'000;  // below the usual number of ephemeral ports
constexpr time_t connect_s = 20;

std::string error_text(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail(const std::string& what) { throw Error(what + ": " + error_text(errno)); }

sockaddr_storage resolve(const Endpoint& where, socklen_t& size) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
  if (code != 0) throw Error(where.host + ": " + ::gai_strerror(code));
  sockaddr_storage address{};
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

/// 127.0.0.1, 127.0.0.2 …, as one of them has too few ports for tens of thousands of connections to
/// one broker.
void choose_source(int fd, const sockaddr_storage& broker, std::size_t number) {
  sockaddr_in source{};
  std::memcpy(&source, &broker, sizeof source);
  const std::uint32_t address = ntohl(source.sin_addr.s_addr);
  const std::size_t which = number / per_source_address;
  if (source.sin_family != AF_INET || (address >> 24U) != 127 || which == 0) return;
  source.sin_addr.s_addr = htonl(0x7f000001U + static_cast<std::uint32_t>(which));
  source.sin_port = 0;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) < 0) {
    fail("cannot use another source address");
  }
}

}  // namespace

std::int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

void allow_files(std::size_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = count;
  limit.rlim_max = std::max<rlim_t>(limit.rlim_max, count);
  if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) {
    throw Error("so many connections need " + std::to_string(count) +
                " open files; allow them: ulimit -n " + std::to_string(count));
  }
}

// ---- Connection ----

void Connection::open(const Endpoint& where, std::size_t number) {
  close();
  socklen_t size = 0;
  const sockaddr_storage address = resolve(where, size);
  fd_ = ::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) fail("no socket");
  choose_source(fd_, address, number);
  const timeval patience{connect_s, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), size) < 0) {
    fail("the broker at " + where.host + ":" + std::to_string(where.port) + " cannot be reached");
  }
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = this;
  if (::epoll_ctl(poller_.epoll_, EPOLL_CTL_ADD, fd_, &event) < 0) fail("epoll");
}

void Connection::close() {
  if (fd_ < 0) return;
  poller_.forget(*this);
  ::close(fd_);
  fd_ = -1;
  dirty_ = blocked_ = false;
  sent_ = 0;
  out_.clear();
  in_.clear();
}

std::string& Connection::want_write() {
  if (!dirty_) {
    dirty_ = true;
    poller_.dirty_.push_back(this);
  }
  return out_;
}

// ---- Poller ----

Poller::Poller()
    : epoll_{::epoll_create1(EPOLL_CLOEXEC)}, buffer_(read_bytes), events_(events_max) {
  if (epoll_ < 0) fail("epoll");
  ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);  // waits end when they should
}

Poller::~Poller() { ::close(epoll_); }

void Poller::forget(Connection& connection) {
  std::replace(dirty_.begin(), dirty_.end(), &connection, static_cast<Connection*>(nullptr));
  std::replace(ready_.begin(), ready_.end(), &connection, static_cast<Connection*>(nullptr));
}

void Poller::turn(std::int64_t until) {
  flush();
  const std::int64_t wait = std::max<std::int64_t>(until - now_ns(), 0);
  const timespec timeout{wait / ns_per_s, wait % ns_per_s};
  const int count = ::epoll_pwait2(epoll_, events_.data(), events_max, &timeout, nullptr);
  if (count < 0 && errno != EINTR) fail("epoll");
  ready_.clear();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    auto* const connection = static_cast<Connection*>(event.data.ptr);
    if ((event.events & EPOLLOUT) != 0 && !connection->dirty_) {
      connection->dirty_ = true;
      dirty_.push_back(connection);
    }
    if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) ready_.push_back(connection);
  }
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    if (ready_[i] != nullptr) receive(*ready_[i]);
  }
  ready_.clear();
  flush();
}

void Poller::receive(Connection& connection) {
  const ssize_t got = ::recv(connection.fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (got > 0) {
    connection.in_.feed({buffer_.data(), static_cast<std::size_t>(got)},
                        [&](const PacketView& packet) { connection.on_packet(packet); });
    return;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  connection.close();
  connection.on_closed();
}

void Poller::flush() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    if (dirty_[i] != nullptr) flush(*dirty_[i]);
  }
  dirty_.clear();
}

void Poller::flush(Connection& connection) {
  connection.dirty_ = false;
  const std::size_t size = connection.out_.size() - connection.sent_;
  const ssize_t sent = ::send(connection.fd_, connection.out_.data() + connection.sent_, size,
                              MSG_NOSIGNAL | MSG_DONTWAIT);
  // Whoever is gone is noticed when reading.
  if (sent > 0) connection.sent_ += static_cast<std::size_t>(sent);
  const bool all = connection.sent_ == connection.out_.size();
  if (all) {
    connection.out_.clear();
    connection.sent_ = 0;
  }
  const bool gone = sent < 0 && errno != EAGAIN && errno != EINTR;
  if (const bool blocked = !all && !gone; blocked != connection.blocked_) {
    connection.blocked_ = blocked;
    epoll_event event{};
    event.events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.ptr = &connection;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd_, &event);
  }
}

}  // namespace parley::load
