#include "plugin/small_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace parley::plugin {
namespace {

std::string reason(const char* what, const std::string& path) {
  return std::string{what} + " " + path + ": " + std::generic_category().message(errno);
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Result<std::string, std::string> read_small_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return std::string{};
    return failed(reason("cannot open", path));
  }
  std::string text;
  std::array<char, 64 * 1024> part{};
  ssize_t got = 0;
  while ((got = ::read(file, part.data(), part.size())) > 0) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  const std::string error = got < 0 ? reason("cannot read", path) : std::string{};
  ::close(file);
  if (got < 0) return failed(error);
  return text;
}

Result<void, std::string> replace_small_file(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return failed(reason("cannot make", fresh));
  const bool written = write_all(file, text);
  const std::string error = written ? std::string{} : reason("cannot write", fresh);
  ::close(file);
  if (!written) return failed(error);
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return failed(reason("cannot rename", fresh));
  return {};
}

}  // namespace parley::plugin
