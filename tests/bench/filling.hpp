// A database as it is after months of use: for measurements that mean something only then.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/postgres.hpp"

namespace parley::bench {

struct Filling {
  std::int64_t messages = 5'000'000;
};

/// Users n1, n2 … (one for fifty messages), conversations of two with 15 messages and rooms (room1
/// …) of fifty with 1,000 each, over five months; `someone`, who exists, is in 300 and 200 of them,
/// and in the room "big" with 5,000 others. Marks, reactions, edits, contacts and blocks; ANALYZE.
/// @param database  with Parley's schema, and nobody using it
void fill(test::Database& database, const Filling& filling, const std::string& someone);

}  // namespace parley::bench
