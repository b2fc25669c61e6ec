// The kinds of faults: what each does to a running instance, and how it is undone.
#pragma once

#include <functional>
#include <memory>
#include <random>
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
};

struct Kind {
  std::string name;
  std::string what;  // one line for people
  Part part = Part::worker;
  bool pairs = true;  // may happen together with another one
  std::function<std::unique_ptr<Fault>()> make;
};

/// All kinds, in a fixed order.
const std::vector<Kind>& kinds();
/// @return null if there is none of that name
const Kind* find_kind(const std::string& name);

}  // namespace parley::fault
