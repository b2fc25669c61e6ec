#include "worker/receipts.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::size_t waiting_max = 100'000;
constexpr std::size_t ask_max = 1'000;      // moves at once
constexpr std::size_t pairs_max = 5'000;    // of moves and those who could be told of them, at once
constexpr std::size_t unknown_max = 64;     // conversations whose members are asked for at once
constexpr std::size_t members_max = 1'000;  // in larger rooms one asks `receipts`
constexpr std::size_t at_once_max = 200;    // to one user in a round
constexpr auto round_every = std::chrono::seconds{1};
constexpr std::int64_t messages_max = 200;  // that are looked at for each move

std::string receipt_of(const ReceiptRounds::Receipt& receipt) {
  return nlohmann::json{
      {"receipt",
       {{"user", receipt.reader}, {"got_seq", receipt.got_seq}, {"read_seq", receipt.read_seq}}}}
      .dump();
}

}  // namespace

Receipts::Receipts(asio::io_context& loop, Needs needs)
    : needs_{std::move(needs)}, timer_{loop}, rounds_{at_once_max, waiting_max} {}

void Receipts::moved(const std::vector<sql::MovedCursor>& moved) {
  std::map<ConversationId, bool> rooms;  // most often many cursors of one room move together
  for (const auto& one : moved) {
    const auto conversation = needs_.members.find(one.conversation);
    if (conversation == nullptr || !conversation->is_room) {
      if (anybody_listens(one)) add(one);
      continue;
    }
    const auto [known, fresh] = rooms.try_emplace(one.conversation, false);
    if (fresh) known->second = anybody_listens(one);
    if (known->second) add(one);
  }
  ask();
}

std::vector<UserId> Receipts::listeners_of(const Conversation& conversation) const {
  std::vector<UserId> listeners;
  if (conversation.members.size() > members_max) return listeners;
  for (const auto& member : conversation.members) {
    if ((needs_.publisher.feeds_of(member.name) & feed::event_any) != 0) {
      listeners.push_back(member.user);
    }
  }
  return listeners;
}

/// Whoever it could be, in a room the reader himself too. Where the members are not remembered they
/// are asked for.
bool Receipts::anybody_listens(const sql::MovedCursor& moved) const {
  const auto conversation = needs_.members.find(moved.conversation);
  if (conversation == nullptr) return true;
  if (conversation->members.size() > members_max) return false;
  return std::any_of(
      conversation->members.begin(), conversation->members.end(), [&](const Member& member) {
        const bool other = conversation->is_room || member.user != moved.user;
        return other && (needs_.publisher.feeds_of(member.name) & feed::event_any) != 0;
      });
}

void Receipts::add(const sql::MovedCursor& moved) {
  const auto [known, fresh] = waiting_.try_emplace({moved.conversation, moved.user}, moved);
  if (!fresh) {
    auto& all = known->second;
    all.old_got = std::min(all.old_got, moved.old_got);
    all.old_read = std::min(all.old_read, moved.old_read);
    all.got = std::max(all.got, moved.got);
    all.read = std::max(all.read, moved.read);
  } else if (waiting_.size() > waiting_max) {
    waiting_.erase(waiting_.begin());  // told with the next move, or by a sync
  }
}

void Receipts::ask() {
  if (asking_ || waiting_.empty()) return;
  const auto batch = std::make_shared<const Batch>(gather());
  std::vector<PgQuery> queries;
  if (!batch->moved.empty()) {
    queries.push_back(sql::readers_told(batch->moved, batch->listeners, messages_max));
  }
  if (!batch->unknown.empty()) {
    queries.push_back(sql::members_of_small(batch->unknown, std::int64_t{members_max}));
  }
  if (queries.empty()) return;
  asking_ = true;
  needs_.database.submit(std::move(queries), [this, batch](auto result) {
    asking_ = false;
    if (result) {
      answered(*batch, *result);
      ask();
    } else {
      log::warn("event=receipts_failed err={}", log::quoted(result.error().what));
      for (const auto& one : batch->moved) add(one);
      arm();
    }
    needs_.turn();
  });
}

void Receipts::answered(const Batch& batch, const std::vector<PgRows>& results) {
  if (!batch.unknown.empty()) {
    needs_.members.update(sql::members_of(results.back()));
    forget_unknown(batch.unknown);
  }
  if (!batch.moved.empty()) tell(batch.moved, sql::readers_of(results.front()));
}

/// What moves in rooms that are too large: nobody is told.
void Receipts::forget_unknown(const std::vector<ConversationId>& unknown) {
  for (const auto id : unknown) {
    if (needs_.members.find(id) != nullptr) continue;
    waiting_.erase(waiting_.lower_bound({id, UserId{}}),
                   waiting_.lower_bound({ConversationId{id.value + 1}, UserId{}}));
  }
}

/// Behind those that were looked at last: whatever moves all the time, each comes to its turn.
Receipts::Batch Receipts::gather() {
  Batch batch;
  struct Listening {
    std::vector<UserId> users;
    bool listed = false;
  };
  std::map<ConversationId, Listening> listening;
  std::size_t pairs = 0;
  for (auto left = waiting_.size(); left > 0; --left) {
    if (batch.moved.size() >= ask_max || batch.unknown.size() >= unknown_max) break;
    auto next = waiting_.upper_bound(last_);
    if (next == waiting_.end()) next = waiting_.begin();
    const auto id = next->first.first;
    const auto conversation = needs_.members.find(id);
    if (conversation == nullptr) {
      last_ = next->first;
      if (batch.unknown.empty() || batch.unknown.back() != id) batch.unknown.push_back(id);
      continue;
    }
    const auto [known, fresh] = listening.try_emplace(id);
    auto& [listeners, listed] = known->second;
    if (fresh) listeners = listeners_of(*conversation);
    if (!batch.moved.empty() && pairs + listeners.size() > pairs_max) break;
    last_ = next->first;
    const bool nobody =
        listeners.empty() || (listeners.size() == 1 && listeners.front() == next->second.user);
    if (!nobody) {
      if (!std::exchange(listed, true)) {
        for (const auto user : listeners) batch.listeners.push_back({id, user});
      }
      pairs += listeners.size();
      batch.moved.push_back(next->second);
    }
    waiting_.erase(next);
  }
  return batch;
}

void Receipts::tell(const std::vector<sql::MovedCursor>& moved,
                    const std::vector<sql::ReaderRow>& rows) {
  for (std::size_t i = 0; i < rows.size();) {
    const auto& first = rows[i];
    const auto& one = moved.at(first.moved);
    std::vector<std::string> to;
    for (; i < rows.size() && rows[i].moved == first.moved; ++i) to.push_back(rows[i].to);
    publish(rounds_.add({one.conversation, one.user}, {first.conv, first.reader, one.got, one.read},
                        to));
  }
  if (!rounds_.idle()) arm();
}

void Receipts::publish(const ReceiptRounds::Telling& telling) {
  if (telling.to.empty()) return;
  const auto& receipt = *telling.receipt;
  needs_.publisher.event_to_all(telling.to, {receipt.conv, 0, wall_now(), receipt_of(receipt)},
                                "receipt " + receipt.reader);
}

void Receipts::arm() {
  if (std::exchange(armed_, true)) return;
  timer_.expires_after(round_every);
  timer_.async_wait([this](const asio::error_code& error) {
    armed_ = false;
    if (error) return;
    for (const auto& telling : rounds_.next_round()) publish(telling);
    if (!rounds_.idle()) arm();
    ask();
    needs_.turn();
  });
}

}  // namespace parley
