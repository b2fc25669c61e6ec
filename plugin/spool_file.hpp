// The spool's file: locked, allocated, mapped (core/spool.hpp says what is in it).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "core/spool.hpp"

namespace parley::plugin {

/// Keeps a second broker away from a state folder, for as long as it lives.
class StateLock {
 public:
  /// Makes the folder if it is missing.
  static Result<StateLock, std::string> take(const std::string& state_dir);
  StateLock(StateLock&& other) noexcept;
  StateLock& operator=(StateLock&&) = delete;
  ~StateLock();

 private:
  explicit StateLock(int file) : file_{file} {}
  int file_;
};

class SpoolFile {
 public:
  /// Opens `<state_dir>/spool`, or makes it. An unreadable one is moved aside; of those the newest
  /// three are kept.
  /// @param said  gets a log line for everything unusual
  static Result<SpoolFile, std::string> open(const std::string& state_dir, std::size_t mib,
                                             std::int64_t now_s, std::vector<std::string>& said);
  SpoolFile(SpoolFile&& other) noexcept;
  SpoolFile& operator=(SpoolFile&&) = delete;
  ~SpoolFile();

  Spool& spool() { return *spool_; }

 private:
  SpoolFile(std::byte* memory, std::size_t bytes, Spool spool)
      : memory_{memory}, bytes_{bytes}, spool_{std::make_unique<Spool>(std::move(spool))} {}
  static Result<SpoolFile, std::string> open_existing(const std::string& path);
  static Result<SpoolFile, std::string> create(const std::string& path, std::size_t mib);

  std::byte* memory_;
  std::size_t bytes_;
  std::unique_ptr<Spool> spool_;
};

}  // namespace parley::plugin
