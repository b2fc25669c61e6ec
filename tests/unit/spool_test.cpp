#include "core/spool.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace parley;

namespace {

constexpr Spool::BootMark boot_a = {1};
constexpr Spool::BootMark boot_b = {2};

/// A spool's memory, which can be kept from one "process" to the next.
struct Memory {
  explicit Memory(std::size_t ring_bytes, std::uint64_t id = 77)
      : words(Spool::header_bytes / 8 + ring_bytes / 8) {
    Spool::format(span(), id);
  }
  std::span<std::byte> span() {
    return {reinterpret_cast<std::byte*>(words.data()), words.size() * 8};
  }
  Spool open(const Spool::BootMark& boot = boot_a) {
    auto spool = Spool::open(span(), boot);
    REQUIRE_MESSAGE(spool.has_value(), spool.error());
    return std::move(*spool);
  }
  std::vector<std::uint64_t> words;  // 8-aligned, as a mapping is
};

std::optional<IngestNo> put(Spool& spool, std::string_view record) {
  return spool.append(record, Spool::Reserve::keep);
}

std::vector<IngestNo> release(Spool& spool, const link::Commit& commit) {
  std::vector<IngestNo> gone;
  spool.release(commit, [&](const Spool::Entry& entry) { gone.push_back(entry.ingest_no); });
  return gone;
}

std::vector<std::string> contents(const Spool& spool) {
  std::vector<std::string> all;
  for (const auto& entry : spool.entries()) {
    if (!entry.released) all.emplace_back(spool.read(entry));
  }
  return all;
}

using Numbers = std::vector<IngestNo>;
using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("spool: records survive the process, in order and with their numbers") {
  Memory memory{4096};
  {
    Spool spool = memory.open();
    CHECK(spool.next() == 1);
    CHECK(put(spool, "one") == 1);
    CHECK(put(spool, "") == 2);
    CHECK(put(spool, std::string("three\0!", 7)) == 3);
  }
  const Spool again = memory.open();
  CHECK(again.spool_id() == 77);
  CHECK(contents(again) == Texts{"one", "", std::string("three\0!", 7)});
  CHECK(again.oldest() == 1);
  CHECK(again.next() == 4);
  CHECK_FALSE(again.dropped_tail());
  CHECK_FALSE(again.leapt());
}

TEST_CASE("spool: a commit releases up to the mark and the ranges above it, each record once") {
  Memory memory{4096};
  Spool spool = memory.open();
  for (int i = 1; i <= 12; ++i) put(spool, "record " + std::to_string(i));
  CHECK(release(spool, {2, {{4, 5}, {8, 9}}}) == Numbers{4, 5, 8, 9, 1, 2});
  CHECK(spool.oldest() == 3);
  CHECK(release(spool, {2, {{4, 5}, {7, 10}}}) == Numbers{7, 10});
  CHECK(release(spool, {2, {{4, 10}}}) == Numbers{6});
  CHECK(contents(spool) == Texts{"record 3", "record 11", "record 12"});
  CHECK(release(spool, {3, {}}) == Numbers{3});
  CHECK(spool.oldest() == 11);
  CHECK(release(spool, {1'000, {{500, 600}}}) == Numbers{11, 12});
  CHECK(spool.oldest() == 13);
  CHECK(spool.used_bytes() == 0);
  CHECK(put(spool, "next") == 13);
}

TEST_CASE("spool: numbers that do not exist are ignored in a commit") {
  Memory memory{4096};
  Spool spool = memory.open();
  CHECK(release(spool, {99, {{0, 5}, {7, 3}, {UINT64_MAX, UINT64_MAX}}}).empty());
  CHECK(put(spool, "a") == 1);
  CHECK(release(spool, {0, {{0, 0}, {2, UINT64_MAX}}}).empty());
  CHECK(release(spool, {0, {{0, UINT64_MAX}}}) == Numbers{1});
  CHECK(spool.next() == 2);
}

TEST_CASE("spool: the next process begins at the commit mark and offers the ranges again") {
  Memory memory{4096};
  {
    Spool spool = memory.open();
    for (int i = 1; i <= 6; ++i) put(spool, std::to_string(i));
    release(spool, {2, {{4, 5}}});
  }
  Spool again = memory.open();
  CHECK(contents(again) == Texts{"3", "4", "5", "6"});
  release(again, {6, {}});
  const Spool empty = memory.open();
  CHECK(empty.entries().empty());
  CHECK(empty.next() == 7);
}

TEST_CASE("spool: it takes records until it is full, and refusals a little longer") {
  Memory memory{8192};
  Spool spool = memory.open();
  const std::string record(100, 'x');
  std::size_t kept = 0;
  while (put(spool, record)) ++kept;
  CHECK(spool.used_bytes() <= 8192 * 19 / 20);
  std::size_t refusals = 0;
  while (spool.append("refused", Spool::Reserve::use)) ++refusals;
  CHECK(refusals >= 5);
  CHECK(spool.used_bytes() <= 8192);
  CHECK_FALSE(put(spool, ""));
  // Nothing of it was damaged.
  const Spool again = memory.open();
  CHECK(again.entries().size() == kept + refusals);
  release(spool, {1, {}});
  CHECK_FALSE(put(spool, record));  // the reserve fills up first
  release(spool, {10, {}});
  CHECK(put(spool, record));
}

TEST_CASE("spool: a record that can never fit is full, too") {
  Memory memory{4096};
  Spool spool = memory.open();
  CHECK_FALSE(put(spool, std::string(5'000, 'x')));
  CHECK(put(spool, "small") == 1);
}

TEST_CASE("spool: a ring used for long is always whole") {
  Memory memory{2048};
  std::mt19937 random{20261121};
  std::deque<std::string> expected;
  IngestNo oldest = 1;
  IngestNo next = 1;
  Spool spool = memory.open();
  for (int step = 0; step < 20'000; ++step) {
    const auto dice = random() % 100;
    if (dice < 60) {
      std::string record(random() % 300, static_cast<char>('a' + random() % 26));
      if (put(spool, record)) {
        expected.push_back(std::move(record));
        ++next;
      }
    } else if (dice < 98) {
      if (expected.empty()) continue;
      const auto count = 1 + random() % expected.size();
      release(spool, {oldest + count - 1, {}});
      expected.erase(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(count));
      oldest += count;
    } else {
      spool = memory.open();  // the process was killed
    }
    REQUIRE(spool.next() == next);
    REQUIRE(spool.oldest() == (expected.empty() ? next : oldest));
    REQUIRE(contents(spool) == Texts{expected.begin(), expected.end()});
  }
}

TEST_CASE("spool: a kill at any moment of an append leaves whole records only") {
  Memory memory{1024};
  Spool spool = memory.open();
  // So that the record to be torn wraps around the end of the ring.
  for (int i = 0; i < 8; ++i) put(spool, std::string(80, 'o'));
  release(spool, {6, {}});
  const auto before = memory.words;
  Spool writer = memory.open();
  REQUIRE(put(writer, std::string(150, 'n')) == 9);
  const auto after = memory.words;
  std::vector<std::size_t> changed;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] != after[i]) changed.push_back(i);
  }
  REQUIRE(changed.size() > 18);
  // Any subset of the words may have arrived; the header's last word is what makes a record. Each
  // word missing on its own, and everything up to each word.
  for (std::size_t missing = 0; missing < changed.size(); ++missing) {
    for (const bool prefix : {false, true}) {
      memory.words = after;
      for (std::size_t i = 0; i < changed.size(); ++i) {
        if (prefix ? i >= missing : i == missing) memory.words[changed[i]] = before[changed[i]];
      }
      Spool found = memory.open();
      REQUIRE(found.oldest() == 7);
      const auto count = found.entries().size();
      REQUIRE((count == 2 || (count == 3 && contents(found)[2] == std::string(150, 'n'))));
      // And it goes on from there.
      REQUIRE(put(found, "later").has_value());
      REQUIRE(contents(memory.open()).back() == "later");
    }
  }
}

TEST_CASE("spool: a damaged record ends what is taken up, and nothing behind it comes back") {
  Memory memory{4096};
  {
    Spool spool = memory.open();
    for (int i = 1; i <= 4; ++i) put(spool, "record " + std::to_string(i));
  }
  // One bit in the second record's bytes (the header is 24 bytes, the first record 24 + 8).
  memory.words[Spool::header_bytes / 8 + 4 + 3] ^= 1;
  Spool found = memory.open();
  CHECK(found.dropped_tail());
  CHECK(contents(found) == Texts{"record 1"});
  CHECK(put(found, "RECORD 2") == 2 + Spool::leap);  // of the same length: the third follows it
  CHECK(contents(memory.open()) == Texts{"record 1", "RECORD 2"});
}

TEST_CASE("spool: a record whose position has changed is no end while others stand behind it") {
  Memory memory{4096};
  {
    Spool spool = memory.open();
    for (int i = 1; i <= 4; ++i) put(spool, "record " + std::to_string(i));
  }
  memory.words[Spool::header_bytes / 8 + 4 + 2] ^= 1ULL << 20U;  // the second one's position
  Spool found = memory.open();
  CHECK(found.dropped_tail());
  CHECK(contents(found) == Texts{"record 1"});
  CHECK(put(found, "RECORD 2") == 2 + Spool::leap);
  const Spool again = memory.open();
  CHECK(contents(again) == Texts{"record 1", "RECORD 2"});
  CHECK_FALSE(again.dropped_tail());
}

TEST_CASE("spool: a damaged record where the ring begins again is found damaged once") {
  Memory memory{128};
  {
    Spool spool = memory.open();
    put(spool, std::string(48, 'a'));
    put(spool, std::string(24, 'b'));  // ends at 120: no header fits behind it
    release(spool, {1, {}});
    CHECK(put(spool, std::string(24, 'c')) == 3);
  }
  memory.words[Spool::header_bytes / 8 + 3] ^= 1;  // of the third one's bytes
  const IngestNo next = memory.open().next();
  CHECK(next > 3);
  const Spool again = memory.open();
  CHECK_FALSE(again.dropped_tail());
  CHECK(again.next() == next);
  CHECK(contents(again) == Texts{std::string(24, 'b')});
}

TEST_CASE("spool: after the operating system went down no number is used twice") {
  Memory memory{4096};
  {
    Spool spool = memory.open(boot_a);
    put(spool, "one");
    put(spool, "two");
  }
  {
    Spool spool = memory.open(boot_b);
    CHECK(spool.leapt());
    CHECK(contents(spool) == Texts{"one", "two"});
    CHECK(spool.next() == 3 + Spool::leap);
    release(spool, {2, {}});
  }
  {
    Spool spool = memory.open(boot_b);  // the leap lasts, though no record shows it
    CHECK_FALSE(spool.leapt());
    CHECK(put(spool, "three") == 3 + Spool::leap);
  }
  const Spool again = memory.open(boot_b);
  CHECK(contents(again) == Texts{"three"});
  CHECK(again.next() == 4 + Spool::leap);
}

TEST_CASE("spool: what another spool left in the memory is not taken for a record") {
  Memory memory{4096, 1};
  {
    Spool spool = memory.open();
    put(spool, "of the old one");
  }
  Spool::format(memory.span(), 2);
  CHECK(memory.open().entries().empty());
}

TEST_CASE("spool: a header that is not one is refused with a reason") {
  Memory memory{4096};
  CHECK(Spool::inspect(memory.span())->capacity == 4096);
  CHECK_FALSE(Spool::inspect(memory.span().first(100)).has_value());
  CHECK_FALSE(Spool::open(memory.span().first(Spool::header_bytes + 2048), boot_a).has_value());
  auto damaged = memory;
  damaged.words[0] ^= 1;  // magic
  CHECK(Spool::open(damaged.span(), boot_a).error() == "not a spool");
  damaged = memory;
  damaged.words[1] ^= 2;  // version
  CHECK(Spool::open(damaged.span(), boot_a).error().starts_with("version"));
  damaged = memory;
  damaged.words[3] ^= 1 << 20;  // capacity
  CHECK(Spool::open(damaged.span(), boot_a).error() == "damaged header");
  damaged = memory;
  damaged.words[512 / 8] ^= 0xFF00;
  CHECK(Spool::open(damaged.span(), boot_a).has_value());  // the other mark is whole
  damaged.words[1024 / 8] ^= 0xFF00;
  CHECK(Spool::open(damaged.span(), boot_a).error() == "damaged commit mark");
}
