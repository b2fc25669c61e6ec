#include "tests/fault/disks.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace parley::fault {

std::string keep_mounts_private() {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return std::string("no mount namespace: ") + std::strerror(errno);
  }
  return {};
}

SmallDisk::SmallDisk(Sort sort, std::size_t mib) {
  ::mkdir(mount_point().c_str(), 0755);
  if (sort == Sort::memory) {
    mount_memory(mib);
  } else {
    mount_disk(mib);
  }
  ::mkdir(folder().c_str(), 0755);
}

void SmallDisk::mount_memory(std::size_t mib) {
  const std::string options = "mode=0755,size=" + std::to_string(mib) + "m";
  if (::mount("none", mount_point().c_str(), "tmpfs", 0, options.c_str()) != 0) {
    missing_ = std::string("mount tmpfs: ") + std::strerror(errno);
  }
}

void SmallDisk::mount_disk(std::size_t mib) {
  const std::string image = folder_.file("image");
  for (const std::vector<std::string>& argv :
       {std::vector<std::string>{"truncate", "-s", std::to_string(mib) + "M", image},
        std::vector<std::string>{"/sbin/mkfs.ext4", "-q", "-m", "0", image},
        std::vector<std::string>{"mount", "-o", "loop", image, mount_point()}}) {
    const test::Ran ran = test::run(test::Command{.argv = argv});
    if (ran.code == 0) continue;
    missing_ = argv[0] + ": " + ran.err;
    return;
  }
}

SmallDisk::~SmallDisk() {
  if (missing_.empty()) ::umount2(mount_point().c_str(), MNT_DETACH);
}

void SmallDisk::fill() const {
  const test::Descriptor file{
      ::open(filler().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  // In ever smaller pieces, down to the last block.
  for (std::size_t bytes = 1U << 20U; bytes > 0; bytes /= 2) {
    const std::string piece(bytes, 'f');
    while (::write(file.get(), piece.data(), piece.size()) > 0) {
    }
  }
}

void SmallDisk::make_room() const { ::unlink(filler().c_str()); }

}  // namespace parley::fault
