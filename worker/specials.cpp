#include "worker/specials.hpp"

#include <utility>

#include "core/code.hpp"

namespace parley {

void Specials::carry_out(const Asked& asked, OutcomeDone done) {
  const auto& name = asked.method->name;
  if (name == "search") {
    search(needs_.database, needs_.resolver, needs_.search_configuration, asked.asker, asked.json,
           std::move(done));
  } else if (name == "mentions") {
    mentions(needs_.database, asked.asker, asked.json, std::move(done));
  } else {
    done({std::string{to_string(Code::unknown_method)}, "this server does not know it", "{}"});
  }
}

}  // namespace parley
