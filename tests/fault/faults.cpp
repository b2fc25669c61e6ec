#include "tests/fault/faults.hpp"

#include <algorithm>

#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

bool wait_until(test::Milliseconds time, const std::function<bool()>& holds) {
  return test::comes_true(holds, test::Deadline{test::slowed(time)});
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
