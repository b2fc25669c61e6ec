#include "worker/state_topics.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "core/topic.hpp"
#include "core/wire.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {

constexpr std::int64_t people_again_ms = 5'000;
constexpr std::size_t batch_items_max = 200;
constexpr std::size_t batch_listings_max = 8;
constexpr std::int64_t retry_after_ms = 1'000;
constexpr std::int64_t busy_again_ms = 100;
constexpr std::string_view statement_timed_out = "57014";
const StateKey unread_key{StateKey::Kind::unread, {}, {}};

}  // namespace

StateTopics::StateTopics(asio::io_context& loop, Needs needs)
    : needs_{std::move(needs)}, timer_{loop}, items_max_{batch_items_max} {}

// ---- sessions ----

StateTopics::Viewer* StateTopics::find(SessionNo session_no) {
  const auto found = viewers_.find(session_no);
  return found == viewers_.end() ? nullptr : &found->second;
}

StateTopics::Viewer* StateTopics::find(SessionNo session_no, std::uint64_t id) {
  auto* const viewer = find(session_no);
  return viewer != nullptr && viewer->id == id ? viewer : nullptr;
}

void StateTopics::up(const link::Session& session) {
  if (session.state_filters.empty()) {
    drop(session.session_no);
    return;
  }
  auto [at, fresh] = viewers_.try_emplace(session.session_no);
  auto& viewer = at->second;
  if (fresh) {
    viewer.id = ++last_id_;
    viewer.user_id = session.user_id;
    viewer.user = session.user;
    by_user_[session.user_id].push_back(session.session_no);
  }
  viewer.wants = {};
  const auto seen = viewer.asked_no;
  for (const auto& state : session.state_filters) {
    viewer.wants.add(state.filter);
    if (state.asked_no > seen) viewer.asked.add(state.filter);
    viewer.asked_no = std::max(viewer.asked_no, state.asked_no);
  }
  schedule(session.session_no, viewer);
}

void StateTopics::drop(SessionNo session_no) {
  auto* const viewer = find(session_no);
  if (viewer == nullptr) return;
  watch(session_no, *viewer, {});
  for (const auto& [conversation, until] : viewer->muted_until) {
    unmutes_.erase({until, session_no, conversation});
  }
  if (viewer->due_at) due_.erase({*viewer->due_at, session_no});
  const auto of_user = by_user_.find(viewer->user_id);
  std::erase(of_user->second, session_no);
  if (of_user->second.empty()) by_user_.erase(of_user);
  viewers_.erase(session_no);
}

void StateTopics::clear() {
  viewers_.clear();
  by_user_.clear();
  watchers_.clear();
  due_.clear();
  unmutes_.clear();
  wait_for_ = 0;
}

std::vector<UserId> StateTopics::users() const {
  std::vector<UserId> users;
  users.reserve(by_user_.size());
  for (const auto& [user, sessions] : by_user_) users.push_back(user);
  return users;
}

// ---- what may have changed ----

template <class Fn>
void StateTopics::for_each_of(UserId user, Fn&& fn) {
  const auto found = by_user_.find(user);
  if (found == by_user_.end()) return;
  for (const auto session_no : found->second) fn(session_no, viewers_.at(session_no));
}

template <class Fn>
void StateTopics::for_each_of(std::string_view user, Fn&& fn) {
  for (const auto session_no : needs_.sessions.of(user)) {
    if (auto* const viewer = find(session_no)) fn(session_no, *viewer);
  }
}

void StateTopics::touch(SessionNo session_no, Viewer& viewer, const StateKey& key) {
  const auto now = mono_now();
  viewer.view.touch(key, now);
  // It is looked at before this could be told.
  if (viewer.due_at && viewer.due_at->value <= now.value + StateView::gather_ms) return;
  schedule(session_no, viewer);
}

void StateTopics::touch_conversation(SessionNo session_no, Viewer& viewer,
                                     ConversationId conversation) {
  if (viewer.wants.unread) touch(session_no, viewer, unread_key);
  if (viewer.wants.any_conv()) touch(session_no, viewer, StateKey::of(conversation));
}

void StateTopics::changed(const link::Session& session, const Conversation& conversation) {
  auto* const viewer = find(session.session_no);
  if (viewer == nullptr) return;
  if (viewer->wants.unread) touch(session.session_no, *viewer, unread_key);
  if (viewer->wants.conv(conv_for(conversation, session.user_id))) {
    touch(session.session_no, *viewer, StateKey::of(conversation.conversation));
  }
  if (!viewer->wants.any_person()) return;
  auto& version = viewer->versions[conversation.conversation];
  if (std::exchange(version, conversation.members_version) == conversation.members_version) return;
  viewer->people_anew = true;
  schedule(session.session_no, *viewer);
}

void StateTopics::changed(const link::Session& session) {
  auto* const viewer = find(session.session_no);
  if (viewer == nullptr) return;
  if (viewer->wants.unread) touch(session.session_no, *viewer, unread_key);
  viewer->people_anew = viewer->wants.any_person();
  schedule(session.session_no, *viewer);
}

void StateTopics::read(UserId user, ConversationId conversation) {
  for_each_of(user, [&](SessionNo session_no, Viewer& viewer) {
    touch_conversation(session_no, viewer, conversation);
  });
}

void StateTopics::contents_gone(const std::vector<sql::MemberOf>& where) {
  for (const auto& one : where) read(one.user, one.conversation);
}

/// What `viewer` may see of `about`, or whether he has to do with him at all.
void StateTopics::may_see_otherwise(std::string_view viewer, const std::string& about) {
  for_each_of(viewer, [&](SessionNo session_no, Viewer& one) {
    if (!one.wants.person(about)) return;
    one.people_anew = true;
    touch(session_no, one, StateKey::of(about));
  });
}

void StateTopics::requested(std::string_view method, const sql::Asker& asker,
                            ConversationId conversation, const std::string& request) {
  if (viewers_.empty()) return;
  if (method == "conv.mute") {
    read(asker.user, conversation);
  } else if (method == "me.set") {
    const auto found = watchers_.find(asker.name);
    if (found == watchers_.end()) return;
    for (const auto session_no : found->second) {
      touch(session_no, viewers_.at(session_no), StateKey::of(asker.name));
    }
  } else if (method.starts_with("contact.") || method.starts_with("block.")) {
    const auto other = nlohmann::json::parse(request).value("user", std::string{});
    if (other.empty()) return;
    may_see_otherwise(asker.name, other);
    may_see_otherwise(other, asker.name);
  }
}

void StateTopics::presence(const std::vector<Presence::Change>& changes) {
  for (const auto& change : changes) {
    const auto found = watchers_.find(change.user);
    if (found == watchers_.end()) continue;
    for (const auto session_no : found->second) {
      auto& viewer = viewers_.at(session_no);
      if (viewer.wants.person(change.user)) {
        touch(session_no, viewer, StateKey::of(change.user));
      }
    }
  }
}

void StateTopics::watch(SessionNo session_no, Viewer& viewer,
                        std::set<std::string, std::less<>> names) {
  for (const auto& name : viewer.watched) {
    if (names.contains(name)) continue;
    const auto found = watchers_.find(name);
    found->second.erase(session_no);
    if (found->second.empty()) watchers_.erase(found);
  }
  for (const auto& name : names) {
    if (!viewer.watched.contains(name)) watchers_[name].insert(session_no);
  }
  viewer.watched = std::move(names);
}

void StateTopics::remember_mute(SessionNo session_no, Viewer& viewer, ConversationId conversation,
                                std::optional<UnixMillis> until) {
  const auto known = viewer.muted_until.find(conversation);
  if (known != viewer.muted_until.end()) {
    if (known->second == until) return;
    unmutes_.erase({known->second, session_no, conversation});
    viewer.muted_until.erase(known);
  }
  if (!until || *until <= wall_now()) return;
  viewer.muted_until[conversation] = *until;
  unmutes_.insert({*until, session_no, conversation});
}

void StateTopics::every_second() {
  const auto now = wall_now();
  while (!unmutes_.empty() && std::get<0>(*unmutes_.begin()) <= now) {
    const auto [until, session_no, conversation] = *unmutes_.begin();
    unmutes_.erase(unmutes_.begin());
    auto& viewer = viewers_.at(session_no);
    viewer.muted_until.erase(conversation);
    touch(session_no, viewer, StateKey::of(conversation));
  }
}

// ---- when it is told ----

void StateTopics::schedule(SessionNo session_no, Viewer& viewer) {
  const auto now = mono_now();
  auto due = viewer.view.due(now);
  const auto sooner = [&due](MonoMillis at) { due = due ? std::min(*due, at) : at; };
  if (!viewer.asked.nothing()) sooner(now);
  if (viewer.people_anew) sooner({viewer.people_at.value + people_again_ms});
  if (due == viewer.due_at) return;
  if (viewer.due_at) due_.erase({*viewer.due_at, session_no});
  viewer.due_at = due;
  if (due) due_.insert({*due, session_no});
  arm();
}

void StateTopics::arm() {
  if (busy_ || wait_for_ != 0 || due_.empty()) return;
  const auto at = std::max(due_.begin()->first, not_before_);
  if (armed_for_ && *armed_for_ <= at) return;
  armed_for_ = at;
  const auto wait_ms = std::max<std::int64_t>(at.value - mono_now().value, 0);
  timer_.expires_after(std::chrono::milliseconds{wait_ms});
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    armed_for_.reset();
    run();
  });
}

void StateTopics::applied() {
  if (wait_for_ == 0 || wait_for_ > needs_.plugin.applied_total()) return;
  wait_for_ = 0;
  arm();
}

void StateTopics::run() {
  const auto now = mono_now();
  if (busy_ || wait_for_ != 0) return;
  if (needs_.plugin.congested()) {
    not_before_ = {now.value + busy_again_ms};
    arm();
    return;
  }
  const auto batch = std::make_shared<const Batch>(gather(now));
  if (batch->listings.empty() && batch->items() == 0) {
    arm();
    return;
  }
  auto queries = queries_of(*batch);
  if (queries.empty()) {
    answered(*batch, {});
    arm();
    return;
  }
  busy_ = true;
  needs_.database.submit(std::move(queries), [this, batch](auto result) {
    busy_ = false;
    if (result) {
      answered(*batch, *result);
      items_max_ = std::min(items_max_ * 2, batch_items_max);
    } else {
      failed(*batch, result.error());
    }
    arm();
    needs_.turn();
  });
}

StateTopics::Batch StateTopics::gather(MonoMillis now) {
  Batch batch;
  while (!due_.empty() && due_.begin()->first <= now && batch.items() < items_max_ &&
         batch.listings.size() < batch_listings_max) {
    const auto session_no = due_.begin()->second;
    auto& viewer = viewers_.at(session_no);
    add_listing(batch, session_no, viewer, now);
    for (auto& key : viewer.view.take(now, items_max_ - batch.items())) {
      auto& items = key.kind == StateKey::Kind::unread         ? batch.totals
                    : key.kind == StateKey::Kind::conversation ? batch.conversations
                                                               : batch.people;
      items.push_back({session_no, viewer.id, viewer.user_id, std::move(key)});
    }
    schedule(session_no, viewer);
    if (items_max_ < batch_items_max) break;  // it failed: those who are no part of it come through
  }
  return batch;
}

void StateTopics::add_listing(Batch& batch, SessionNo session_no, Viewer& viewer, MonoMillis now) {
  const bool anew = viewer.people_anew && viewer.people_at.value + people_again_ms <= now.value;
  if (viewer.asked.nothing() && !anew) return;
  Listing listing{session_no, viewer.id, viewer.user_id, std::exchange(viewer.asked, {}), anew};
  listing.people = viewer.wants.all_people && (anew || listing.asked.all_people);
  listing.conversations =
      listing.asked.all_convs || (listing.asked.any_person() && viewer.versions.empty());
  if (anew || listing.people) {
    viewer.people_anew = false;
    viewer.people_at = now;
  }
  batch.listings.push_back(std::move(listing));
}

std::vector<PgQuery> StateTopics::queries_of(const Batch& batch) {
  std::vector<PgQuery> queries;
  for (const auto& listing : batch.listings) {
    const auto& convs = listing.asked.convs;
    if (listing.conversations) {
      queries.push_back(sql::newest_conversations(listing.user_id, state_conversations_max));
    }
    if (!convs.empty()) {
      queries.push_back(sql::conversations_named(listing.user_id, {convs.begin(), convs.end()}));
    }
    if (listing.people) queries.push_back(sql::people_of(listing.user_id, state_people_max));
  }
  if (!batch.totals.empty()) {
    std::vector<UserId> users;
    for (const auto& item : batch.totals) users.push_back(item.user_id);
    queries.push_back(sql::unread_totals(users));
  }
  if (!batch.conversations.empty()) {
    std::vector<sql::MemberOf> wanted;
    for (const auto& item : batch.conversations) {
      wanted.push_back({item.user_id, item.key.conversation});
    }
    queries.push_back(sql::conversation_states(wanted));
  }
  if (!batch.people.empty()) {
    std::vector<sql::PresenceOf> wanted;
    for (const auto& item : batch.people) wanted.push_back({item.user_id, item.key.person});
    queries.push_back(sql::presences(wanted));
  }
  return queries;
}

void StateTopics::failed(const Batch& batch, const PgFault& fault) {
  log::warn("event=state_failed sqlstate={} err={}", fault.sqlstate, log::quoted(fault.what));
  // Too much at once; or one of them is: then the others come through.
  if (fault.sqlstate == statement_timed_out) items_max_ = std::max<std::size_t>(1, items_max_ / 4);
  const auto now = mono_now();
  not_before_ = {now.value + retry_after_ms};
  for (const auto& listing : batch.listings) {
    auto* const viewer = find(listing.session_no, listing.id);
    if (viewer == nullptr) continue;
    viewer->asked.add(listing.asked);
    viewer->people_anew = viewer->people_anew || listing.anew;
    schedule(listing.session_no, *viewer);
  }
  for (const auto* items : {&batch.totals, &batch.conversations, &batch.people}) {
    for (const auto& item : *items) {
      auto* const viewer = find(item.session_no, item.id);
      if (viewer == nullptr) continue;
      viewer->view.put_back(item.key, now);
      schedule(item.session_no, *viewer);
    }
  }
}

// ---- what the database said ----

void StateTopics::answered(const Batch& batch, const std::vector<PgRows>& results) {
  std::size_t next = 0;
  for (const auto& listing : batch.listings) listed(listing, results, next);
  if (!batch.totals.empty()) totals(batch.totals, results.at(next++));
  if (!batch.conversations.empty()) conversations(batch.conversations, results.at(next++));
  if (!batch.people.empty()) people(batch.people, results.at(next++));
}

void StateTopics::listed(const Listing& listing, const std::vector<PgRows>& results,
                         std::size_t& next) {
  std::vector<sql::SeenConversation> newest;
  std::vector<sql::SeenConversation> named;
  std::vector<std::string> related;
  if (listing.conversations) newest = sql::seen_conversations_of(results.at(next++));
  if (!listing.asked.convs.empty()) named = sql::seen_conversations_of(results.at(next++));
  if (listing.people) related = sql::names_of(results.at(next++));
  auto* const viewer = find(listing.session_no, listing.id);
  if (viewer == nullptr) return;

  const auto now = mono_now();
  const auto& asked = listing.asked;
  auto& view = viewer->view;
  if (asked.unread) view.ask(unread_key, now);
  for (const auto& seen : newest) {
    viewer->versions.try_emplace(seen.conversation, seen.members_version);
    if (asked.all_convs) view.ask(StateKey::of(seen.conversation), now);
  }
  for (const auto& seen : named) view.ask(StateKey::of(seen.conversation), now);
  std::set<std::string, std::less<>> names{viewer->wants.people};
  for (const auto& name : related) {
    names.insert(name);
    const auto key = StateKey::of(name);
    if (asked.all_people) {
      view.ask(key, now);
    } else if (!viewer->watched.contains(name)) {
      view.touch(key, now);
    }
  }
  for (const auto& name : viewer->wants.people) {
    const auto key = StateKey::of(name);
    if (asked.people.contains(name)) {
      view.ask(key, now);
    } else {
      view.touch(key, now);
    }
  }
  if (!listing.people && viewer->wants.all_people) names.merge(std::set{viewer->watched});
  watch(listing.session_no, *viewer, std::move(names));
  schedule(listing.session_no, *viewer);
}

void StateTopics::totals(const std::vector<Item>& items, const PgRows& rows) {
  const auto totals = sql::unread_totals_of(rows);
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto* const viewer = find(items[i].session_no, items[i].id);
    if (viewer == nullptr || !viewer->wants.unread) continue;
    tell(items[i], *viewer, state_unread_rest(), std::to_string(totals.at(i)));
  }
}

void StateTopics::conversations(const std::vector<Item>& items, const PgRows& rows) {
  std::vector<bool> known(items.size());
  for (const auto& row : sql::state_rows_of(rows)) {
    const auto& item = items.at(row.index);
    auto* const viewer = find(item.session_no, item.id);
    if (viewer == nullptr || !viewer->wants.conv(row.conv)) continue;
    known[row.index] = true;
    ConversationState state{row.seq, row.read_seq, row.unread};
    state.muted = row.muted_until && *row.muted_until > wall_now();
    remember_mute(item.session_no, *viewer, item.key.conversation, row.muted_until);
    if (row.last) {
      const auto message = stored_message(item.key.conversation, *row.last).message;
      state.last = {message.from, message_text(message, false), message.time};
    }
    tell(item, *viewer, state_conv_rest(row.conv), state_payload(state));
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto* const viewer = find(items[i].session_no, items[i].id);
    if (viewer == nullptr || known[i]) continue;
    remember_mute(items[i].session_no, *viewer, items[i].key.conversation, std::nullopt);
    viewer->view.nothing(items[i].key);
  }
}

void StateTopics::people(const std::vector<Item>& items, const PgRows& rows) {
  std::vector<bool> known(items.size());
  for (const auto& row : sql::presence_rows_of(rows)) {
    const auto& item = items.at(row.index);
    auto* const viewer = find(item.session_no, item.id);
    if (viewer == nullptr || !viewer->wants.person(item.key.person)) continue;
    known[row.index] = true;
    const auto last_seen = std::max(row.last_seen, needs_.attendance.unwritten(row.user));
    tell(item, *viewer, state_presence_rest(item.key.person),
         presence_payload(needs_.attendance.is_online(item.key.person), last_seen));
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto* const viewer = find(items[i].session_no, items[i].id);
    if (viewer != nullptr && !known[i]) viewer->view.nothing(items[i].key);
  }
}

void StateTopics::tell(const Item& item, Viewer& viewer, std::string suffix, std::string payload) {
  if (!viewer.view.tell(item.key, payload, mono_now())) return;
  link::Delivery delivery;
  delivery.to = {viewer.user};
  delivery.suffix = std::move(suffix);
  delivery.payload = std::move(payload);
  delivery.qos = 1;
  delivery.session_no = item.session_no;
  needs_.plugin.deliver(std::move(delivery));
  // One batch at a time: the plugin sets the pace, too.
  wait_for_ = needs_.plugin.filling_total();
}

}  // namespace parley
