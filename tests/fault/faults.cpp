#include "tests/fault/faults.hpp"

#include <poll.h>

#include <algorithm>

#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

bool wait_until(test::Milliseconds time, const std::function<bool()>& holds) {
  constexpr int look_every_ms = 5;
  const test::Deadline deadline{test::slowed(time)};
  while (!holds()) {
    if (deadline.passed()) return false;
    ::poll(nullptr, 0, look_every_ms);
  }
  return true;
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = [] {
    std::vector<Kind> made;
    add_process_kinds(made);
    add_client_kinds(made);
    add_wire_kinds(made);
    add_clock_kinds(made);
    add_disk_kinds(made);
    add_point_kinds(made);
    return made;
  }();
  return all;
}

const Kind* find_kind(const std::string& name) {
  const auto found = std::find_if(kinds().begin(), kinds().end(),
                                  [&](const Kind& kind) { return kind.name == name; });
  return found == kinds().end() ? nullptr : &*found;
}

}  // namespace parley::fault
