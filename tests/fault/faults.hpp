// The kinds of faults: what each does to a running instance, and how it is undone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/fault/arena.hpp"

namespace parley::fault {

/// What a kind takes away, so that two of a pair do not get into each other's way.
enum class Part : std::uint8_t { worker, broker, database, clients };

/// A fault that is under way.
class Fault {
 public:
  virtual ~Fault() = default;
  virtual void strike(Arena& arena) = 0;
  /// Everything works again, or is about to.
  virtual void heal(Arena& arena) = 0;
  /// Whether it took place: some only lie in wait. Asked after healing.
  [[nodiscard]] virtual bool happened() const { return true; }
};

struct Kind {
  std::string name{};
  std::string what{};  // one line for people
  Part part = Part::worker;
  bool pairs = true;            // may happen together with another one
  bool fresh_instance = false;  // can happen only once to an instance
  std::function<std::unique_ptr<Fault>()> make{};
  /// Why it cannot be made in this instance; empty: it can.
  std::function<std::string(const Arena&)> obstacle{};
};

/// All kinds, in a fixed order.
const std::vector<Kind>& kinds();
/// @return null if there is none of that name
const Kind* find_kind(const std::string& name);

}  // namespace parley::fault
