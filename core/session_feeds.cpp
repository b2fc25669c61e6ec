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

SessionFeeds::Change SessionFeeds::add(std::string_view filter, const FilterGrant& grant) {
  if (grant.feeds == 0) return Change::none;
  const auto same = [filter](const Filter& known) { return known.text == filter; };
  if (std::any_of(filters_.begin(), filters_.end(), same)) return Change::none;
  if (filters_.size() < filters_max) {
    filters_.push_back(
        {std::string{filter}, grant.feeds, grant.inbox_all, std::string{grant.inbox_conv}});
  } else {
    base_.add(grant.feeds, grant.inbox_all, grant.inbox_conv);
  }
  return recount();
}

SessionFeeds::Change SessionFeeds::remove(std::string_view filter) {
  const auto gone = std::erase_if(filters_, [filter](const Filter& f) { return f.text == filter; });
  return gone == 0 ? Change::none : recount();
}

SessionFeeds::Change SessionFeeds::adopt(const SessionFeeds& former) {
  for (const Filter& filter : former.filters_) {
    const auto same = [&](const Filter& known) { return known.text == filter.text; };
    if (std::any_of(filters_.begin(), filters_.end(), same)) continue;
    if (filters_.size() < filters_max) {
      filters_.push_back(filter);
    } else {
      base_.add(filter.feeds, filter.inbox_all, filter.inbox_conv);
    }
  }
  base_.add(former.base_.feeds, former.base_.inbox_all, {});
  for (const auto& conv : former.base_.convs) base_.add(0, false, conv);
  return recount();
}

SessionFeeds::Change SessionFeeds::assume_all() {
  base_.add(feed::all_but_state, true, {});
  return recount();
}

SessionFeeds::Change SessionFeeds::recount() {
  Sum now = base_;
  for (const Filter& filter : filters_) now.add(filter.feeds, filter.inbox_all, filter.inbox_conv);
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
