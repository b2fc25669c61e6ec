// Asking `do` and reading the answer.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tests/support/instance.hpp"

namespace parley::test {

/// Publishes a request as JSON and waits for its Reply ("re.json/+" must be subscribed).
nlohmann::json ask(Person& person, const std::string& method, const nlohmann::json& request);
/// The result of a good reply. @throw std::runtime_error with the reply if it is not good
nlohmann::json done(const nlohmann::json& reply);
/// The code of a refusal; what came instead if it is none.
std::string refused(const nlohmann::json& reply);

}  // namespace parley::test
