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
constexpr std::size_t messages_max = 800;      // of all of them
constexpr std::size_t waiting_max = 100'000;
constexpr std::int64_t heads_max = 5'000;  // at one look
constexpr std::int64_t sweep_every_ms = 60'000;
// A step keeps a processor from those who send now. Between steps it rests so many times as long as
// the last one took, and longer while messages wait for being stored.
constexpr std::int64_t step_ms = 8;
constexpr std::int64_t rests = 1;
constexpr std::int64_t rests_pressed = 9;

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
  if (now < rest_until_) return;
  if (of_round_ == 0) {
    if (!more_ && waiting_.size() < conversations_max && now.value < round_at_.value + few_every_ms)
      return;
    more_ = false;
    round_at_ = now;
    of_round_ = waiting_.size();
  }
  began_ = now;
  if (waiting_.empty()) {
    sweep();
    return;
  }
  std::vector<ConversationId> some;
  const auto max = alone_ > 0 ? 1 : at_once_;
  if (alone_ > 0) --alone_;
  while (!waiting_.empty() && some.size() < max) {
    some.push_back(waiting_.front());
    known_.erase(waiting_.front());
    waiting_.pop_front();
  }
  of_round_ -= std::min(of_round_, some.size());
  index(std::move(some));
}

/// To the next step. Searching may lag behind; storing may not.
void Indexer::go_on() {
  const auto now = mono_now();
  const auto took = now.value - began_.value;
  const auto rest = std::max<std::int64_t>(1, took * (pressed_() ? rests_pressed : rests));
  rest_until_ = {now.value + rest};
  if (took > 2 * step_ms) {
    at_once_ = std::max<std::size_t>(1, at_once_ * step_ms / took);
  } else if (took < step_ms) {
    at_once_ = std::min(conversations_max, at_once_ * 2);
  }
  tick(std::chrono::milliseconds{rest});
}

/// Finds what nobody has told: from before the start, or stored by others.
void Indexer::sweep() {
  if (mono_now() < sweep_at_) return;
  busy_ = true;
  database_.submit({sql::heads_behind(swept_, configuration_, heads_max)}, [this](auto result) {
    busy_ = false;
    if (result) {
      swept(sql::heads_behind_of(result->at(0)));
    } else {
      failed({}, result.error());
    }
  });
}

void Indexer::swept(const sql::HeadsBehind& page) {
  swept_ = page.last;
  for (const auto conversation : page.behind) touched(conversation);
  more_ = page.last.value != 0;
  if (!more_) sweep_at_ = {mono_now().value + sweep_every_ms};
  go_on();
}

void Indexer::index(std::vector<ConversationId> conversations) {
  busy_ = true;
  const auto of_each = static_cast<std::int64_t>(messages_max / conversations.size());
  auto query = sql::index_next(conversations, configuration_, of_each);
  std::vector<PgQuery> queries;
  queries.push_back(std::move(query));
  database_.submit(std::move(queries), [this, conversations](auto result) {
    if (!result) {
      busy_ = false;
      failed(conversations, result.error());
      return;
    }
    const auto behind = sql::index_work_of(result->at(0));
    if (behind.empty()) {
      busy_ = false;
      go_on();
      return;
    }
    write(conversations, behind);
  });
}

void Indexer::write(const std::vector<ConversationId>& conversations,
                    const std::vector<sql::IndexWork>& behind) {
  std::vector<std::vector<std::vector<std::string>>> mentions;
  std::vector<ConversationId> more;
  for (const auto& one : behind) {
    auto& of_one = mentions.emplace_back();
    for (const auto& item : one.items) of_one.push_back(names_in(one.conversation, item));
    if (one.more) more.push_back(one.conversation);
  }
  std::vector<PgQuery> queries;
  queries.push_back(sql::index_messages(configuration_, behind, mentions));
  database_.submit(std::move(queries), [this, conversations, more](auto result) {
    busy_ = false;
    if (!result) {
      failed(conversations, result.error());
      return;
    }
    if (std::exchange(failing_, false)) log::info("event=search_back");
    for (const auto conversation : more) touched(conversation);
    more_ = more_ || !more.empty();
    go_on();
  });
}

/// Once more at the next tick. One conversation that fails alone is left to the next look at all.
void Indexer::failed(const std::vector<ConversationId>& conversations, const PgFault& fault) {
  if (!std::exchange(failing_, true)) {
    log::warn("event=search_failed sqlstate={} err={}", fault.sqlstate, log::quoted(fault.what));
  }
  if (conversations.size() == 1 && fault.kind == PgFault::Kind::error) {
    log::error("event=not_indexed conversation={} sqlstate={} err={}", conversations[0].value,
               fault.sqlstate, log::quoted(fault.what));
    return;
  }
  for (const auto conversation : conversations) {
    if (!known_.insert(conversation).second) continue;
    waiting_.push_front(conversation);
    if (fault.kind == PgFault::Kind::error) ++alone_;
  }
}

}  // namespace parley
