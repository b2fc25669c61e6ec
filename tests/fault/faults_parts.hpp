// How the kinds of faults are put together; only for faults*.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/fault/faults.hpp"

namespace parley::fault {

/// A fault out of two functions.
class Simple : public Fault {
 public:
  using Step = std::function<void(Arena&)>;
  Simple(Step strike, Step heal) : strike_{std::move(strike)}, heal_{std::move(heal)} {}
  void strike(Arena& arena) override { strike_(arena); }
  void heal(Arena& arena) override { heal_(arena); }

 private:
  Step strike_;
  Step heal_;
};

inline Kind simple(std::string name, std::string what, Part part, Simple::Step strike,
                   Simple::Step heal) {
  Kind kind;
  kind.name = std::move(name);
  kind.what = std::move(what);
  kind.part = part;
  kind.make = [strike = std::move(strike), heal = std::move(heal)] {
    return std::make_unique<Simple>(strike, heal);
  };
  return kind;
}

inline Kind alone(Kind kind) {
  kind.pairs = false;
  return kind;
}

inline void nothing(Arena&) {}

/// Waits for what a fault needs; false if it does not come.
bool wait_until(test::Milliseconds time, const std::function<bool()>& holds);

void add_process_kinds(std::vector<Kind>& all);
void add_client_kinds(std::vector<Kind>& all);
void add_wire_kinds(std::vector<Kind>& all);
void add_clock_kinds(std::vector<Kind>& all);
void add_disk_kinds(std::vector<Kind>& all);
void add_point_kinds(std::vector<Kind>& all);

}  // namespace parley::fault
