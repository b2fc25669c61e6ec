#include "worker/specials.hpp"

#include <utility>

#include "core/code.hpp"
#include "worker/issue_token.hpp"

namespace parley {

void Specials::carry_out(const Asked& asked, sql::OutcomeDone done) {
  const auto& name = asked.method->name;
  if (name == "search") {
    search(needs_.database, needs_.resolver, needs_.config.search.configuration, asked.asker,
           asked.json, std::move(done));
  } else if (name == "mentions") {
    mentions(needs_.database, asked.asker, asked.json, std::move(done));
  } else if (name == "token.issue") {
    issue_token(needs_.database, needs_.config.broker, asked.asker, asked.json, std::move(done));
  } else if (name == "me.export") {
    needs_.exports.begin(asked.asker, asked.to, asked.id, asked.wanted, std::move(done));
  } else {
    done(sql::refusal(Code::unknown_method, "this server does not know it"));
  }
}

}  // namespace parley
