#include "core/request.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "tests/unit/golden.hpp"

namespace parley {
namespace {

template <class Bytes>
std::string hex(const Bytes& bytes) {
  return test::to_hex(std::string{bytes.begin(), bytes.end()});
}

}  // namespace

TEST_CASE("request: the key of an id is a fixed hash, stored for ever") {
  // BLAKE2b-128 of "id", NUL and the id, computed with another implementation.
  CHECK(hex(request_key_of_id("nightly-2026-11-21")) == "7dbe8d4c4eb812204e97141b8a8daef6");
  CHECK(hex(request_key_of_id("1")) == "614955cc8f72f20ed5ebe15a2424aa51");
  CHECK(request_key_of_id("1") != request_key_of_id("2"));
}

TEST_CASE("request: the key of an origin is the origin itself") {
  CHECK(hex(request_key_of_origin(0x0102030405060708, 0xF1F2F3F4F5F6F7F8)) ==
        "0102030405060708f1f2f3f4f5f6f7f8");
  CHECK(hex(request_key_of_origin(0, 1)) == "00000000000000000000000000000001");
}

TEST_CASE("request: everything that a message says changes its hash") {
  const Content base{"text", "hi", "a/b", "body", 1, {"bob"}, {Attachment{}}};
  std::vector<Content> all(17, base);
  all[1].kind = "media";
  all[2].text = "ho";
  all[3].content_type = "a/c";
  all[4].body = "bodY";
  all[5].reply_to = 2;
  all[6].mentions = {"eve"};
  all[7].attachments.clear();
  all[8].attachments[0].name = "n";
  all[9].attachments[0].content_type = "n";
  all[10].attachments[0].size = 1;
  all[11].attachments[0].url = "n";
  all[12].attachments[0].sha256 = "n";
  all[13].attachments[0].width = 1;
  all[14].attachments[0].height = 1;
  all[15].attachments[0].duration_ms = 1;
  all[16].attachments[0].preview = "n";
  std::set<RequestHash> hashes;
  for (const Content& content : all) {
    CHECK(request_hash(content, 0) == request_hash(content, 0));
    hashes.insert(request_hash(content, 0));
  }
  hashes.insert(request_hash(base, 60));
  CHECK(hashes.size() == all.size() + 1);
}

TEST_CASE("request: parts of a message cannot run into each other") {
  const auto hash = [](Content content) { return request_hash(content, 0); };
  std::set<RequestHash> hashes = {
      hash({"ab", "c", "", "", 0, {}, {}}),
      hash({"a", "bc", "", "", 0, {}, {}}),
      hash({"a", "b", "", "c", 0, {}, {}}),
      hash({"a", "b", "c", "", 0, {}, {}}),
      hash({"a", "b", "", "", 0, {"c"}, {}}),
      hash({"a", "b", "", "", 0, {"c", ""}, {}}),
      hash({"a", "b", "", "", 0, {"", "c"}, {}}),
      hash({"a", "b", "", "", 0, {}, {Attachment{}}}),
      hash({"a", "b", "", "", 0, {}, {Attachment{}, Attachment{}}}),
  };
  CHECK(hashes.size() == 9);
}

}  // namespace parley
