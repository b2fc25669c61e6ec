// Wall clocks that are set while everything runs, and a month that ends.
#include <chrono>

#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

namespace {

using std::chrono::hours;

enum class Whose : std::uint8_t { all, database };

void step(Arena& arena, Whose whose, hours by) {
  if (whose == Whose::all) arena.clock().step(by);
  arena.database_clock().step(by);
}

Kind stepped(const std::string& name, const std::string& what, Whose whose, hours by) {
  return simple(
      name, what, Part::clients, [whose, by](Arena& arena) { step(arena, whose, by); },
      [whose, by](Arena& arena) { step(arena, whose, -by); });
}

/// What is stored on both sides of it lies in two partitions.
class MonthEnd : public Fault {
 public:
  void strike(Arena& arena) override {
    const auto by = arena.month_end() - shortly_before - arena.clock().now();
    arena.clock().step(by);
    arena.database_clock().step(by);
  }
  void heal(Arena& arena) override {
    happened_ = wait_until(passes_within, [&] { return arena.clock().now() > arena.month_end(); });
  }
  [[nodiscard]] bool happened() const override { return happened_; }

 private:
  static constexpr std::chrono::milliseconds shortly_before{700};
  static constexpr test::Milliseconds passes_within{5'000};
  bool happened_ = false;
};

}  // namespace

void add_clock_kinds(std::vector<Kind>& all) {
  all.push_back(stepped("clock_forward", "the clock is an hour ahead, then right again", Whose::all,
                        hours{1}));
  all.push_back(stepped("clock_back", "the clock is an hour behind, then right again", Whose::all,
                        hours{-1}));
  all.push_back(stepped("database_clock_forward",
                        "PostgreSQL's clock is an hour ahead, then right again", Whose::database,
                        hours{1}));
  all.push_back(stepped("database_clock_back",
                        "PostgreSQL's clock is an hour behind, then right again", Whose::database,
                        hours{-1}));
  Kind month;
  month.name = "month_end";
  month.what = "a month ends under traffic";
  month.part = Part::clients;
  month.pairs = false;
  month.fresh_instance = true;
  month.make = [] { return std::make_unique<MonthEnd>(); };
  all.push_back(std::move(month));
}

}  // namespace parley::fault
