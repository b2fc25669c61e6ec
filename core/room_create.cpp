#include "core/room_create.hpp"

#include <nlohmann/json.hpp>
#include <set>

namespace parley {

std::string plain_room_create(const std::string& request, std::string_view creator) {
  auto json = nlohmann::json::parse(request);
  if (json.value("history", std::string{}).empty()) json["history"] = "all";
  if (json.value("join", std::string{}).empty()) json["join"] = "invite";
  const auto named = json.value("members", std::vector<std::string>{});
  std::set<std::string, std::less<>> members{named.begin(), named.end()};
  if (const auto himself = members.find(creator); himself != members.end()) members.erase(himself);
  json["members"] = members;
  return json.dump();
}

}  // namespace parley
