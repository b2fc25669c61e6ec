#include "tools/parley/bench.hpp"
namespace parley::cli {
Outcome<Figures> bench_fanout(Bench&) { return Figures{}; }
Outcome<Figures> bench_room(Bench&) { return Figures{}; }
Outcome<Figures> bench_mixed(Bench&) { return Figures{}; }
Outcome<Figures> bench_connect(Bench&) { return Figures{}; }
Outcome<Figures> bench_sync(Bench&) { return Figures{}; }
}  // namespace parley::cli
