#include "tests/support/proxy.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <future>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace parley::test {

namespace {

using Clock = std::chrono::steady_clock;
using Direction = Proxy::Direction;

constexpr std::size_t buffer_bytes_max = 256 * 1024;  // per direction of a connection
constexpr int backlog = 1024;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error("proxy: " + what + ": " + std::strerror(errno));
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// The connection may still be on its way when this returns.
Descriptor connect_to(std::uint16_t port, const std::string& path) {
  Descriptor fd{
      ::socket(path.empty() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  int result = 0;
  if (path.empty()) {
    no_delay(fd.get());
    const auto address = loopback(port);
    result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } else {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  if (result != 0 && errno != EINPROGRESS) return {};
  return fd;
}

/// How many bytes at the end of `text` might be the beginning of `pattern`.
std::size_t begun(std::string_view text, std::string_view pattern) {
  for (std::size_t bytes = std::min(text.size(), pattern.size() - 1); bytes > 0; --bytes) {
    if (text.ends_with(pattern.substr(0, bytes))) return bytes;
  }
  return 0;
}

/// When a connection is to be cut; see Proxy::cut_after and Proxy::cut_before.
struct Trigger {
  Direction direction = Direction::to_server;
  std::size_t bytes_left = 0;
  std::string pattern{};  // empty: `bytes_left` counts
  std::string once_seen{};
};

/// One direction of one connection.
struct Flow {
  struct Chunk {
    Clock::time_point due;
    std::string bytes;
  };
  std::deque<Chunk> waiting;
  std::size_t waiting_bytes = 0;
  std::string held;         // perhaps the beginning of the pattern
  bool ended = false;       // the side that speaks has said its last word
  bool told_ended = false;  // and the other one knows

  void push(std::string bytes, Clock::time_point due) {
    if (bytes.empty()) return;
    waiting_bytes += bytes.size();
    waiting.push_back({due, std::move(bytes)});
  }
  [[nodiscard]] bool wants_input() const { return !ended && waiting_bytes < buffer_bytes_max; }
  [[nodiscard]] bool is_due(Clock::time_point now) const {
    return !waiting.empty() && waiting.front().due <= now;
  }
};

struct Connection {
  Descriptor client;
  Descriptor server;
  std::array<Flow, 2> flows;  // by Direction
  std::string lookback;       // the end of what the client sent, for `once_seen`
  bool seen = false;          // `once_seen`, since the trigger was set
  bool doomed = false;        // by the trigger: ends when what was before it is through

  [[nodiscard]] Flow& flow(Direction direction) {
    return flows[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] Descriptor& from(Direction direction) {
    return direction == Direction::to_server ? client : server;
  }
  [[nodiscard]] Descriptor& to(Direction direction) {
    return direction == Direction::to_server ? server : client;
  }
};

constexpr std::array<Direction, 2> directions = {Direction::to_server, Direction::to_client};

}  // namespace

struct Proxy::Loop {
  explicit Loop(Proxy& owner) : proxy{owner} {}

  Proxy& proxy;
  Descriptor listener;
  Descriptor wake;
  std::mutex mutex;
  std::vector<std::packaged_task<void(Loop&)>> tasks;  // guarded by mutex
  bool stopped = false;
  bool frozen = false;
  bool refusing = false;
  Milliseconds delay{0};
  std::optional<Trigger> trigger;
  Direction cutting = Direction::to_server;  // of the trigger that doomed a connection
  std::list<Connection> connections;

  void run();
  void run_tasks();
  void accept_one();
  void reset_all();
  /// @return false when the connection is over
  bool serve(Connection& connection, short client_events, short server_events);
  bool take(Connection& connection, Direction direction);
  bool give(Connection& connection, Direction direction);
  void add(Connection& connection, Direction direction, std::string bytes);
  bool may_trigger(Connection& connection, Direction direction, const std::string& bytes,
                   std::size_t& from);
  void doom(Connection& connection, Direction direction);
  void set_trigger(Trigger wanted);
  void let_go_of_held();
  [[nodiscard]] int wait_ms() const;
  [[nodiscard]] short events_of(Connection& connection, Direction speaking, Clock::time_point now);
};

void Proxy::Loop::run_tasks() {
  std::vector<std::packaged_task<void(Loop&)>> due;
  {
    const std::lock_guard lock{mutex};
    due.swap(tasks);
  }
  for (auto& task : due) task(*this);
}

int Proxy::Loop::wait_ms() const {
  int wait = -1;
  if (frozen) return wait;
  const auto now = Clock::now();
  for (const auto& connection : connections) {
    for (const auto& flow : connection.flows) {
      if (flow.waiting.empty() || flow.waiting.front().due <= now) continue;
      const auto left =
          std::chrono::duration_cast<Milliseconds>(flow.waiting.front().due - now).count() + 1;
      wait = wait < 0 ? static_cast<int>(left) : std::min(wait, static_cast<int>(left));
    }
  }
  return wait;
}

/// @param speaking  the direction in which the polled side speaks
short Proxy::Loop::events_of(Connection& connection, Direction speaking, Clock::time_point now) {
  const auto listening =
      speaking == Direction::to_server ? Direction::to_client : Direction::to_server;
  int events = 0;
  if (connection.flow(speaking).wants_input() && !connection.doomed) events |= POLLIN;
  if (connection.flow(listening).is_due(now)) events |= POLLOUT;
  return static_cast<short>(events);
}

void Proxy::Loop::run() {
  while (!stopped) {
    std::vector<pollfd> polled{{wake.get(), POLLIN, 0},
                               {frozen || refusing ? -1 : listener.get(), POLLIN, 0}};
    const auto now = Clock::now();
    for (auto& connection : connections) {
      const short client = events_of(connection, Direction::to_server, now);
      const short server = events_of(connection, Direction::to_client, now);
      // Nothing asked: not polled at all, or a hung-up side would wake us for ever.
      polled.push_back({frozen || client == 0 ? -1 : connection.client.get(), client, 0});
      polled.push_back({frozen || server == 0 ? -1 : connection.server.get(), server, 0});
    }
    ::poll(polled.data(), polled.size(), wait_ms());
    std::uint64_t count = 0;
    if (polled[0].revents != 0 && ::read(wake.get(), &count, sizeof count) < 0) return;
    std::size_t at = 2;
    for (auto it = connections.begin(); it != connections.end(); at += 2) {
      const bool goes_on = serve(*it, polled[at].revents, polled[at + 1].revents);
      if (!goes_on && it->doomed) ++proxy.cuts_;
      it = goes_on ? std::next(it) : connections.erase(it);
    }
    if (polled[1].revents != 0) accept_one();
    run_tasks();
    proxy.open_ = connections.size();
  }
}

void Proxy::Loop::accept_one() {
  Descriptor client{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
  if (!client.open()) return;
  no_delay(client.get());
  ++proxy.connections_;
  Descriptor server = connect_to(proxy.server_port_, proxy.server_socket_);
  if (!server.open()) return;  // nobody there: the client is hung up on
  connections.push_back({std::move(client), std::move(server), {}, {}, false, false});
}

void Proxy::Loop::reset_all() {
  const linger at_once{1, 0};
  for (auto& connection : connections) {
    for (const int fd : {connection.client.get(), connection.server.get()}) {
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    ++proxy.cuts_;
  }
  connections.clear();
  proxy.open_ = 0;
}

bool Proxy::Loop::serve(Connection& connection, short client_events, short server_events) {
  if (frozen) return true;
  for (const auto direction : directions) {
    const short events = direction == Direction::to_server ? client_events : server_events;
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && connection.flow(direction).wants_input() &&
        !connection.doomed && !take(connection, direction)) {
      return false;
    }
  }
  for (const auto direction : directions) {
    if (!give(connection, direction)) return false;
  }
  if (connection.doomed && connection.flow(cutting).waiting.empty()) return false;
  return !(connection.flows[0].told_ended && connection.flows[1].told_ended);
}

bool Proxy::Loop::take(Connection& connection, Direction direction) {
  std::array<char, 65536> part{};
  const ssize_t got = ::read(connection.from(direction).get(), part.data(), part.size());
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  auto& flow = connection.flow(direction);
  if (got == 0) {
    flow.ended = true;
    flow.push(std::exchange(flow.held, {}), Clock::now() + delay);
    return true;
  }
  add(connection, direction, std::string(part.data(), static_cast<std::size_t>(got)));
  return true;
}

/// Whether the pattern counts in this connection by now.
/// @param from  set to where in `bytes` it may begin
bool Proxy::Loop::may_trigger(Connection& connection, Direction direction, const std::string& bytes,
                              std::size_t& from) {
  from = 0;
  if (trigger->once_seen.empty() || connection.seen) return true;
  if (direction != Direction::to_server) return false;
  const std::size_t before = connection.lookback.size();
  const std::string all = connection.lookback + bytes;
  const std::size_t found = all.find(trigger->once_seen);
  if (found == std::string::npos) {
    connection.lookback = all.substr(all.size() - begun(all, trigger->once_seen));
    return false;
  }
  connection.seen = true;
  from = found + trigger->once_seen.size() - before;
  return true;
}

void Proxy::Loop::add(Connection& connection, Direction direction, std::string bytes) {
  auto& flow = connection.flow(direction);
  const auto due = Clock::now() + delay;
  bytes = std::exchange(flow.held, {}) + bytes;
  std::size_t from = 0;
  const bool counts = trigger && may_trigger(connection, direction, bytes, from);
  if (!counts || trigger->direction != direction) {
    flow.push(std::move(bytes), due);
    return;
  }
  if (trigger->pattern.empty()) {
    if (bytes.size() < trigger->bytes_left) {
      trigger->bytes_left -= bytes.size();
      flow.push(std::move(bytes), due);
      return;
    }
    flow.push(bytes.substr(0, trigger->bytes_left), due);
    doom(connection, direction);
    return;
  }
  const std::size_t found = bytes.find(trigger->pattern, from);
  if (found != std::string::npos) {
    flow.push(bytes.substr(0, found), due);
    doom(connection, direction);
    return;
  }
  flow.held = bytes.substr(bytes.size() - begun(bytes, trigger->pattern));
  bytes.resize(bytes.size() - flow.held.size());
  flow.push(std::move(bytes), due);
}

void Proxy::Loop::doom(Connection& connection, Direction direction) {
  connection.doomed = true;
  cutting = direction;
  trigger.reset();
  let_go_of_held();
}

void Proxy::Loop::let_go_of_held() {
  for (auto& connection : connections) {
    if (connection.doomed) continue;
    for (auto& flow : connection.flows) {
      flow.push(std::exchange(flow.held, {}), Clock::now() + delay);
    }
  }
}

void Proxy::Loop::set_trigger(Trigger wanted) {
  let_go_of_held();
  for (auto& connection : connections) {
    connection.seen = false;
    connection.lookback.clear();
  }
  trigger = std::move(wanted);
}

bool Proxy::Loop::give(Connection& connection, Direction direction) {
  auto& flow = connection.flow(direction);
  const int fd = connection.to(direction).get();
  const auto now = Clock::now();
  while (flow.is_due(now)) {
    auto& chunk = flow.waiting.front().bytes;
    const ssize_t wrote = ::send(fd, chunk.data(), chunk.size(), MSG_NOSIGNAL);
    if (wrote < 0) return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
    flow.waiting_bytes -= static_cast<std::size_t>(wrote);
    chunk.erase(0, static_cast<std::size_t>(wrote));
    if (!chunk.empty()) return true;
    flow.waiting.pop_front();
  }
  if (flow.ended && flow.waiting.empty() && !std::exchange(flow.told_ended, true)) {
    ::shutdown(fd, SHUT_WR);
  }
  return true;
}

Proxy::Proxy(std::uint16_t server_port) : server_port_{server_port} { start(); }
Proxy::Proxy(std::string server_socket) : server_socket_{std::move(server_socket)} { start(); }

void Proxy::start() {
  loop_ = std::make_unique<Loop>(*this);
  loop_->wake = Descriptor{::eventfd(0, EFD_CLOEXEC)};
  if (!loop_->wake.open()) fail("eventfd");
  constexpr int attempts = 20;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    port_ = free_port();
    Descriptor fd{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto address = loopback(port_);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::listen(fd.get(), backlog) == 0) {
      loop_->listener = std::move(fd);
      thread_ = std::thread{[this] { loop_->run(); }};
      return;
    }
  }
  fail("no port");
}

Proxy::~Proxy() {
  in_loop([](Loop& loop) { loop.stopped = true; });
  thread_.join();
}

void Proxy::in_loop(const std::function<void(Loop&)>& fn) {
  std::packaged_task<void(Loop&)> task{fn};
  auto done = task.get_future();
  {
    const std::lock_guard lock{loop_->mutex};
    loop_->tasks.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  if (::write(loop_->wake.get(), &one, sizeof one) < 0) fail("eventfd");
  done.get();
}

void Proxy::cut() {
  in_loop([](Loop& loop) { loop.reset_all(); });
}

void Proxy::refuse(bool refused) {
  in_loop([refused](Loop& loop) {
    if (loop.refusing == refused) return;
    loop.refusing = refused;
    // Not closed: so the port stays ours.
    if (refused) {
      if (::shutdown(loop.listener.get(), SHUT_RD) != 0) fail("shutdown");
    } else if (::listen(loop.listener.get(), backlog) != 0) {
      fail("listen");
    }
  });
}

void Proxy::half_open() {
  in_loop([](Loop& loop) { loop.frozen = true; });
}

void Proxy::resume() {
  in_loop([](Loop& loop) { loop.frozen = false; });
}

void Proxy::delay(Milliseconds time) {
  in_loop([time](Loop& loop) { loop.delay = time; });
}

void Proxy::cut_after(Direction direction, std::size_t bytes) {
  in_loop([direction, bytes](Loop& loop) {
    loop.set_trigger({.direction = direction, .bytes_left = std::max<std::size_t>(1, bytes)});
  });
}

void Proxy::cut_before(Direction direction, std::string pattern, std::string once_seen) {
  in_loop([&](Loop& loop) {
    loop.set_trigger(
        {.direction = direction, .pattern = std::move(pattern), .once_seen = std::move(once_seen)});
  });
}

void Proxy::disarm() {
  in_loop([](Loop& loop) {
    loop.trigger.reset();
    loop.let_go_of_held();
  });
}

}  // namespace parley::test
