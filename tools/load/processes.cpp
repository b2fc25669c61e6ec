#include "tools/load/processes.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <vector>

namespace parley::load {
namespace {

namespace fs = std::filesystem;

std::string first_line(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

std::string folder_of(pid_t process) { return "/proc/" + std::to_string(process); }

std::vector<pid_t> all_processes() {
  std::vector<pid_t> all;
  std::error_code error;
  for (fs::directory_iterator at{"/proc", error}, end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    pid_t process = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), process);
    if (read.ec == std::errc{} && read.ptr == name.data() + name.size()) all.push_back(process);
  }
  return all;
}

/// What stands in /proc/<pid>/stat behind the name: the state is field 0, the parent 1.
std::vector<std::string> stat_of(pid_t process) {
  const std::string line = first_line(folder_of(process) + "/stat");
  const auto end = line.rfind(')');  // a name may hold anything
  if (end == std::string::npos) return {};
  std::istringstream rest{line.substr(end + 1)};
  std::vector<std::string> fields;
  for (std::string field; rest >> field;) fields.push_back(std::move(field));
  return fields;
}

pid_t parent_of(pid_t process) {
  const auto fields = stat_of(process);
  return fields.size() < 2 ? 0 : static_cast<pid_t>(std::stol(fields[1]));
}

enum class Children { without, ended };

double cpu_seconds(pid_t process, Children children) {
  constexpr std::size_t utime = 11;  // then stime, cutime and cstime
  const auto fields = stat_of(process);
  if (fields.size() < utime + 4) return 0;
  double ticks = std::stod(fields[utime]) + std::stod(fields[utime + 1]);
  if (children == Children::ended) {
    ticks += std::stod(fields[utime + 2]) + std::stod(fields[utime + 3]);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct SocketRow {
  unsigned local_port = 0;
  unsigned remote_port = 0;
  bool listens = false;
  std::string inode;
};

/// Inodes of the TCP sockets that `wanted`.
std::set<std::string> sockets(const std::function<bool(const SocketRow&)>& wanted) {
  const auto port = [](const std::string& address) {
    return static_cast<unsigned>(std::stoul(address.substr(address.rfind(':') + 1), nullptr, 16));
  };
  std::set<std::string> found;
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file{path};
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      std::istringstream fields{line};
      std::string number, local, remote, state, skip, inode;
      fields >> number >> local >> remote >> state;
      for (int i = 0; i < 5; ++i) fields >> skip;
      fields >> inode;
      if (inode.empty()) continue;
      const SocketRow row{port(local), port(remote), state == "0A", inode};
      if (wanted(row)) found.insert("socket:[" + inode + "]");
    }
  }
  return found;
}

bool has_socket(pid_t process, const std::set<std::string>& inodes) {
  std::error_code error;
  for (fs::directory_iterator at{folder_of(process) + "/fd", error}, end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    const auto target = fs::read_symlink(at->path(), gone);
    if (!gone && inodes.contains(target.string())) return true;
  }
  return false;
}

bool is_called(pid_t process, const std::string& name) {
  return first_line(folder_of(process) + "/comm") == name;
}

}  // namespace

pid_t find_broker(std::uint16_t port) {
  const auto listening =
      sockets([&](const SocketRow& row) { return row.listens && row.local_port == port; });
  if (listening.empty()) return 0;
  for (const pid_t process : all_processes()) {
    if (has_socket(process, listening)) return process;
  }
  return 0;
}

pid_t find_worker(std::uint16_t broker_port) {
  const auto connected =
      sockets([&](const SocketRow& row) { return !row.listens && row.remote_port == broker_port; });
  for (const pid_t process : all_processes()) {
    if (is_called(process, "parleyd") && has_socket(process, connected)) return process;
  }
  return 0;
}

pid_t find_postmaster(pid_t backend) {
  if (!is_called(backend, "postgres")) return 0;
  const pid_t parent = parent_of(backend);
  return parent > 0 && is_called(parent, "postgres") ? parent : 0;
}

CpuTimes cpu_times(const Server& server) {
  CpuTimes times;
  if (server.broker > 0) times.broker = cpu_seconds(server.broker, Children::without);
  if (server.worker > 0) times.worker = cpu_seconds(server.worker, Children::without);
  if (server.postmaster > 0) {
    double all = cpu_seconds(server.postmaster, Children::ended);
    for (const pid_t process : all_processes()) {
      if (parent_of(process) == server.postmaster) all += cpu_seconds(process, Children::without);
    }
    times.postgres = all;
  }
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  times.generator = seconds(used.ru_utime) + seconds(used.ru_stime);
  return times;
}

CpuTimes operator-(const CpuTimes& later, const CpuTimes& earlier) {
  const auto less = [](const std::optional<double>& a, const std::optional<double>& b) {
    return a && b ? std::optional{*a - *b} : std::nullopt;
  };
  return {less(later.broker, earlier.broker), less(later.worker, earlier.worker),
          less(later.postgres, earlier.postgres), later.generator - earlier.generator};
}

std::optional<std::uint64_t> resident_bytes(pid_t process) {
  if (process <= 0) return std::nullopt;
  std::istringstream fields{first_line(folder_of(process) + "/statm")};
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (!(fields >> size >> resident)) return std::nullopt;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string processor_name() {
  std::ifstream file{"/proc/cpuinfo"};
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) {
      const auto colon = line.find(": ");
      return colon == std::string::npos ? std::string{} : line.substr(colon + 2);
    }
  }
  return {};
}

std::uint64_t memory_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace parley::load
