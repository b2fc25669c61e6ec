// The spool alone, in a small ring, killed at any instruction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace parley::sim {

/// @return what was violated; nothing if all is well
std::optional<std::string> run_spool_life(std::uint64_t seed);

}  // namespace parley::sim
