#include "worker/receipts.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::size_t waiting_max = 100'000;
constexpr std::size_t ask_max = 1'000;       // moves at once
constexpr std::int64_t members_max = 1'000;  // in larger rooms one asks `receipts`
constexpr int at_once_max = 200;             // to one user in one go: the broker keeps only so many
constexpr auto go_on_after = std::chrono::seconds{1};
constexpr std::int64_t messages_max = 200;  // that are looked at for each

std::string receipt_of(const std::string& user, const sql::MovedCursor& moved) {
  return nlohmann::json{
      {"receipt", {{"user", user}, {"got_seq", moved.got}, {"read_seq", moved.read}}}}
      .dump();
}

}  // namespace

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

/// Whoever it could be, the reader himself too. Where the members are not remembered the database
/// will say it.
bool Receipts::anybody_listens(const sql::MovedCursor& moved) {
  const auto conversation = needs_.members.find(moved.conversation);
  if (conversation == nullptr) return true;
  if (conversation->members.size() > static_cast<std::size_t>(members_max)) return false;
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
  auto batch = std::make_shared<std::vector<sql::MovedCursor>>();
  while (!waiting_.empty() && batch->size() < ask_max) {
    batch->push_back(waiting_.extract(waiting_.begin()).mapped());
  }
  asking_ = true;
  needs_.database.submit(
      {sql::readers_told(*batch, messages_max, members_max)}, [this, batch](auto result) {
        asking_ = false;
        if (result) {
          tell(*batch, sql::readers_of(result->at(0)));
        } else {
          log::warn("event=receipts_failed err={}", log::quoted(result.error().what));
          for (const auto& one : *batch) add(one);
          later();
        }
        needs_.turn();
      });
}

void Receipts::later() {
  timer_.expires_after(go_on_after);
  timer_.async_wait([this](const asio::error_code& error) {
    if (!error) ask();
  });
}

void Receipts::tell(const std::vector<sql::MovedCursor>& moved,
                    const std::vector<sql::ReaderRow>& rows) {
  const UnixMillis now = wall_now();
  std::map<std::string, int> given;
  for (std::size_t i = 0; i < rows.size();) {
    const auto& first = rows[i];
    std::vector<std::string> to;
    bool too_many = false;
    for (; i < rows.size() && rows[i].moved == first.moved; ++i) {
      auto& so_far = given[rows[i].to];
      too_many = too_many || so_far >= at_once_max;
      if (so_far++ < at_once_max) to.push_back(rows[i].to);
    }
    if (too_many) add(moved.at(first.moved));  // with the next ones
    const Event event{first.conv, 0, now, receipt_of(first.reader, moved.at(first.moved))};
    needs_.publisher.event_to_all(to, event, "receipt " + first.reader);
  }
  if (!waiting_.empty()) later();
}

}  // namespace parley
