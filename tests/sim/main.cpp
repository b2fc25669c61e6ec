// parley_sim: runs seeds; see tests/sim/README.md.

#include <malloc.h>
#include <sodium.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <random>
#include <string>

#include "tests/sim/clock.hpp"
#include "tests/sim/spool_life.hpp"
#include "tests/sim/world.hpp"
#include "worker/log.hpp"

namespace {

using parley::sim::Counts;

/// libsodium's chance, from the seed: session numbers and spool ids come from it.
std::mt19937_64& sodium_generator() {
  static std::mt19937_64 generator;
  return generator;
}
const char* sodium_name() { return "seeded"; }
std::uint32_t sodium_random() { return static_cast<std::uint32_t>(sodium_generator()()); }
void sodium_fill(void* memory, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    static_cast<unsigned char*>(memory)[i] = static_cast<unsigned char>(sodium_generator()());
  }
}

/// A folder in memory if the machine has one.
class Folder {
 public:
  Folder() {
    const char* const wanted = std::getenv("TMPDIR");
    std::string path = wanted != nullptr ? wanted : "/tmp";
    if (::access("/dev/shm", W_OK) == 0) path = "/dev/shm";
    path += "/parley-sim-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error{"cannot make " + path};
    path_ = path;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Options {
  std::uint64_t seeds = 1'000;
  std::uint64_t first = 1;
  bool verbose = false;
  std::size_t failures_max = 5;
};

/// One sort of simulation over all seeds.
/// @param run  what was violated by a seed; nothing if all is well
/// @return how many seeds failed
template <class Run>
std::uint64_t run_all(const char* name, const Options& options, Run&& run) {
  const double began = parley::sim::clock::real_seconds();
  std::uint64_t failed = 0;
  std::uint64_t run_seeds = 0;
  for (; run_seeds < options.seeds && failed < options.failures_max; ++run_seeds) {
    const std::uint64_t seed = options.first + run_seeds;
    sodium_generator().seed(seed);
    std::optional<std::string> violation;
    try {
      violation = run(seed);
    } catch (const std::exception& error) {
      violation = error.what();
    }
    if (!violation) continue;
    ++failed;
    std::printf("%s: seed %llu FAILED: %s\n", name, static_cast<unsigned long long>(seed),
                violation->c_str());
  }
  std::printf("%s: %llu seeds from %llu, %llu failed, %.1f s\n", name,
              static_cast<unsigned long long>(run_seeds),
              static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(failed), parley::sim::clock::real_seconds() - began);
  std::fflush(stdout);
  return failed;
}

void print(const Counts& sum) {
  const auto line = [](const char* name, std::uint64_t value) {
    std::printf(" %s=%llu", name, static_cast<unsigned long long>(value));
  };
  std::printf("system:");
  line("accepted", sum.accepted);
  line("stored", sum.stored);
  line("delivered", sum.delivered);
  line("delivered_again", sum.repeated);
  line("acks", sum.acks);
  line("not_taken", sum.busy);
  line("worker_kills", sum.worker_kills);
  line("broker_kills", sum.broker_kills);
  line("torn_crashes", sum.torn);
  line("cuts", sum.cuts);
  line("outages", sum.outages);
  line("frames_lost", sum.lost_frames);
  line("commits_in_doubt", sum.lost_answers);
  line("second_workers", sum.second_workers);
  line("fences_refused", sum.fences_refused);
  line("dropped", sum.dropped);
  std::printf("\n");
}

int run(const Options& options) {
  // Each worker's handshake makes frames of most of a MiB: their memory is kept.
  ::mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024);
  ::mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
  static randombytes_implementation chance{sodium_name, sodium_random, nullptr,
                                           nullptr,     sodium_fill,   nullptr};
  randombytes_set_implementation(&chance);
  if (sodium_init() < 0) return 1;
  parley::sim::verbose() = options.verbose;
  if (options.verbose) std::setvbuf(stdout, nullptr, _IOLBF, 0);
  parley::log::start(options.verbose ? "debug" : "off");
  const Folder folder;
  parley::sim::Surroundings surroundings{folder.path(), folder.path() + "/keys", {}};
  for (const bool service : {false, true}) {
    (void)surroundings.keys.add(parley::random_secret(), service, 1);
  }
  if (!parley::save_key_file(surroundings.key_file, surroundings.keys)) return 1;

  Counts sum;
  const std::uint64_t spool_failed = run_all("spool", options, parley::sim::run_spool_life);
  const std::uint64_t system_failed = run_all("system", options, [&](std::uint64_t seed) {
    parley::sim::World world{surroundings, seed};
    auto violation = world.run();
    sum += world.counts();
    return violation;
  });
  print(sum);
  const int bad = (spool_failed > 0 ? 1 : 0) + (system_failed > 0 ? 1 : 0);
  std::printf("[doctest] test cases: 2 | %d passed | %d failed | 0 skipped\n", 2 - bad, bad);
  return bad == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Runs the product in virtual time, with faults from a seed (tests/sim/README.md)."};
  app.add_option("--seeds", options.seeds, "How many seeds")->capture_default_str();
  app.add_option("--first", options.first, "The first one")->capture_default_str();
  app.add_flag("--verbose", options.verbose, "Print what happens");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
