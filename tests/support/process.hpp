// Child processes that cannot outlive the test, free ports, and folders that vanish.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/deadline.hpp"
#include "tests/support/text.hpp"

namespace parley::test {

/// A file descriptor that is closed once.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_{fd} {}
  Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  void reset();
  /// It is the caller's to close.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

struct Command {
  std::vector<std::string> argv;                           // argv[0] is searched in PATH
  std::vector<std::pair<std::string, std::string>> env{};  // added to ours
  std::string log_path{};  // both outputs are appended to this file; empty: kept in memory
  int stdin_fd = -1;       // given to the child; -1: /dev/null, or a pipe if `stdin_pipe`
  bool stdin_pipe = false;
  std::string as_user{};  // only root can; empty: as we are
  std::string folder{};   // working directory
  int death_signal = 9;   // what it gets when the test process dies
};

/// One child. The destructor kills and reaps it, and whatever it left in its process group.
class Process {
 public:
  /// @throw std::runtime_error if it cannot be started
  explicit Process(const Command& command);
  Process(Process&&) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();
  void signal(int number) const;
  /// What its end was: the exit code, or 128 + the signal; nothing if the deadline passed first.
  std::optional<int> wait(Deadline deadline = Deadline{});
  /// SIGKILL, and reaps it.
  void kill();

  /// What it wrote so far (only without log_path).
  [[nodiscard]] std::string out() const;
  [[nodiscard]] std::string err() const;
  /// Waits until `out` has that many lines. @throw std::runtime_error
  std::vector<std::string> wait_lines(std::size_t count, Deadline deadline = Deadline{});

  void write(std::string_view text) const;  // to its stdin pipe
  void close_stdin() { stdin_.reset(); }

 private:
  bool reap(int options);

  std::string name_;
  pid_t pid_ = -1;
  std::optional<int> ended_;
  Descriptor pidfd_;
  Descriptor out_;
  Descriptor err_;
  Descriptor stdin_;
};

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};
/// Runs a program to its end. @throw std::runtime_error if it is still there at the deadline
Ran run(Command command, std::string_view input = {}, Deadline deadline = Deadline{});

/// The processes whose parent is `parent`, now.
std::vector<pid_t> children_of(pid_t parent);

/// A loopback port that nobody listened on a moment ago, below the range that the kernel gives to
/// outgoing connections. The caller tries another one if somebody was faster.
std::uint16_t free_port();

/// A new folder below TMPDIR that every user may traverse; removed with its content, unless
/// PARLEY_KEEP=1.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  [[nodiscard]] const std::string& path() const { return path_; }
  /// A path inside.
  [[nodiscard]] std::string file(std::string_view name) const;

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
void write_file(const std::string& path, std::string_view text, unsigned mode = 0644);
void append_file(const std::string& path, std::string_view text);

}  // namespace parley::test
