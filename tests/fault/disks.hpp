// Small file systems that can be filled, in a mount namespace of our own: they vanish with us.
#pragma once

#include <cstddef>
#include <string>

#include "tests/support/process.hpp"

namespace parley::fault {

/// From here on mounts are ours alone. Only root can, and before any thread is started.
/// @return why not; empty: done
std::string keep_mounts_private();

class SmallDisk {
 public:
  enum class Sort {
    memory,  // tmpfs
    disk,    // ext4 in a file: fsync costs what it costs
  };
  SmallDisk(Sort sort, std::size_t mib);
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk();

  /// Why there is none; empty: there is.
  [[nodiscard]] const std::string& missing() const { return missing_; }
  /// An empty folder on it.
  [[nodiscard]] std::string folder() const { return mount_point() + "/content"; }
  /// Writes until nothing fits any more.
  void fill() const;
  void make_room() const;

 private:
  [[nodiscard]] std::string mount_point() const { return folder_.file("mount"); }
  [[nodiscard]] std::string filler() const { return mount_point() + "/filler"; }
  void mount_memory(std::size_t mib);
  void mount_disk(std::size_t mib);

  test::TemporaryFolder folder_;
  std::string missing_;
};

}  // namespace parley::fault
