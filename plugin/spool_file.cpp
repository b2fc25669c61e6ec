#include "plugin/spool_file.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

namespace parley::plugin {
namespace {

constexpr std::size_t bytes_per_mib = 1024 * 1024;
constexpr std::size_t unreadable_kept_max = 3;
constexpr std::string_view spool_name = "spool";
constexpr std::string_view unreadable_suffix = ".bad";

std::string reason(const std::string& what, const std::string& path, int error) {
  return what + " " + path + ": " + std::generic_category().message(error);
}

/// A file descriptor that closes itself.
class File {
 public:
  File(const std::string& path, int flags) : fd_{::open(path.c_str(), flags | O_CLOEXEC, 0600)} {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool ok() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Spool::BootMark read_boot_mark() {
  Spool::BootMark mark{};
  const File file{"/proc/sys/kernel/random/boot_id", O_RDONLY};
  std::array<char, 36> text{};
  if (!file.ok() || ::read(file.fd(), text.data(), text.size()) != ssize_t{text.size()}) {
    return mark;
  }
  crypto_generichash(mark.data(), mark.size(), reinterpret_cast<const unsigned char*>(text.data()),
                     text.size(), nullptr, 0);
  return mark;
}

Result<std::byte*, std::string> map(const File& file, std::size_t bytes, const std::string& path) {
  // Read in at once: the first touch of a page must not cost the broker a wait for the disk.
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.fd(), 0);
  if (memory == MAP_FAILED) return failed(reason("cannot map", path, errno));
  return static_cast<std::byte*>(memory);
}

std::string unreadable_path(const std::string& state_dir, std::int64_t number) {
  return state_dir + "/" + std::string{spool_name} + "." + std::to_string(number) +
         std::string{unreadable_suffix};
}

/// The numbers of the spools that were moved aside there, the oldest first.
std::vector<std::int64_t> unreadable_ones(const std::string& state_dir) {
  std::vector<std::int64_t> numbers;
  std::error_code error;
  std::filesystem::directory_iterator entry{state_dir, error};
  for (; !error && entry != std::filesystem::directory_iterator{}; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with(spool_name) || !name.ends_with(unreadable_suffix)) continue;
    const char* const first = name.data() + spool_name.size() + 1;
    const char* const last = name.data() + name.size() - unreadable_suffix.size();
    std::int64_t number = 0;
    if (first < last && std::from_chars(first, last, number).ptr == last) {
      numbers.push_back(number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

/// Each is as large as a spool: somebody may want to look into the newest ones, and a disk that
/// spoils them again and again must not be filled.
void delete_oldest(const std::string& state_dir, std::vector<std::string>& said) {
  const auto numbers = unreadable_ones(state_dir);
  for (std::size_t i = 0; i + unreadable_kept_max < numbers.size(); ++i) {
    const std::string path = unreadable_path(state_dir, numbers[i]);
    const bool gone = ::unlink(path.c_str()) == 0;
    said.push_back(gone ? "event=spool_deleted path=" + path + " note=\"the newest " +
                              std::to_string(unreadable_kept_max) + " unreadable ones are kept\""
                        : "event=spool_not_deleted err=\"" + reason("cannot delete", path, errno) +
                              "\"");
  }
}

}  // namespace

Result<StateLock, std::string> StateLock::take(const std::string& state_dir) {
  if (::mkdir(state_dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return failed(reason("cannot make", state_dir, errno));
  }
  const std::string path = state_dir + "/lock";
  File file{path, O_RDWR | O_CREAT};
  if (!file.ok()) return failed(reason("cannot open", path, errno));
  if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    return failed(errno == EWOULDBLOCK ? state_dir + " is in use by another broker or listener"
                                       : reason("cannot lock", path, errno));
  }
  return StateLock{file.release()};
}

StateLock::StateLock(StateLock&& other) noexcept : file_{std::exchange(other.file_, -1)} {}
StateLock::~StateLock() {
  if (file_ >= 0) ::close(file_);
}

SpoolFile::SpoolFile(SpoolFile&& other) noexcept
    : memory_{std::exchange(other.memory_, nullptr)},
      bytes_{other.bytes_},
      spool_{std::move(other.spool_)} {}

SpoolFile::~SpoolFile() {
  spool_.reset();
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

Result<SpoolFile, std::string> SpoolFile::open_existing(const std::string& path) {
  const File file{path, O_RDWR};
  struct stat status {};
  if (!file.ok() || ::fstat(file.fd(), &status) != 0) {
    return failed(reason("cannot open", path, errno));
  }
  std::array<std::byte, Spool::header_bytes> header{};
  if (::pread(file.fd(), header.data(), header.size(), 0) != ssize_t{header.size()}) {
    return failed<std::string>("no header");
  }
  const auto found = Spool::inspect(header);
  if (!found) return failed(found.error());
  const std::size_t bytes = Spool::header_bytes + found->capacity;
  if (static_cast<std::size_t>(status.st_size) < bytes) return failed<std::string>("cut short");
  // Holes of a copied file would be a SIGBUS on a full disk.
  if (const int error = ::posix_fallocate(file.fd(), 0, static_cast<off_t>(bytes)); error != 0) {
    return failed(reason("cannot allocate", path, error));
  }
  const auto memory = map(file, bytes, path);
  if (!memory) return failed(memory.error());
  auto spool = Spool::open({*memory, bytes}, read_boot_mark());
  if (!spool) {
    ::munmap(*memory, bytes);
    return failed(spool.error());
  }
  return SpoolFile{*memory, bytes, std::move(*spool)};
}

Result<SpoolFile, std::string> SpoolFile::create(const std::string& path, std::size_t mib) {
  const std::string fresh = path + ".new";
  const std::size_t bytes = Spool::header_bytes + mib * bytes_per_mib;
  {
    const File file{fresh, O_RDWR | O_CREAT | O_TRUNC};
    if (!file.ok()) return failed(reason("cannot make", fresh, errno));
    if (const int error = ::posix_fallocate(file.fd(), 0, static_cast<off_t>(bytes)); error != 0) {
      ::unlink(fresh.c_str());
      return failed(reason("cannot allocate", fresh, error));
    }
    const auto memory = map(file, bytes, fresh);
    if (!memory) return failed(memory.error());
    std::uint64_t spool_id = 0;
    while (spool_id == 0) randombytes_buf(&spool_id, sizeof spool_id);
    Spool::format({*memory, bytes}, spool_id);
    ::munmap(*memory, bytes);
    if (::fsync(file.fd()) != 0) return failed(reason("cannot write", fresh, errno));
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) {
    return failed(reason("cannot rename", fresh, errno));
  }
  return open_existing(path);
}

Result<SpoolFile, std::string> SpoolFile::open(const std::string& state_dir, std::size_t mib,
                                               std::int64_t now_s, std::vector<std::string>& said) {
  const std::string path = state_dir + "/" + std::string{spool_name};
  if (::access(path.c_str(), F_OK) != 0) return create(path, mib);
  auto existing = open_existing(path);
  if (!existing) {
    if (existing.error().starts_with("cannot ")) return existing;  // the disk, not the content
    // The newest has the highest number, also when the clock stands still or goes back.
    const auto others = unreadable_ones(state_dir);
    const auto number = others.empty() ? now_s : std::max(now_s, others.back() + 1);
    const std::string aside = unreadable_path(state_dir, number);
    if (std::rename(path.c_str(), aside.c_str()) != 0) {
      return failed(reason("cannot move aside", path, errno));
    }
    said.push_back("event=spool_unreadable err=\"" + existing.error() + "\" moved_to=" + aside +
                   " note=\"accepted messages in it that were not stored are lost\"");
    delete_oldest(state_dir, said);
    return create(path, mib);
  }
  const Spool& spool = existing->spool();
  if (spool.dropped_tail()) said.emplace_back("event=spool_tail_dropped");
  if (spool.leapt())
    said.emplace_back("event=spool_after_reboot next=" + std::to_string(spool.next()));
  if (spool.capacity() != mib * bytes_per_mib) {
    if (spool.entries().empty()) return create(path, mib);
    said.push_back("event=spool_size_kept bytes=" + std::to_string(spool.capacity()) +
                   " note=\"spool_mib changes when it is empty at a start\"");
  }
  return existing;
}

}  // namespace parley::plugin
