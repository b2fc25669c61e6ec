#include "plugin/revocations_file.hpp"

#include "plugin/broker.hpp"
#include "plugin/small_file.hpp"

namespace parley::plugin {

Result<RevocationsFile, std::string> RevocationsFile::open(const std::string& state_dir,
                                                           std::vector<std::string>& said) {
  RevocationsFile file{state_dir + "/generations"};
  const auto text = read_small_file(file.path_);
  if (!text) return failed(text.error());
  if (text->empty()) return file;
  auto list = Revocations::parse(*text);
  if (list) {
    file.list_ = std::move(*list);
  } else {
    said.emplace_back("event=generations_damaged note=\"revoked users wait for the worker\"");
  }
  return file;
}

void RevocationsFile::update(const std::vector<link::Generation>& some, bool first, bool last) {
  list_.update(some, first, last);
  // A long list comes in parts: it is written once, when it is whole.
  if (first) parts_open_ = true;
  if (last) parts_open_ = false;
  if (list_.known() && !parts_open_) write();
}

void RevocationsFile::retry() {
  if (unwritten_) write();
}

void RevocationsFile::write() {
  const auto written = replace_small_file(path_, list_.render());
  if (!written && !unwritten_)
    log_error("event=generations_not_written err=" + quoted(written.error()));
  unwritten_ = !written;
}

}  // namespace parley::plugin
