#include "worker/indexer.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/wire.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr auto every = std::chrono::milliseconds{100};
// A few messages at a time cost twice as much for each.
constexpr std::int64_t few_every_ms = 500;
constexpr std::size_t conversations_max = 64;  // at once
// … of all of them: as many as take about step_ms, at most the most, at least the least.
constexpr std::size_t messages_most = 1'600;
constexpr std::size_t messages_least = 200;
constexpr std::size_t messages_alone = 100;
constexpr std::size_t waiting_max = 100'000;
constexpr std::int64_t heads_max = 5'000;  // at one look
constexpr std::int64_t sweep_every_ms = 60'000;
constexpr std::int64_t plan_every_ms = 1'000;
// A step keeps a processor from those who send now. Between steps it rests so many times as long as
// the last one took, and longer as long as messages wait for being stored.
constexpr std::int64_t step_ms = 10;
constexpr std::int64_t rests = 1;
constexpr std::int64_t rests_pressed = 9;
constexpr std::int64_t rest_max_ms = 1'000;

/// Who is mentioned in a message.
std::vector<std::string> names_in(ConversationId conversation, const sql::IndexWork::Item& item) {
  if (item.edited_mentions) {
    return nlohmann::json::parse(*item.edited_mentions).get<std::vector<std::string>>();
  }
  Content content;
  if (item.extra && !decode_content_rest(*item.extra, content)) {
    log::error("event=bad_extra conversation={} seq={}", conversation.value, item.seq);
  }
  return std::move(content.mentions);
}

}  // namespace

Indexer::Indexer(asio::io_context& loop, const std::string& uri, std::string configuration,
                 std::function<bool()> pressed)
    : configuration_{std::move(configuration)},
      timer_{loop},
      database_{loop, "search", uri, {&sql::limit_indexing}},
      pressed_{std::move(pressed)} {}

void Indexer::start() {
  database_.start();
  tick(every);
}

void Indexer::touched(ConversationId conversation) {
  if (known_.size() >= waiting_max) {
    swept_ = {};  // later, then: every head is looked at again
    sweep_at_ = {};
    return;
  }
  if (known_.insert(conversation).second) waiting_.push_back(conversation);
}

void Indexer::tick(std::chrono::milliseconds after) {
  timer_.expires_after(after);
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    tick(every);
    work();
  });
}

void Indexer::work() {
  if (busy_ || !database_.ready()) return;
  const auto now = mono_now();
  if (now < rest_until_ || (now < pressed_until_ && pressed_())) return;
  began_ = now;
  if (of_round_ == 0) {
    const bool due = more_ || waiting_.size() >= conversations_max ||
                     (!waiting_.empty() && now.value >= round_at_.value + few_every_ms);
    // In turn: neither keeps the other one waiting for long.
    if (now >= sweep_at_ && !(due && looked_)) {
      looked_ = true;
      sweep();
      return;
    }
    looked_ = false;
    if (!due) return;
    more_ = false;
    round_at_ = now;
    of_round_ = waiting_.size();
  }
  std::vector<ConversationId> some;
  const bool alone = alone_ > 0;
  if (alone) --alone_;
  while (!waiting_.empty() && some.size() < (alone ? 1 : conversations_max)) {
    some.push_back(waiting_.front());
    known_.erase(waiting_.front());
    waiting_.pop_front();
  }
  of_round_ -= std::min(of_round_, some.size());
  if (some.empty()) {
    of_round_ = 0;
    return;
  }
  index(std::move(some), alone);
}

/// To the next step. Searching may lag behind; storing may not.
void Indexer::go_on() {
  const auto now = mono_now();
  const auto took = std::min(now.value - began_.value, rest_max_ms);
  const auto rest = std::max<std::int64_t>(1, took * rests);
  rest_until_ = {now.value + rest};
  pressed_until_ = {now.value + took * rests_pressed};
  tick(std::chrono::milliseconds{rest});
}

/// Finds what nobody has told: from before the start, or stored by others.
void Indexer::sweep() {
  busy_ = true;
  database_.submit({sql::heads_behind(swept_, configuration_, heads_max)}, [this](auto result) {
    busy_ = false;
    if (result) {
      swept(sql::heads_behind_of(result->at(0)));
    } else {
      failed({}, false, result.error());
    }
  });
}

void Indexer::swept(const sql::HeadsBehind& page) {
  swept_ = page.last;
  for (const auto conversation : page.behind) touched(conversation);
  if (page.last.value == 0) sweep_at_ = {mono_now().value + sweep_every_ms};
  go_on();
}

void Indexer::index(std::vector<ConversationId> conversations, bool alone) {
  busy_ = true;
  const auto of_each =
      static_cast<std::int64_t>(alone ? messages_alone : messages_max_ / conversations.size());
  std::vector<PgQuery> queries;
  // A plan that was made for the month's first messages reads conversations from their beginning,
  // at each step.
  if (began_ >= plan_at_) {
    plan_at_ = {began_.value + plan_every_ms};
    queries.push_back({&sql::forget_plans, {}});
  }
  queries.push_back(sql::index_next(conversations, configuration_, of_each));
  database_.submit(std::move(queries), [this, conversations, alone](auto result) {
    if (!result) {
      busy_ = false;
      failed(conversations, alone, result.error());
      return;
    }
    const auto behind = sql::index_work_of(result->back());
    if (behind.empty()) {
      busy_ = false;
      go_on();
      return;
    }
    write(conversations, alone, behind);
  });
}

void Indexer::write(const std::vector<ConversationId>& conversations, bool alone,
                    const std::vector<sql::IndexWork>& behind) {
  std::vector<std::vector<std::vector<std::string>>> mentions;
  std::vector<ConversationId> more;
  std::size_t messages = 0;
  for (const auto& one : behind) {
    messages += one.items.size();
    auto& of_one = mentions.emplace_back();
    for (const auto& item : one.items) of_one.push_back(names_in(one.conversation, item));
    if (one.more) more.push_back(one.conversation);
  }
  std::vector<PgQuery> queries;
  queries.push_back(sql::index_messages(configuration_, behind, mentions));
  database_.submit(std::move(queries), [this, conversations, alone, more, messages](auto result) {
    busy_ = false;
    if (!result) {
      failed(conversations, alone, result.error());
      return;
    }
    if (!alone) adapt(messages);
    if (std::exchange(failing_, false)) log::info("event=search_back");
    for (const auto conversation : more) touched(conversation);
    more_ = more_ || !more.empty();
    go_on();
  });
}

/// Larger steps cost less for each message; smaller ones keep others waiting for less long.
void Indexer::adapt(std::size_t messages) {
  const auto took = mono_now().value - began_.value;
  if (took > 2 * step_ms) {
    messages_max_ = std::max(messages_least, messages_max_ / 2);
  } else if (took <= step_ms && messages >= messages_max_ / 2) {
    messages_max_ = std::min(messages_most, messages_max_ + messages_max_ / 4);
  }
}

/// Once more after a rest. One conversation that fails alone is left to the next look at all.
void Indexer::failed(const std::vector<ConversationId>& conversations, bool alone,
                     const PgFault& fault) {
  if (!std::exchange(failing_, true)) {
    log::warn("event=search_failed sqlstate={} err={}", fault.sqlstate, log::quoted(fault.what));
  }
  if (alone && fault.kind == PgFault::Kind::error) {
    log::error("event=not_indexed conversation={} sqlstate={} err={}", conversations[0].value,
               fault.sqlstate, log::quoted(fault.what));
  } else {
    for (const auto conversation : conversations) {
      if (!known_.insert(conversation).second) continue;
      waiting_.push_front(conversation);
      if (fault.kind == PgFault::Kind::error) ++alone_;
    }
  }
  if (fault.kind == PgFault::Kind::error) messages_max_ = messages_least;
  go_on();
  tick(every);
}

}  // namespace parley
