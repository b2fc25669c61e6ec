#include "plugin/owners.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <system_error>
#include <utility>

#include "plugin/broker.hpp"
#include "plugin/small_file.hpp"

namespace parley::plugin {
namespace {

constexpr std::size_t spare_lines_max =
    10'000;  // beside what lasts, before the file is written anew
constexpr std::size_t always_anew = std::numeric_limits<std::size_t>::max() / 2;

}  // namespace

OwnersFile::OwnersFile(OwnersFile&& other) noexcept
    : path_{std::move(other.path_)},
      owners_{std::move(other.owners_)},
      file_{std::exchange(other.file_, -1)},
      lines_{other.lines_} {}

OwnersFile::~OwnersFile() {
  if (file_ >= 0) ::close(file_);
}

Result<OwnersFile, std::string> OwnersFile::open(const std::string& state_dir,
                                                 std::vector<std::string>& said) {
  const std::string path = state_dir + "/owners";
  auto text = read_small_file(path);
  if (!text) return failed(text.error());
  ClientOwners owners;
  std::size_t damaged = 0;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    if (newline == std::string_view::npos || !owners.read_line(rest.substr(0, newline))) ++damaged;
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
  }
  if (damaged > 0) {
    said.push_back("event=owners_lines_damaged count=" + std::to_string(damaged));
  }
  OwnersFile file{path, std::move(owners)};
  if (auto written = file.rewrite(); !written) {
    // A full disk must not keep the broker down: what is known stays, and the next line tries again
    // to write everything anew.
    file.file_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file.file_ < 0) return failed(written.error());
    file.lines_ = always_anew;
    file.broken_ = true;
    said.push_back("event=owners_not_written err=\"" + written.error() + "\"");
  }
  return file;
}

Result<void, std::string> OwnersFile::rewrite() {
  if (auto written = replace_small_file(path_, owners_.render()); !written) return written;
  if (file_ >= 0) ::close(file_);
  file_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0)
    return failed("cannot open " + path_ + ": " + std::generic_category().message(errno));
  lines_ = owners_.lasting();
  return {};
}

void OwnersFile::append(char sort, std::string_view text) {
  const std::string line = ClientOwners::line(sort, text);
  bool written = ::write(file_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  // Also after a short write: what follows half a line would be lost with it.
  if (++lines_ > 2 * owners_.lasting() + spare_lines_max || !written) {
    written = rewrite().has_value();
  }
  if (!written && !broken_) log_error("event=owners_not_written file=" + quoted(path_));
  broken_ = !written;
}

void OwnersFile::learn_name(const SharedText& name) {
  if (owners_.learn_name(name)) append(ClientOwners::name_line, name.view());
}

void OwnersFile::saw_foreign(std::string_view client_id, bool clean) {
  if (client_id.empty()) return;
  if (clean) {
    if (owners_.forget_foreign_session(client_id)) append(ClientOwners::forget_line, client_id);
  } else {
    if (owners_.learn_foreign_session(client_id)) append(ClientOwners::foreign_line, client_id);
  }
}

}  // namespace parley::plugin
