#include "worker/exports.hpp"

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/request_wire.hpp"
#include "core/topic.hpp"
#include "worker/log.hpp"
#include "worker/statements.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {

using Json = nlohmann::json;

constexpr std::size_t exports_max = 4;
constexpr std::size_t page_bytes_max = 120 * 1024;  // of lines as JSON; one line always fits
constexpr std::int64_t messages_max = 100;          // read at once
constexpr std::int64_t look_max = 10'000;           // seqs, for these
/// One page each: slow enough for whoever takes a few megabytes a second from the broker.
constexpr auto every = std::chrono::milliseconds{50};
constexpr Seq end_of_time = std::numeric_limits<std::int32_t>::max();
constexpr std::uint32_t replies = feed::re_json | feed::re_pb | feed::rr;

}  // namespace

void Exports::begin(const sql::Asker& asker, const AnswerTo& to, const std::string& id,
                    SessionNo session_no, std::function<bool()> wanted, sql::OutcomeDone first) {
  if (runs_.contains(asker.user)) {
    first(sql::refusal(Code::busy, "one export at a time"));
    return;
  }
  if (runs_.size() >= exports_max) {
    first(sql::refusal(Code::busy, "others are exporting: try again later"));
    return;
  }
  auto run = std::make_shared<Run>();
  run->asker = asker;
  run->to = to;
  run->id = id;
  run->session_no = session_no;
  run->hears_itself = session_hears(*run);
  run->wanted = std::move(wanted);
  run->first = std::move(first);
  runs_[asker.user] = run;
  read_account(run);
}

void Exports::tick() {
  timer_.expires_after(every);
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    std::vector<Shared> ready;
    for (const auto& [user, run] : runs_) {
      if (!run->asking && run->wait_for <= needs_.plugin.applied_total()) ready.push_back(run);
    }
    for (const auto& run : ready) go_on(run);
    tick();
  });
}

/// Until there is a page to tell, or nothing more to read.
void Exports::go_on(const Shared& run) {
  if (!run->first && !is_heard(*run)) {
    end(run);
  } else if (run->bytes >= page_bytes_max) {
    tell(run, true);
  } else if (run->left.empty()) {
    if (!std::exchange(run->complete, true)) {
      add_line(*run, Json{{"end", {{"lines", run->told + run->lines.size() + 1}}}}.dump());
    }
    tell(run, false);
  } else if (run->inside) {
    read_messages(run);
  } else {
    read_conversation(run);
  }
}

void Exports::ask(const Shared& run, std::vector<PgQuery> queries,
                  std::function<void(const std::vector<PgRows>&)> got) {
  run->asking = true;
  needs_.database.submit(std::move(queries), [this, run, got = std::move(got)](auto result) {
    run->asking = false;
    if (!result) {
      log::error("event=request_failed method=me.export sqlstate={} err={}",
                 result.error().sqlstate, log::quoted(result.error().what));
      if (run->first) {
        std::exchange(run->first, nullptr)(sql::refusal(result.error()));
      } else if (const auto reply = encode_reply(
                     run->to.format, {run->id, ReplyFailed{sql::code_of(result.error()),
                                                           "the rest cannot be read now"}});
                 is_heard(*run)) {
        needs_.plugin.deliver(reply_delivery(run->to, run->id, reply));
      }
      end(run);
    } else {
      got(*result);
      if (is_open(run)) go_on(run);
    }
    needs_.turn();
  });
}

void Exports::read_account(const Shared& run) {
  const auto user = run->asker.user;
  std::vector<PgQuery> queries;
  queries.push_back(sql::is_active(user));
  queries.push_back(sql::export_account(user));
  queries.push_back(sql::export_people(user));
  queries.push_back(sql::export_conversations(user));
  ask(run, std::move(queries), [this, run](const std::vector<PgRows>& results) {
    if (!sql::is_active_of(results.at(0))) {
      std::exchange(run->first, nullptr)(sql::refusal(Code::forbidden, "no such user"));
      end(run);
      return;
    }
    for (std::size_t i = 1; i < 3; ++i) {
      for (auto& line : sql::lines_of(results.at(i))) add_line(*run, std::move(line));
    }
    for (auto& one : sql::exported_of(results.at(3))) run->left.push_back(std::move(one));
  });
}

void Exports::read_conversation(const Shared& run) {
  std::vector<PgQuery> queries;
  queries.push_back(sql::export_conversation(run->left.front().conversation, run->asker.user));
  ask(run, std::move(queries), [this, run](const std::vector<PgRows>& results) {
    const auto lines = sql::lines_of(results.at(0));
    for (const auto& line : lines) add_line(*run, line);
    if (lines.empty()) {
      run->left.pop_front();
      return;
    }
    run->inside = true;
    run->after = 0;
  });
}

void Exports::read_messages(const Shared& run) {
  sql::MessageRange range;
  range.conversation = run->left.front().conversation;
  range.user = run->asker.user;
  range.after = run->after;
  range.before = end_of_time;
  range.max = messages_max;
  std::vector<PgQuery> queries;
  queries.push_back(sql::is_member(range.conversation, range.user));
  queries.push_back(sql::message_page(range, look_max));
  ask(run, std::move(queries), [this, run](const std::vector<PgRows>& results) {
    if (sql::is_member_of(results.at(0))) {
      got_messages(run, results.at(1));
    } else {  // he has left meanwhile
      run->inside = false;
      run->left.pop_front();
    }
  });
}

void Exports::got_messages(const Shared& run, const PgRows& rows) {
  const auto page = sql::message_page_of(rows);
  const auto& now_in = run->left.front();
  for (const auto& row : page.messages) {
    auto message = stored_message(now_in.conversation, row).message;
    message.conv = now_in.conv;
    add_line(*run, R"({"message":)" + encode_message(Format::json, message, false) + "}");
    run->after = row.seq;
    if (run->bytes >= 4 * page_bytes_max) return;  // it is read again from there on
  }
  if (std::cmp_equal(page.messages.size(), messages_max)) return;
  if (page.next) {
    run->after = *page.next;
  } else {
    run->inside = false;
    run->left.pop_front();
  }
}

void Exports::add_line(Run& run, std::string line) {
  run.bytes += Json(line).dump().size() + 1;
  run.lines.push_back(std::move(line));
}

void Exports::tell(const Shared& run, bool more) {
  auto lines = Json::array();
  std::size_t bytes = 0;
  while (!run->lines.empty()) {
    const auto size = Json(run->lines.front()).dump().size() + 1;
    if (!lines.empty() && bytes + size > page_bytes_max) break;
    bytes += size;
    lines.push_back(std::move(run->lines.front()));
    run->lines.pop_front();
  }
  run->bytes -= bytes;
  run->told += lines.size();
  more = more || !run->lines.empty();
  const std::string result = Json{{"lines", std::move(lines)}, {"more", more}}.dump();
  if (run->first) {
    if (!run->wanted()) {  // it was answered TIMEOUT
      end(run);
      return;
    }
    std::exchange(run->first, nullptr)({"", "", result});
  } else if (const auto payload = encode_result(run->to.format, "me.export", run->id, result)) {
    needs_.plugin.deliver(reply_delivery(run->to, run->id, *payload));
  }
  run->wait_for = needs_.plugin.filling_total();
  if (!more) end(run);
  needs_.turn();
}

bool Exports::session_hears(const Run& run) const {
  const auto* const session = needs_.sessions.find(run.session_no);
  return session != nullptr && (session->feeds & replies) != 0;
}

bool Exports::is_heard(const Run& run) const {
  // While the sessions are not known, it is told to whoever is there.
  if (run.hears_itself && needs_.plugin.sessions_sure()) return session_hears(run);
  return (needs_.publisher.feeds_of(run.to.user) & replies) != 0;
}

bool Exports::is_open(const Shared& run) const {
  const auto found = runs_.find(run->asker.user);
  return found != runs_.end() && found->second == run;
}

void Exports::end(const Shared& run) {
  if (run->first) {  // whoever asked is told something in any case
    std::exchange(run->first, nullptr)(sql::refusal(Code::timeout, "it took too long"));
  }
  runs_.erase(run->asker.user);
}

}  // namespace parley
