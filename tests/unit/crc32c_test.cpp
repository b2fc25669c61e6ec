#include "core/crc32c.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace parley;

TEST_CASE("crc32c: the examples of RFC 3720 B.4, and in parts") {
  CHECK(crc32c("123456789") == 0xE3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43U);
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending += static_cast<char>(i);
  CHECK(crc32c(ascending) == 0x46DD794EU);
  CHECK(crc32c("") == 0);
  for (std::size_t cut = 0; cut <= ascending.size(); ++cut) {
    const std::string_view all = ascending;
    CHECK(crc32c(all.substr(cut), crc32c(all.substr(0, cut))) == 0x46DD794EU);
  }
}
