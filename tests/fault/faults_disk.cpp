// Disks that are full, and a spool that is not what it was.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

namespace {

constexpr std::size_t header_bytes = 4096;
constexpr std::size_t version_offset = 8;  // behind the magic letters

Kind needs_disk(Kind kind, SmallDisk& (*disk)(Arena&)) {
  kind.obstacle = [disk](const Arena& arena) { return disk(const_cast<Arena&>(arena)).missing(); };
  return kind;
}

SmallDisk& database_disk(Arena& arena) { return arena.database_disk(); }
SmallDisk& spool_disk(Arena& arena) { return arena.spool_disk(); }

void add_full_disks(std::vector<Kind>& all) {
  all.push_back(needs_disk(simple(
                               "database_disk_full", "the disk under PostgreSQL is full",
                               Part::database, [](Arena& arena) { arena.database_disk().fill(); },
                               [](Arena& arena) {
                                 arena.database_disk().make_room();
                                 // It may have given up: without room for its log it stops.
                                 if (!arena.postgres().running()) arena.postgres().start();
                               }),
                           database_disk));
  all.push_back(
      needs_disk(simple(
                     "spool_disk_full",
                     "the disk under the spool is full, and the broker is killed", Part::broker,
                     [](Arena& arena) {
                       arena.spool_disk().fill();
                       arena.instance().broker().kill();
                       arena.instance().broker().start();
                     },
                     [](Arena& arena) { arena.spool_disk().make_room(); }),
                 spool_disk));
}

/// The spool's file is spoiled while the broker is down; what only it had is gone.
class SpoiledSpool : public Fault {
 public:
  using Spoil = std::function<void(Arena&, const std::string& path)>;
  explicit SpoiledSpool(Spoil spoil) : spoil_{std::move(spoil)} {}
  void strike(Arena& arena) override {
    // Something has to lie in it: without a worker everything stays.
    arena.instance().worker().kill();
  }
  void heal(Arena& arena) override {
    arena.instance().broker().kill();
    arena.void_now();
    spoil_(arena, arena.spool_folder() + "/spool");
    arena.instance().broker().start();
    arena.instance().worker().start();
    for (const auto& entry : std::filesystem::directory_iterator{arena.spool_folder()}) {
      if (entry.path().extension() == ".bad") std::filesystem::remove(entry.path());
    }
  }

 private:
  Spoil spoil_;
};

using Bytes = std::uint64_t;

void flip_bit(int file, Bytes at, std::uint64_t chance) {
  unsigned char byte = 0;
  if (::pread(file, &byte, 1, static_cast<off_t>(at)) != 1) return;
  byte = static_cast<unsigned char>(byte ^ (1U << (chance % 8)));
  if (::pwrite(file, &byte, 1, static_cast<off_t>(at)) != 1) return;
}

/// Flips some bits of [from, to) in bytes that hold something.
void flip_bits(Arena& arena, const std::string& path, Bytes from, Bytes to, int count) {
  constexpr int tries = 200'000;
  const test::Descriptor file{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
  for (int i = 0; i < tries && count > 0; ++i) {
    const Bytes at = from + arena.chance() % (to - from);
    unsigned char byte = 0;
    if (::pread(file.get(), &byte, 1, static_cast<off_t>(at)) != 1 || byte == 0) continue;
    flip_bit(file.get(), at, arena.chance());
    --count;
  }
}

Kind spoiled(const std::string& name, const std::string& what, SpoiledSpool::Spoil spoil) {
  Kind kind;
  kind.name = name;
  kind.what = what;
  kind.part = Part::broker;
  kind.pairs = false;
  kind.make = [spoil = std::move(spoil)] { return std::make_unique<SpoiledSpool>(spoil); };
  return kind;
}

void add_spoiled_spools(std::vector<Kind>& all) {
  all.push_back(spoiled("spool_truncated", "the spool's file is cut short",
                        [](Arena& arena, const std::string& path) {
                          const auto bytes = std::filesystem::file_size(path);
                          std::filesystem::resize_file(path, arena.chance() % bytes);
                        }));
  all.push_back(spoiled(
      "spool_header_bits", "bits in the head of the spool's file are flipped",
      [](Arena& arena, const std::string& path) { flip_bits(arena, path, 0, header_bytes, 3); }));
  all.push_back(spoiled("spool_record_bits", "bits of the spool's records are flipped",
                        [](Arena& arena, const std::string& path) {
                          flip_bits(arena, path, header_bytes, std::filesystem::file_size(path),
                                    20);
                        }));
  all.push_back(spoiled("spool_version", "the spool's file is one of another version",
                        [](Arena&, const std::string& path) {
                          const test::Descriptor file{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
                          flip_bit(file.get(), version_offset, 1);
                        }));
}

}  // namespace

void add_disk_kinds(std::vector<Kind>& all) {
  add_full_disks(all);
  add_spoiled_spools(all);
}

}  // namespace parley::fault
