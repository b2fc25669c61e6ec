// Who takes part: users, rooms, and their clients, from patient phones to forgetful sensors.
#pragma once

#include <string>
#include <vector>

#include "tests/fault/client.hpp"

namespace parley::fault {

struct Population {
  std::vector<std::string> users;
  std::vector<std::pair<std::string, std::vector<std::string>>> rooms;
  std::vector<ClientSpec> clients;  // without tokens
  std::vector<bool> send_only;      // by client: its token has scope send alone

  [[nodiscard]] Membership membership() const;
};

/// @param sends_per_s  of all clients together
Population populate(double sends_per_s);

}  // namespace parley::fault
