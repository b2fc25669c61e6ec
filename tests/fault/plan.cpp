#include "tests/fault/plan.hpp"

#include <algorithm>
#include <random>

namespace parley::fault {

namespace {

constexpr int pair_percent = 35;
constexpr int attempts_max = 10;  // to find one that goes with the first

/// The standard's distributions and shuffle differ between libraries; this does not.
std::uint64_t below(std::mt19937_64& random, std::uint64_t limit) { return random() % limit; }

void shuffle(std::vector<std::size_t>& order, std::mt19937_64& random) {
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(random, i)]);
}

/// Goes through all kinds in a new order each time.
class Deck {
 public:
  Deck(std::size_t size, std::mt19937_64& random) : size_{size}, random_{random} {}
  std::size_t draw() {
    if (left_.empty()) {
      for (std::size_t i = 0; i < size_; ++i) left_.push_back(i);
      shuffle(left_, random_);
    }
    const std::size_t drawn = left_.back();
    left_.pop_back();
    return drawn;
  }

 private:
  std::size_t size_;
  std::mt19937_64& random_;
  std::vector<std::size_t> left_;
};

}  // namespace

std::vector<PlannedRound> make_plan(const std::vector<Choice>& choices, int rounds,
                                    std::uint64_t seed, int round_ms) {
  std::mt19937_64 random{seed};
  Deck deck{choices.size(), random};
  std::vector<PlannedRound> plan;
  const auto part_of = [&](int percent) {
    const int most = std::max(1, round_ms * percent / 100);
    return most / 2 + static_cast<int>(below(random, static_cast<std::uint64_t>(most / 2 + 1)));
  };
  for (int number = 1; number <= rounds; ++number) {
    PlannedRound& round = plan.emplace_back();
    round.number = number;
    const Choice& first = choices[deck.draw()];
    round.kinds.push_back(first.name);
    if (first.pairs && below(random, 100) < pair_percent) {
      for (int attempt = 0; attempt < attempts_max && round.kinds.size() < 2; ++attempt) {
        const Choice& second = choices[below(random, choices.size())];
        if (second.pairs && second.part != first.part) round.kinds.push_back(second.name);
      }
    }
    round.before_ms = part_of(30);
    round.between_ms = round.kinds.size() > 1 ? part_of(20) : 0;
    round.hold_ms = part_of(40);
    round.after_ms = part_of(30);
    round.seed = random();
  }
  return plan;
}

std::string describe(const PlannedRound& round) {
  std::string text = "round " + std::to_string(round.number) + ":";
  for (const std::string& kind : round.kinds) text += " " + kind;
  return text + " (after " + std::to_string(round.before_ms) + " ms, held " +
         std::to_string(round.between_ms + round.hold_ms) + " ms)";
}

}  // namespace parley::fault
