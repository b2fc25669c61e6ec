#include "worker/history.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "core/names.hpp"
#include "worker/statements.hpp"
#include "worker/statements_requests.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {

constexpr std::uint32_t limit_max = 200;
constexpr std::uint32_t limit_default = 50;
constexpr std::size_t page_bytes_max = 256 * 1024;  // of JSON
constexpr Seq end_of_time = std::numeric_limits<std::int32_t>::max();

/// The ranges to read, one more message each than wanted, to know whether there is more.
struct Plan {
  std::vector<sql::MessageRange> ranges;
  std::vector<std::size_t> wanted;  // of each range
};

Plan plan_of(const HistoryRequest& request, ConversationId conversation, UserId user) {
  const std::uint32_t limit = std::clamp(request.limit.value_or(limit_default), 1U, limit_max);
  Plan plan;
  const auto add = [&](Seq after, Seq before, std::uint32_t wanted, bool newest) {
    plan.ranges.push_back({conversation, user, after, before, std::int64_t{wanted} + 1, newest});
    plan.wanted.push_back(wanted);
  };
  if (request.after_seq) {
    add(*request.after_seq, end_of_time, limit, false);
  } else if (request.around_seq) {
    const Seq middle = std::max<Seq>(*request.around_seq, 1);
    add(0, middle, limit / 2, true);
    add(middle - 1, end_of_time, limit - limit / 2, false);
  } else {
    add(0, request.before_seq.value_or(end_of_time), limit, true);
  }
  return plan;
}

/// Adds the rows of one range, from its near end on, as long as they fit. What does not is left out
/// and makes the page shorter, as if the limit had been lower.
void add_rows(HistoryResult& result, std::vector<sql::MessageRow> rows, bool newest,
              std::size_t wanted, std::size_t bytes_left, ConversationId conversation,
              const std::string& conv) {
  if (newest) std::reverse(rows.begin(), rows.end());
  std::vector<Message> taken;
  for (const auto& row : rows) {
    auto message = stored_message(conversation, row).message;
    message.conv = conv;
    const auto bytes = encode_message(Format::json, message, false).size();
    const bool first = result.messages.empty() && taken.empty();  // one always fits into a frame
    if (taken.size() == wanted || (bytes > bytes_left && !first)) {
      result.has_more = true;
      break;
    }
    bytes_left -= std::min(bytes, bytes_left);
    taken.push_back(std::move(message));
  }
  if (newest) std::reverse(taken.begin(), taken.end());
  std::move(taken.begin(), taken.end(), std::back_inserter(result.messages));
}

HistoryResult result_of(const Plan& plan, const std::vector<PgRows>& results,
                        ConversationId conversation, const std::string& conv) {
  HistoryResult result;
  for (std::size_t i = 0; i < plan.ranges.size(); ++i) {
    // Of two ranges each has its half.
    add_rows(result, sql::messages_of(results.at(i + 2)), plan.ranges[i].newest, plan.wanted[i],
             page_bytes_max / plan.ranges.size(), conversation, conv);
  }
  return result;
}

void read_pages(PgLink& database, ConversationId conversation, UserId user,
                const HistoryRequest& request, HistoryDone done) {
  auto plan = plan_of(request, conversation, user);
  std::vector<PgQuery> queries;
  queries.push_back(sql::is_active(user));
  queries.push_back(sql::is_member(conversation, user));
  for (const auto& range : plan.ranges) queries.push_back(sql::message_range(range));
  database.submit(std::move(queries), [plan = std::move(plan), conversation, conv = request.conv,
                                       done = std::move(done)](auto result) {
    if (!result) {
      done(ReplyFailed{sql::code_of(result.error()), "the database did not answer"});
    } else if (!sql::is_active_of(result->at(0))) {
      done(ReplyFailed{Code::forbidden, "no such user"});
    } else if (!sql::is_member_of(result->at(1))) {
      done(ReplyFailed{Code::not_member, "you are not in " + conv});
    } else {
      done(result_of(plan, *result, conversation, conv));
    }
  });
}

}  // namespace

void read_history(PgLink& database, Resolver& resolver, UserId user, HistoryRequest request,
                  HistoryDone done) {
  const int bounds =
      (request.before_seq ? 1 : 0) + (request.after_seq ? 1 : 0) + (request.around_seq ? 1 : 0);
  if (bounds > 1) {
    done(ReplyFailed{Code::bad_payload, "at most one of before_seq, after_seq, around_seq"});
    return;
  }
  if (request.conv.empty()) {
    done(ReplyFailed{Code::bad_payload, "conv is missing"});
    return;
  }
  if (!is_name(request.conv)) {
    done(ReplyFailed{Code::user_not_found, "no such name"});
    return;
  }
  const auto conv = request.conv;
  resolver.resolve(user, conv, false,
                   [&database, user, request = std::move(request),
                    done = std::move(done)](const sql::Resolved& to) {
                     if (!to.sender_known) {
                       done(ReplyFailed{Code::forbidden, "no such sender"});
                     } else if (to.kind.empty()) {
                       done(ReplyFailed{Code::user_not_found, "no such name"});
                     } else if (to.conversation.value == 0) {
                       done(HistoryResult{});  // nothing has been said yet
                     } else {
                       read_pages(database, to.conversation, user, request, done);
                     }
                   });
}

}  // namespace parley
