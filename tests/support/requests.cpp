#include "tests/support/requests.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace parley::test {

nlohmann::json ask(Person& person, const std::string& method, const nlohmann::json& request) {
  static int asked = 0;
  const std::string id = "q" + std::to_string(++asked);
  person.publish("do.json/" + method + "/" + id, request.dump());
  return nlohmann::json::parse(person.expect_text("re.json/" + id));
}

nlohmann::json done(const nlohmann::json& reply) {
  if (reply.at("ok") != true) throw std::runtime_error("not done: " + reply.dump());
  return reply.at("result");
}

std::string refused(const nlohmann::json& reply) {
  return reply.at("ok") == true ? "not refused: " + reply.dump()
                                : reply.at("code").get<std::string>();
}

}  // namespace parley::test
