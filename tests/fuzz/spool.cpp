// A spool file with anything in it: it is refused, or what it offers are whole records, and it goes
// on working. Then a good one with some bytes changed: nothing is offered that was not written.

#include "core/spool.hpp"

#include <array>
#include <cstring>
#include <map>
#include <vector>

#include "core/crc32c.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

using Memory = std::vector<std::byte>;
constexpr std::size_t ring_bytes = 512;
constexpr Spool::BootMark boot{1};
constexpr std::array<std::size_t, 2> slots = {512, 1'024};  // commit marks, in the header page

void check_entries(const Spool& spool) {
  IngestNo last = 0;
  std::uint64_t position = 0;
  std::uint64_t bytes = 0;
  for (const auto& entry : spool.entries()) {
    require(entry.ingest_no > last && entry.position >= position, "records stand in order");
    require(entry.position % spool.capacity() + entry.length <= spool.capacity(),
            "a record lies within the ring");
    last = entry.ingest_no;
    position = entry.position;
    bytes += entry.length;
    volatile char sum = 0;
    for (const char byte : spool.read(entry)) sum = static_cast<char>(sum + byte);
  }
  require(spool.next() > last, "the next number is new");
  require(bytes <= spool.used_bytes() && spool.used_bytes() <= spool.capacity(), "bytes add up");
}

/// Opens it, uses it, opens it again: what is in it stays in it.
void use(Memory& memory, fuzz::Input& input) {
  auto opened = Spool::open(memory, boot);
  if (!opened) return;
  check_entries(*opened);
  std::map<IngestNo, std::string> kept;
  for (const auto& entry : opened->entries()) kept[entry.ingest_no] = opened->read(entry);
  for (int i = 0; i < 12 && !input.empty(); ++i) {
    const auto choice = input.byte();
    if (choice % 3 == 0) {
      const IngestNo first = opened->oldest() + input.byte() % 8;
      const link::Commit commit{opened->oldest() + input.byte() % 4 - 1,
                                {{first, first + input.byte() % 4}}};
      opened->release(commit, [&](const Spool::Entry& entry) {
        require(kept.erase(entry.ingest_no) == 1, "only what is there goes, and once");
      });
    } else {
      const std::string record(choice, static_cast<char>(choice));
      const auto number = opened->append(record, Spool::Reserve::use);
      if (number) kept[*number] = record;
    }
    check_entries(*opened);
  }
  const IngestNo next = opened->next();
  auto again = Spool::open(memory, boot);
  require(again.has_value(), "what was open opens again");
  check_entries(*again);
  require(again->next() >= next, "numbers are not given twice");
  std::map<IngestNo, std::string> found;
  for (const auto& entry : again->entries()) found[entry.ingest_no] = again->read(entry);
  for (const auto& [number, record] : kept) {
    require(found.contains(number) && found[number] == record, "what was kept is there");
  }
}

/// Makes the check sums of the header good again, so that what is behind them is looked at.
void repair(Memory& memory) {
  const auto sum = [&](std::size_t from, std::size_t bytes) {
    const std::uint32_t crc = crc32c({reinterpret_cast<const char*>(memory.data()) + from, bytes});
    std::memcpy(memory.data() + from + bytes, &crc, sizeof crc);
  };
  sum(0, 32);
  for (const std::size_t slot : slots) sum(slot, 32);
}

/// Input: a byte of options, then (offset, byte) pairs for the header, then bytes for the ring.
void check_anything(fuzz::Input& input) {
  Memory memory(Spool::header_bytes + ring_bytes);
  Spool::format(memory, 9);
  const auto options = input.byte();
  for (int i = options % 16; i > 0; --i) {
    const auto at = input.byte();
    const std::size_t offset = at < 48 ? at : slots[at % 2] + at % 40;
    memory[offset] = static_cast<std::byte>(input.byte());
  }
  if ((options & 0x80U) == 0) repair(memory);
  const auto ring = input.text();
  std::memcpy(memory.data() + Spool::header_bytes, ring.data(), ring.size());
  use(memory, input);
}

/// A life, then some bytes of the ring change: what is still offered was written.
void check_damage(fuzz::Input& input) {
  Memory memory(Spool::header_bytes + ring_bytes);
  Spool::format(memory, 9);
  std::map<IngestNo, std::string> written;
  {
    auto spool = Spool::open(memory, boot);
    require(spool.has_value(), "a new one opens");
    for (int i = input.byte() % 32; i > 0; --i) {
      const auto choice = input.byte();
      if (choice % 4 == 0) {
        spool->release({spool->oldest(), {}}, [](const Spool::Entry&) {});
        continue;
      }
      const std::string record(choice % 64, static_cast<char>(choice));
      const auto number = spool->append(record, Spool::Reserve::keep);
      if (number) written[*number] = record;
    }
  }
  for (int i = input.byte() % 16; i > 0; --i) {
    const auto at = Spool::header_bytes + input.number(2) % ring_bytes;
    memory[at] ^= static_cast<std::byte>(input.byte());
  }
  {
    const auto spool = Spool::open(memory, boot);
    require(spool.has_value(), "damage in the ring does not close it");
    for (const auto& entry : spool->entries()) {
      const auto known = written.find(entry.ingest_no);
      require(known != written.end() && known->second == spool->read(entry),
              "nothing is offered that was not written");
    }
  }
  use(memory, input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  if (input.byte() % 2 == 0) {
    check_anything(input);
  } else {
    check_damage(input);
  }
  return 0;
}
