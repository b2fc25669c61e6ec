// How repeats are recognised: short keys and hashes of what a client asked for.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/ids.hpp"
#include "core/wire.hpp"

namespace parley {

/// Names one request of one sender in one conversation.
using RequestKey = std::array<unsigned char, 16>;
/// What a request says: two with the same key and different hashes are in conflict.
using RequestHash = std::array<unsigned char, 16>;

/// The key of a request that has an id.
RequestKey request_key_of_id(std::string_view id);
/// The key of a request without id: where it lies in its spool, big endian, so that only its own
/// replay has it. Not hashed; it cannot be chosen by a client.
RequestKey request_key_of_origin(std::uint64_t spool_id, IngestNo ingest_no);
/// Of everything that makes two messages the same or not; the format is not part of it.
RequestHash request_hash(const Content& content, std::uint32_t ttl_s);

}  // namespace parley
