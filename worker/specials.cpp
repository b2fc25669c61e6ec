#include "worker/specials.hpp"

#include <utility>

#include "core/code.hpp"
#include "worker/issue_token.hpp"

namespace parley {
namespace {
constexpr std::size_t of_user_max = 16;  // with the one under way
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
    done(sql::refusal(Code::busy, "too many searches are waiting"));
    return;
  }
  ++searches_of_[asked.asker.user];
  auto& mine = searches_[asked.asker.user];
  if (mine.empty()) turns_.push_back(asked.asker.user);
  mine.push_back({asked, std::move(done)});
  next_search();
}

/// One of each user in turn: who asks for much does not keep the others waiting.
Specials::Search Specials::take_search() {
  const auto user = turns_.front();
  turns_.pop_front();
  const auto mine = searches_.find(user);
  auto next = std::move(mine->second.front());
  mine->second.pop_front();
  if (mine->second.empty()) {
    searches_.erase(mine);
  } else {
    turns_.push_back(user);
  }
  return next;
}

void Specials::next_search() {
  if (std::exchange(choosing_, true)) return;  // one that is answered at once calls again
  while (!searching_ && !turns_.empty()) {
    const auto next = take_search();
    const auto user = next.asked.asker.user;
    if (!next.asked.wanted()) {  // it was answered TIMEOUT
      forget_search(user);
      next.done(sql::refusal(Code::timeout, "it took too long"));
      continue;
    }
    searching_ = true;
    run_search(next.asked, [this, user, done = next.done](const sql::Outcome& outcome) {
      searching_ = false;
      forget_search(user);
      done(outcome);
      next_search();
    });
  }
  choosing_ = false;
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
