#include "core/receipt_rounds.hpp"

namespace parley {

ReceiptRounds::Telling ReceiptRounds::add(const Key& key, Receipt receipt,
                                          const std::vector<std::string>& to) {
  Telling now{std::make_shared<const Receipt>(std::move(receipt)), {}};
  for (const auto& name : to) {
    auto& user = users_[name];
    if (const auto known = user.waiting.find(key); known != user.waiting.end()) {
      known->second = now.receipt;
    } else if (user.given < at_once_max_) {
      ++user.given;
      now.to.push_back(name);
    } else if (waiting_ < waiting_max_) {
      user.waiting.emplace(key, now.receipt);
      ++waiting_;
    }
  }
  return now;
}

std::vector<ReceiptRounds::Telling> ReceiptRounds::next_round() {
  std::map<std::pair<Key, const Receipt*>, Telling> now;  // one delivery for all who are told alike
  for (auto one = users_.begin(); one != users_.end();) {
    auto& [name, user] = *one;
    user.given = 0;
    while (user.given < at_once_max_ && !user.waiting.empty()) {
      auto next = user.waiting.upper_bound(user.last);
      if (next == user.waiting.end()) next = user.waiting.begin();
      auto& telling = now[{next->first, next->second.get()}];
      telling.receipt = next->second;
      telling.to.push_back(name);
      user.last = next->first;
      user.waiting.erase(next);
      --waiting_;
      ++user.given;
    }
    one = user.given == 0 ? users_.erase(one) : std::next(one);
  }
  std::vector<Telling> tellings;
  tellings.reserve(now.size());
  for (auto& [key, telling] : now) tellings.push_back(std::move(telling));
  return tellings;
}

}  // namespace parley
