#include "tests/support/process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace parley::test {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::string read_all(int fd) {
  std::string text;
  char part[65536];
  off_t at = 0;
  for (;;) {
    const ssize_t got = ::pread(fd, part, sizeof part, at);
    if (got <= 0) return text;
    text.append(part, static_cast<std::size_t>(got));
    at += got;
  }
}

void write_all(int fd, std::string_view text, const std::string& what) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail("write to " + what);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

/// Everything that the child needs, made before fork: afterwards it must not allocate.
struct Prepared {
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::optional<passwd> user;
};

Prepared prepare(const Command& command) {
  Prepared prepared;
  for (const auto& [key, value] : command.env) prepared.environment.push_back(key + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const auto key = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [name, value] : command.env) replaced = replaced || name == key;
    if (!replaced) prepared.environment.emplace_back(text);
  }
  for (std::string& entry : prepared.environment) prepared.envp.push_back(entry.data());
  prepared.envp.push_back(nullptr);
  for (const std::string& word : command.argv) {
    prepared.argv.push_back(const_cast<char*>(word.c_str()));
  }
  prepared.argv.push_back(nullptr);
  if (!command.as_user.empty() && ::getuid() == 0) {
    const passwd* user = ::getpwnam(command.as_user.c_str());
    if (user == nullptr) throw std::runtime_error("no such user: " + command.as_user);
    prepared.user = *user;
  }
  return prepared;
}

/// In the child. Only calls that are safe after fork.
[[noreturn]] void become(const Command& command, const Prepared& prepared, int in, int out, int err,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
  if (prepared.user) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(prepared.user->pw_gid) != 0 ||
        ::setuid(prepared.user->pw_uid) != 0) {
      ::_exit(126);
    }
  }
  // After setuid, which would clear it.
  ::prctl(PR_SET_PDEATHSIG, command.death_signal);
  if (::getppid() != parent) ::_exit(125);
  if (!command.folder.empty() && ::chdir(command.folder.c_str()) != 0) ::_exit(124);
  ::signal(SIGPIPE, SIG_DFL);
  ::execvpe(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  ::_exit(127);
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Process::Process(const Command& command) : name_{command.argv.at(0)} {
  const Prepared prepared = prepare(command);
  if (command.log_path.empty()) {
    out_ = Descriptor{::memfd_create("out", MFD_CLOEXEC)};
    err_ = Descriptor{::memfd_create("err", MFD_CLOEXEC)};
  } else {
    out_ = Descriptor{
        ::open(command.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)};
  }
  Descriptor in;
  if (command.stdin_pipe) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    in = Descriptor{ends[0]};
    stdin_ = Descriptor{ends[1]};
  } else if (command.stdin_fd < 0) {
    in = Descriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  }
  const int in_fd = in.open() ? in.get() : command.stdin_fd;
  const int err_fd = err_.open() ? err_.get() : out_.get();
  if (!out_.open()) fail("output of " + name_);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) become(command, prepared, in_fd, out_.get(), err_fd, parent);
  ::setpgid(pid_, pid_);
  pidfd_ = Descriptor{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))};
  if (!pidfd_.open()) fail("pidfd_open");
}

Process::Process(Process&& other) noexcept
    : name_{std::move(other.name_)},
      pid_{std::exchange(other.pid_, -1)},
      ended_{other.ended_},
      pidfd_{std::move(other.pidfd_)},
      out_{std::move(other.out_)},
      err_{std::move(other.err_)},
      stdin_{std::move(other.stdin_)} {}

Process::~Process() {
  if (pid_ > 0 && !ended_) kill();
}

bool Process::reap(int options) {
  if (ended_) return true;
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | options) != 0 ||
      info.si_pid != pid_) {
    return false;
  }
  // While the dead leader is not reaped, nobody else can have its group's number.
  ::kill(-pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  ended_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool Process::running() { return !reap(WNOHANG); }

void Process::signal(int number) const {
  if (!ended_) ::kill(pid_, number);
}

std::optional<int> Process::wait(Deadline deadline) {
  while (!reap(WNOHANG)) {
    pollfd waiting{pidfd_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, deadline.left_ms()) == 0 && deadline.passed()) return std::nullopt;
  }
  return ended_;
}

void Process::kill() {
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  reap(0);
}

std::string Process::out() const { return read_all(out_.get()); }
std::string Process::err() const { return err_.open() ? read_all(err_.get()) : std::string{}; }

std::vector<std::string> Process::wait_lines(std::size_t count, Deadline deadline) {
  std::vector<std::string> lines;
  eventually(
      name_ + with_number(" prints ", count) + " lines",
      [&] {
        lines = lines_of(out());
        return lines.size() >= count;
      },
      deadline);
  return lines;
}

void Process::write(std::string_view text) const { write_all(stdin_.get(), text, name_); }

Ran run(Command command, std::string_view input, Deadline deadline) {
  command.stdin_pipe = !input.empty();
  Process process{command};
  if (!input.empty()) process.write(input);
  process.close_stdin();
  const auto code = process.wait(deadline);
  if (!code) {
    throw std::runtime_error(command.argv[0] + " did not end; out: " + process.out() +
                             " err: " + process.err());
  }
  return Ran{*code, process.out(), process.err()};
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = read_file(entry.path() / "stat");
    // "pid (name) state parent …"; the name may hold anything.
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos || stat.size() < name_end + 4) continue;
    if (std::atoi(stat.c_str() + name_end + 4) == parent) children.push_back(std::stoi(name));
  }
  return children;
}

std::uint16_t free_port() {
  constexpr int first = 12'000;
  constexpr int last = 32'000;
  static std::mt19937 random{std::random_device{}()};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto port =
        static_cast<std::uint16_t>(std::uniform_int_distribution<int>{first, last}(random));
    const Descriptor probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      return port;
    }
  }
  throw std::runtime_error("no free port");
}

TemporaryFolder::TemporaryFolder() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base == nullptr || *base == 0 ? "/tmp" : base) + "/parley-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) fail("mkdtemp " + path_);
  ::chmod(path_.c_str(), 0711);
}

TemporaryFolder::~TemporaryFolder() {
  const char* keep = std::getenv("PARLEY_KEEP");
  if (keep != nullptr && std::string_view{keep} == "1") return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::file(std::string_view name) const {
  return path_ + "/" + std::string(name);
}

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::string& path, std::string_view text, unsigned mode) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)};
  if (!file.open()) fail("open " + path);
  if (::fchmod(file.get(), mode) != 0) fail("chmod " + path);
  write_all(file.get(), text, path);
}

void append_file(const std::string& path, std::string_view text) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)};
  if (!file.open()) fail("open " + path);
  write_all(file.get(), text, path);
}

}  // namespace parley::test
