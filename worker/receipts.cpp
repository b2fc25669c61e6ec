#include "worker/receipts.hpp"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::size_t waiting_max = 100'000;
constexpr std::size_t ask_max = 1'000;      // moves at once
constexpr std::int64_t messages_max = 200;  // that are looked at for each

std::string receipt_of(const std::string& user, const sql::MovedCursor& moved) {
  return nlohmann::json{
      {"receipt", {{"user", user}, {"got_seq", moved.got}, {"read_seq", moved.read}}}}
      .dump();
}

}  // namespace

void Receipts::moved(const std::vector<sql::MovedCursor>& moved) {
  std::set<ConversationId> quiet;  // most often many cursors of one room move together
  for (const auto& one : moved) {
    if (quiet.contains(one.conversation)) continue;
    if (anybody_listens(one)) {
      add(one);
    } else {
      quiet.insert(one.conversation);
    }
  }
  ask();
}

/// Whoever it could be, the reader himself too. Where the members are not remembered the database
/// will say it.
bool Receipts::anybody_listens(const sql::MovedCursor& moved) {
  const auto conversation = needs_.members.find(moved.conversation);
  if (conversation == nullptr) return true;
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
  needs_.database.submit({sql::readers_told(*batch, messages_max)}, [this, batch](auto result) {
    asking_ = false;
    if (result) {
      tell(*batch, sql::readers_of(result->at(0)));
      ask();
    } else {
      log::warn("event=receipts_failed err={}", log::quoted(result.error().what));
      for (const auto& one : *batch) add(one);  // with the next
    }
    needs_.turn();
  });
}

void Receipts::tell(const std::vector<sql::MovedCursor>& moved,
                    const std::vector<sql::ReaderRow>& rows) {
  const UnixMillis now = wall_now();
  for (std::size_t i = 0; i < rows.size();) {
    const auto& first = rows[i];
    std::vector<std::string> to;
    for (; i < rows.size() && rows[i].moved == first.moved; ++i) {
      if ((needs_.publisher.feeds_of(rows[i].to) & feed::event_any) != 0) to.push_back(rows[i].to);
    }
    if (to.empty()) continue;
    const Event event{first.conv, 0, now, receipt_of(first.reader, moved.at(first.moved))};
    needs_.publisher.receipt(to, event, "receipt " + first.reader);
  }
}

}  // namespace parley
