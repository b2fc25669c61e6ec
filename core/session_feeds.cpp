#include "core/session_feeds.hpp"

#include <algorithm>
#include <utility>

namespace parley {

void SessionFeeds::Sum::add(std::uint32_t more, bool all, std::string_view conv) {
  feeds |= more;
  if (all) inbox_all = true;
  if (!inbox_all && !conv.empty()) {
    const auto at = std::lower_bound(convs.begin(), convs.end(), conv);
    if (at == convs.end() || *at != conv) convs.emplace(at, conv);
    if (convs.size() > convs_max) inbox_all = true;
  }
  if (inbox_all) convs.clear();
}

void SessionFeeds::Sum::add_state(std::string_view filter, std::uint32_t asked_no) {
  if (states_all) filter = "#";
  const auto at =
      std::lower_bound(states.begin(), states.end(), filter,
                       [](const StateFilter& known, auto wanted) { return known.filter < wanted; });
  if (at != states.end() && at->filter == filter) {
    at->asked_no = std::max(at->asked_no, asked_no);
    return;
  }
  states.insert(at, {std::string{filter}, asked_no});
  if (states.size() <= states_max) return;
  states_all = true;
  StateFilter all{"#", 0};
  for (const auto& known : states) all.asked_no = std::max(all.asked_no, known.asked_no);
  states = {std::move(all)};
}

void SessionFeeds::count(const Filter& filter, Sum& sum) {
  sum.add(filter.feeds, filter.inbox_all, filter.inbox_conv);
  if (!filter.state.filter.empty()) sum.add_state(filter.state.filter, filter.state.asked_no);
}

void SessionFeeds::keep(Filter filter) {
  if (filters_.size() < filters_max) {
    filters_.push_back(std::move(filter));
  } else {
    count(filter, base_);
  }
}

SessionFeeds::Change SessionFeeds::add(std::string_view filter, const FilterGrant& grant) {
  if (grant.feeds == 0) return Change::none;
  const auto known = std::find_if(filters_.begin(), filters_.end(),
                                  [filter](const Filter& f) { return f.text == filter; });
  if (known == filters_.end()) {
    const std::uint32_t asked_no = grant.state.empty() ? 0 : ++last_asked_no_;
    keep({std::string{filter},
          grant.feeds,
          grant.inbox_all,
          std::string{grant.inbox_conv},
          {std::string{grant.state}, asked_no}});
  } else if (!grant.state.empty()) {
    known->state.asked_no = ++last_asked_no_;
  } else {
    return Change::none;
  }
  return recount();
}

SessionFeeds::Change SessionFeeds::remove(std::string_view filter) {
  const auto gone = std::erase_if(filters_, [filter](const Filter& f) { return f.text == filter; });
  return gone == 0 ? Change::none : recount();
}

SessionFeeds::Change SessionFeeds::adopt(const SessionFeeds& former) {
  for (Filter filter : former.filters_) {
    const auto same = [&](const Filter& known) { return known.text == filter.text; };
    if (std::any_of(filters_.begin(), filters_.end(), same)) continue;
    if (!filter.state.filter.empty()) filter.state.asked_no = ++last_asked_no_;
    keep(std::move(filter));
  }
  base_.add(former.base_.feeds, former.base_.inbox_all, {});
  for (const auto& conv : former.base_.convs) base_.add(0, false, conv);
  for (const auto& state : former.base_.states) base_.add_state(state.filter, ++last_asked_no_);
  return recount();
}

SessionFeeds::Change SessionFeeds::assume_all() {
  base_.add(feed::all_but_state, true, {});
  return recount();
}

SessionFeeds::Change SessionFeeds::ask_state_again() {
  for (Filter& filter : filters_) {
    if (!filter.state.filter.empty()) filter.state.asked_no = ++last_asked_no_;
  }
  for (auto& state : base_.states) state.asked_no = ++last_asked_no_;
  return recount();
}

SessionFeeds::Change SessionFeeds::recount() {
  Sum now = base_;
  for (const Filter& filter : filters_) count(filter, now);
  const Sum before = std::exchange(sum_, std::move(now));
  if (sum_ == before) return Change::none;

  const auto begins = [&](std::uint32_t feeds) {
    return (sum_.feeds & feeds) != 0 && (before.feeds & feeds) == 0;
  };
  const bool wider = (before.feeds & feed::inbox_any) != 0 && !before.inbox_all &&
                     (sum_.inbox_all || !std::includes(before.convs.begin(), before.convs.end(),
                                                       sum_.convs.begin(), sum_.convs.end()));
  const bool more = begins(feed::content_any) || begins(feed::inbox_any) || wider;
  return more ? Change::resync : Change::changed;
}

}  // namespace parley
