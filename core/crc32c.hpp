// CRC-32C (Castagnoli), as in iSCSI (RFC 3720): notices torn records in files of our own.
#pragma once

#include <cstdint>
#include <string_view>

namespace parley {

/// @param seed  the result for what stands before `bytes`, to go on with it
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

}  // namespace parley
