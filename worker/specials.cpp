#include "worker/specials.hpp"

#include <utility>

#include "core/code.hpp"
#include "worker/issue_token.hpp"

namespace parley {
namespace {
constexpr std::size_t of_user_max = 2;  // one under way, and one that waits
}

void Specials::carry_out(const Asked& asked, sql::OutcomeDone done) {
  const auto& name = asked.method->name;
  if (name == "search" || name == "mentions") {
    add_search(asked, std::move(done));
  } else if (name == "token.issue") {
    issue_token(needs_.database, needs_.config.broker, asked.asker, asked.json, std::move(done));
  } else if (name == "me.export") {
    needs_.exports.begin(asked.asker, asked.to, asked.id, asked.session_no, asked.wanted,
                         std::move(done));
  } else {
    done(sql::refusal(Code::unknown_method, "this server does not know it"));
  }
}

void Specials::add_search(const Asked& asked, sql::OutcomeDone done) {
  const auto of_user = searches_of_.find(asked.asker.user);
  if (of_user != searches_of_.end() && of_user->second >= of_user_max) {
    done(sql::refusal(Code::busy, "one search after the other"));
    return;
  }
  ++searches_of_[asked.asker.user];
  searches_.push_back({asked, std::move(done)});
  next_search();
}

void Specials::next_search() {
  while (!searching_ && !searches_.empty()) {
    auto next = std::move(searches_.front());
    searches_.pop_front();
    const auto user = next.asked.asker.user;
    if (!next.asked.wanted()) {  // it was answered TIMEOUT
      forget_search(user);
      next.done(sql::refusal(Code::timeout, "it took too long"));
      continue;
    }
    searching_ = true;
    run_search(next.asked, [this, user, done = std::move(next.done)](const sql::Outcome& outcome) {
      searching_ = false;
      forget_search(user);
      done(outcome);
      next_search();
    });
  }
}

void Specials::forget_search(UserId user) {
  const auto of_user = searches_of_.find(user);
  if (--of_user->second == 0) searches_of_.erase(of_user);
}

void Specials::run_search(const Asked& asked, sql::OutcomeDone done) {
  if (asked.method->name == "search") {
    search(needs_.slow, needs_.resolver, needs_.config.search.configuration, asked.asker,
           asked.json, std::move(done));
  } else {
    mentions(needs_.slow, asked.asker, asked.json, std::move(done));
  }
}

}  // namespace parley
