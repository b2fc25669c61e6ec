#include "worker/history.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include "core/names.hpp"
#include "worker/loop.hpp"
#include "worker/statements.hpp"
#include "worker/statements_requests.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {

constexpr std::uint32_t limit_max = 200;
constexpr std::uint32_t limit_default = 50;
constexpr std::size_t page_bytes_max = 256 * 1024;  // of JSON
constexpr Seq end_of_time = std::numeric_limits<std::int32_t>::max();

// Seqs looked at by one statement: others wait for it. Messages that have expired are passed over,
// and where there are many of them the steps are longer.
constexpr std::int64_t first_look = 2'000;
constexpr std::int64_t next_look = 20'000;
constexpr std::int64_t looks_for_ms = 5'000;  // then the request has been answered

/// One side of a page, read until there is one message more than wanted, to know whether there is
/// more.
struct Part {
  sql::MessageRange range;  // what is still to be read
  std::size_t wanted = 0;
  std::vector<sql::MessageRow> rows{};
  bool complete = false;
};

struct Reading {
  ConversationId conversation;
  UserId user;
  std::string conv;
  std::vector<Part> parts;
  MonoMillis until;
  bool looked = false;
  HistoryDone done;
};

std::vector<Part> parts_of(const HistoryRequest& request, ConversationId conversation,
                           UserId user) {
  const std::uint32_t limit = std::clamp(request.limit.value_or(limit_default), 1U, limit_max);
  std::vector<Part> parts;
  const auto add = [&](Seq after, Seq before, std::uint32_t wanted, bool newest) {
    parts.push_back(
        {{conversation, user, after, before, std::int64_t{wanted} + 1, newest}, wanted});
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
  return parts;
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

HistoryResult result_of(Reading& reading) {
  HistoryResult result;
  for (auto& part : reading.parts) {
    // Of two ranges each has its half.
    add_rows(result, std::move(part.rows), part.range.newest, part.wanted,
             page_bytes_max / reading.parts.size(), reading.conversation, reading.conv);
    result.has_more = result.has_more || !part.complete;
  }
  return result;
}

void add_page(Part& part, sql::MessagePage page) {
  auto& rows = part.rows;
  const auto came = static_cast<std::int64_t>(page.messages.size());
  part.complete = came == part.range.max || !page.next;
  part.range.max -= came;
  if (page.next) (part.range.newest ? part.range.before : part.range.after) = *page.next;
  rows.insert(part.range.newest ? rows.begin() : rows.end(),
              std::make_move_iterator(page.messages.begin()),
              std::make_move_iterator(page.messages.end()));
}

void read_on(PgLink& database, const std::shared_ptr<Reading>& reading);

void got_pages(PgLink& database, const std::shared_ptr<Reading>& reading,
               const std::vector<PgRows>& results) {
  if (!sql::is_active_of(results.at(0))) {
    reading->done(ReplyFailed{Code::forbidden, "no such user"});
    return;
  }
  if (!sql::is_member_of(results.at(1))) {
    reading->done(ReplyFailed{Code::not_member, "you are not in " + reading->conv});
    return;
  }
  std::size_t at = 2;
  bool complete = true;
  bool empty = true;
  for (auto& part : reading->parts) {
    if (!part.complete) add_page(part, sql::message_page_of(results.at(at++)));
    complete = complete && part.complete;
    empty = empty && part.rows.empty();
  }
  if (!complete && mono_now() < reading->until) {
    read_on(database, reading);
  } else if (!complete && empty) {
    reading->done(ReplyFailed{Code::timeout, "too much has expired there"});
  } else {
    reading->done(result_of(*reading));
  }
}

void read_on(PgLink& database, const std::shared_ptr<Reading>& reading) {
  const auto look = std::exchange(reading->looked, true) ? next_look : first_look;
  std::vector<PgQuery> queries;
  queries.push_back(sql::is_active(reading->user));
  queries.push_back(sql::is_member(reading->conversation, reading->user));
  for (const auto& part : reading->parts) {
    if (!part.complete) queries.push_back(sql::message_page(part.range, look));
  }
  database.submit(std::move(queries), [&database, reading](auto result) {
    if (!result) {
      reading->done(ReplyFailed{sql::code_of(result.error()), "the database did not answer"});
    } else {
      got_pages(database, reading, *result);
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
                       read_on(database, std::make_shared<Reading>(
                                             Reading{to.conversation,
                                                     user,
                                                     request.conv,
                                                     parts_of(request, to.conversation, user),
                                                     {mono_now().value + looks_for_ms},
                                                     false,
                                                     done}));
                     }
                   });
}

}  // namespace parley
