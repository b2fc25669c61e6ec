#include "tests/support/clock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

namespace parley::test {

SteppedClock::SteppedClock() {
  // A copy: PostgreSQL's user may not be let into the build's folder.
  std::filesystem::copy_file(PARLEY_CLOCK_SHIM, folder_.file("clock_shim.so"));
  ::chmod(folder_.file("clock_shim.so").c_str(), 0755);
  write_file(folder_.file("offset"), std::string(sizeof(std::int64_t), '\0'), 0644);
}

void SteppedClock::set(std::chrono::nanoseconds offset) {
  offset_ = offset;
  const std::int64_t ns = offset.count();
  const Descriptor file{::open(folder_.file("offset").c_str(), O_WRONLY | O_CLOEXEC)};
  if (::pwrite(file.get(), &ns, sizeof ns, 0) != ssize_t{sizeof ns}) {
    throw std::runtime_error("the clock's file");
  }
}

std::vector<std::pair<std::string, std::string>> SteppedClock::environment() const {
  return {{"LD_PRELOAD", folder_.file("clock_shim.so")},
          {"PARLEY_CLOCK_FILE", folder_.file("offset")},
          {"ASAN_OPTIONS", "detect_leaks=0:verify_asan_link_order=0"}};
}

}  // namespace parley::test
