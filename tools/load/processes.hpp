// What the processes of a server on this machine need, from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace parley::load {

/// The server's processes; 0: not on this machine, or not ours to look at.
struct Server {
  pid_t broker = 0;
  pid_t worker = 0;
  pid_t postmaster = 0;
};

/// Who listens on that port of this machine. 0 if nobody does whom we may look at.
pid_t find_broker(std::uint16_t port);
/// The parleyd that is connected to that port. 0 likewise.
pid_t find_worker(std::uint16_t broker_port);
/// The parent of a backend, if both are PostgreSQL's. 0 if that backend runs elsewhere.
pid_t find_postmaster(pid_t backend);

/// CPU seconds since each of them began; nothing where we cannot look.
struct CpuTimes {
  std::optional<double> broker;
  std::optional<double> worker;
  std::optional<double> postgres;  // all its processes, also those that have ended
  double generator = 0;            // this process
};
CpuTimes cpu_times(const Server& server);
/// What was needed between two moments.
CpuTimes operator-(const CpuTimes& later, const CpuTimes& earlier);

/// Bytes resident; nothing if we cannot look.
std::optional<std::uint64_t> resident_bytes(pid_t process);

/// "Intel … @ 2.00GHz" or the like; empty if unknown.
std::string processor_name();
std::uint64_t memory_bytes();

}  // namespace parley::load
