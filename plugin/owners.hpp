// The lasting part of core/client_owners as a file: lines are appended as things change, and the
// file is written anew at start. A torn line is left out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/client_owners.hpp"
#include "core/result.hpp"

namespace parley::plugin {

class OwnersFile {
 public:
  /// Reads `<state_dir>/owners`, or makes it.
  /// @param said  gets a log line for everything unusual
  static Result<OwnersFile, std::string> open(const std::string& state_dir,
                                              std::vector<std::string>& said);
  OwnersFile(OwnersFile&& other) noexcept;
  OwnersFile& operator=(OwnersFile&&) = delete;
  ~OwnersFile();

  ClientOwners& owners() { return owners_; }

  /// One of our users has shown a valid token.
  void learn_name(const SharedText& name);
  /// One of the broker's other clients has logged in.
  /// @param clean  its session begins without a past: nothing of it need be kept
  void saw_foreign(std::string_view client_id, bool clean);

 private:
  OwnersFile(std::string path, ClientOwners owners)
      : path_{std::move(path)}, owners_{std::move(owners)} {}
  Result<void, std::string> rewrite();
  void append(char sort, std::string_view text);

  std::string path_;
  ClientOwners owners_;
  int file_ = -1;
  std::size_t lines_ = 0;
  bool broken_ = false;  // it could not be written: said once
};

}  // namespace parley::plugin
