#include "core/session_feeds.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

namespace parley {
namespace {

constexpr std::size_t head_bytes = sizeof(std::uint32_t) + sizeof(std::uint16_t);  // of a filter

}  // namespace

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

SessionFeeds::SessionFeeds(const SessionFeeds& other)
    : filters_{other.filters_},
      base_{other.base_ ? std::make_unique<Sum>(*other.base_) : nullptr},
      mask_{other.mask_},
      last_asked_no_{other.last_asked_no_} {}

SessionFeeds& SessionFeeds::operator=(SessionFeeds other) noexcept {
  filters_.swap(other.filters_);
  base_.swap(other.base_);
  mask_ = other.mask_;
  last_asked_no_ = other.last_asked_no_;
  return *this;
}

// ---- filters, packed ----

std::size_t SessionFeeds::Filter::end() const { return at + head_bytes + rest.size(); }

/// Nothing behind the last.
std::optional<SessionFeeds::Filter> SessionFeeds::filter_at(std::size_t at) const {
  if (at >= filters_.size()) return std::nullopt;
  Filter filter;
  filter.at = at;
  std::uint16_t size = 0;
  std::memcpy(&filter.asked_no, filters_.data() + at, sizeof(filter.asked_no));
  std::memcpy(&size, filters_.data() + at + sizeof(filter.asked_no), sizeof(size));
  filter.rest = std::string_view{filters_}.substr(at + head_bytes, size);
  return filter;
}

std::optional<SessionFeeds::Filter> SessionFeeds::find(std::string_view rest) const {
  auto filter = filter_at(0);
  while (filter && filter->rest != rest) filter = filter_at(filter->end());
  return filter;
}

std::size_t SessionFeeds::filters() const {
  std::size_t count = 0;
  for (auto filter = filter_at(0); filter; filter = filter_at(filter->end())) ++count;
  return count;
}

void SessionFeeds::ask(const Filter& filter, std::uint32_t asked_no) {
  std::memcpy(filters_.data() + filter.at, &asked_no, sizeof(asked_no));
}

void SessionFeeds::keep(std::string_view rest, std::uint32_t asked_no) {
  if (rest.size() > std::numeric_limits<std::uint16_t>::max() || filters() >= filters_max) {
    count({0, asked_no, rest}, base());
    return;
  }
  const auto size = static_cast<std::uint16_t>(rest.size());
  std::array<char, head_bytes> head{};
  std::memcpy(head.data(), &asked_no, sizeof(asked_no));
  std::memcpy(head.data() + sizeof(asked_no), &size, sizeof(size));
  filters_.append(head.data(), head.size()).append(rest);
}

// ---- what they mean ----

void SessionFeeds::count(const Filter& filter, Sum& sum) {
  const FilterGrant grant = grant_of(filter.rest);
  sum.add(grant.feeds, grant.inbox_all, grant.inbox_conv);
  if (!grant.state.empty()) sum.add_state(grant.state, filter.asked_no);
}

SessionFeeds::Sum SessionFeeds::sum() const {
  Sum sum = base_ ? *base_ : Sum{};
  for (auto filter = filter_at(0); filter; filter = filter_at(filter->end())) count(*filter, sum);
  return sum;
}

SessionFeeds::Sum& SessionFeeds::base() {
  if (!base_) base_ = std::make_unique<Sum>();
  return *base_;
}

SessionFeeds::Change SessionFeeds::add(const FilterGrant& grant) {
  if (grant.feeds == 0) return Change::none;
  const auto known = find(grant.rest);
  if (known && grant.state.empty()) return Change::none;
  if (known) {  // asks for its snapshot again; what is subscribed stays the same
    ask(*known, ++last_asked_no_);
    return Change::changed;
  }
  const Sum before = sum();
  keep(grant.rest, grant.state.empty() ? 0 : ++last_asked_no_);
  return change_since(before);
}

SessionFeeds::Change SessionFeeds::remove(std::string_view rest) {
  const auto gone = find(rest);
  if (!gone) return Change::none;
  const Sum before = sum();
  filters_.erase(gone->at, gone->end() - gone->at);
  return change_since(before);
}

SessionFeeds::Change SessionFeeds::adopt(const SessionFeeds& former) {
  const Sum before = sum();
  for (auto filter = former.filter_at(0); filter; filter = former.filter_at(filter->end())) {
    if (find(filter->rest)) continue;
    keep(filter->rest, grant_of(filter->rest).state.empty() ? 0 : ++last_asked_no_);
  }
  if (former.base_) {
    base().add(former.base_->feeds, former.base_->inbox_all, {});
    for (const auto& conv : former.base_->convs) base().add(0, false, conv);
    for (const auto& state : former.base_->states) base().add_state(state.filter, ++last_asked_no_);
  }
  return change_since(before);
}

SessionFeeds::Change SessionFeeds::assume_all() {
  const Sum before = sum();
  base().add(feed::all_but_state, true, {});
  return change_since(before);
}

SessionFeeds::Change SessionFeeds::ask_state_again() {
  if ((mask_ & feed::state) == 0) return Change::none;
  const Sum before = sum();
  for (auto filter = filter_at(0); filter; filter = filter_at(filter->end())) {
    if (!grant_of(filter->rest).state.empty()) ask(*filter, ++last_asked_no_);
  }
  if (base_) {
    for (auto& state : base_->states) state.asked_no = ++last_asked_no_;
  }
  return change_since(before);
}

SessionFeeds::Change SessionFeeds::change_since(const Sum& before) {
  const Sum now = sum();
  mask_ = now.feeds;
  if (now == before) return Change::none;

  const auto begins = [&](std::uint32_t feeds) {
    return (now.feeds & feeds) != 0 && (before.feeds & feeds) == 0;
  };
  const bool wider = (before.feeds & feed::inbox_any) != 0 && !before.inbox_all &&
                     (now.inbox_all || !std::includes(before.convs.begin(), before.convs.end(),
                                                      now.convs.begin(), now.convs.end()));
  const bool more = begins(feed::content_any) || begins(feed::inbox_any) || wider;
  return more ? Change::resync : Change::changed;
}

}  // namespace parley
