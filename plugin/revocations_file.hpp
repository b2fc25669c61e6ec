// The revocation list as a file: a broker that starts without a worker still knows it.
#pragma once

#include <string>
#include <vector>

#include "core/link.hpp"
#include "core/result.hpp"
#include "core/revocations.hpp"

namespace parley::plugin {

class RevocationsFile {
 public:
  /// Reads `<state_dir>/generations`. A damaged one counts as missing: then tokens of a generation
  /// above 0 are refused until the worker has told the list.
  static Result<RevocationsFile, std::string> open(const std::string& state_dir,
                                                   std::vector<std::string>& said);

  [[nodiscard]] const Revocations& list() const { return list_; }
  /// Takes over a part of the list and writes the file.
  void update(const std::vector<link::Generation>& some, bool first, bool last);
  /// Writes again what could not be written. Once per second.
  void retry();

 private:
  explicit RevocationsFile(std::string path) : path_{std::move(path)} {}
  void write();

  std::string path_;
  Revocations list_;
  bool parts_open_ = false;
  bool unwritten_ = false;
};

}  // namespace parley::plugin
