// Files that are read and replaced as a whole.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace parley::plugin {

/// Empty if there is no such file.
Result<std::string, std::string> read_small_file(const std::string& path);
/// Atomically: a reader, and a process killed at any time, sees the old or the new one. Not synced
/// to the disk, as the broker's thread must not wait for it.
Result<void, std::string> replace_small_file(const std::string& path, std::string_view text);

}  // namespace parley::plugin
