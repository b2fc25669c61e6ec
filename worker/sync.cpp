#include "worker/sync.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/names.hpp"
#include "worker/log.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {

// A reply is one packet, and has to fit into one.
constexpr std::size_t last_bytes_max = 256 * 1024;    // beyond: without their last messages
constexpr std::size_t result_bytes_max = 512 * 1024;  // beyond: without the oldest conversations

std::string last_of(const sql::ConversationRow& row) {
  auto message = stored_message(row.conversation, *row.last).message;
  message.conv = row.conv;
  return encode_message(Format::json, message, false);
}

}  // namespace

Syncs::Positions Syncs::positions_of(const std::string& request) const {
  const auto json = nlohmann::json::parse(request);
  const auto epoch = json.value("epoch", std::string{});
  Positions positions;
  if (!epoch.empty() && epoch != epoch_) return positions;
  for (const auto& one : json.value("positions", nlohmann::json::array())) {
    auto conv = one.value("conv", std::string{});
    if (!is_name(conv)) continue;  // it cannot be one of his
    positions.convs.push_back(std::move(conv));
    positions.revs.push_back(one.value("rev", std::int64_t{0}));
  }
  return positions;
}

void Syncs::take(const sql::Asker& asker, SessionNo session_no, const std::string& request,
                 Done done) {
  const auto positions = positions_of(request);
  // A device is placed whichever session of it asks.
  const Backlogs::Place of{asker.name, asker.device, asker.device.empty() ? session_no : 0};
  needs_.backlogs.pause(of);
  const auto place = [this, asker, positions, of, done = std::move(done)] {
    std::vector<PgQuery> queries;
    queries.push_back(sql::place_device(asker.user, asker.device, positions.convs, positions.revs));
    queries.push_back(sql::conversations_of(asker.user));
    needs_.database.submit(std::move(queries), [this, asker, of, done](auto result) {
      if (!result) {
        done(ReplyFailed{sql::code_of(result.error()), "the database did not answer"});
        needs_.backlogs.resume(of, nullptr);
        return;
      }
      const auto placed = sql::placed_of(result->at(0));
      for (const auto& one : placed) {
        sql::MarkUpdate update;
        update.user = asker.user;
        update.conversation = one.conversation;
        update.got_seq = one.got_seq;
        update.published = true;
        needs_.cursors.raise(update);
      }
      done(result_of(sql::conversations_of(result->at(1))));
      needs_.backlogs.resume(of, &placed);
    });
  };
  // What was said before this counts before it.
  needs_.cursors.after_raised(place);
}

std::string Syncs::result_of(const std::vector<sql::ConversationRow>& rows) const {
  std::string list;
  std::uint64_t total_unread = 0;
  std::size_t last_bytes = 0;
  std::size_t left_out = 0;
  for (const auto& row : rows) {
    total_unread += row.unread;
    if (list.size() > result_bytes_max) {
      ++left_out;
      continue;
    }
    if (!list.empty()) list += ',';
    list += row.summary;
    if (!row.last || last_bytes > last_bytes_max) continue;
    const auto last = last_of(row);
    last_bytes += last.size();
    if (last_bytes > last_bytes_max) continue;
    list.back() = ',';  // the summary's end
    list += R"("last":)" + last + "}";
  }
  if (left_out > 0) log::warn("event=sync_result_cut conversations={}", left_out);
  return R"({"epoch":")" + epoch_ + R"(","conversations":[)" + list + R"(],"total_unread":)" +
         std::to_string(total_unread) + "}";
}

}  // namespace parley
