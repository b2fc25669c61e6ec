#include "worker/search.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/code.hpp"
#include "core/names.hpp"
#include "core/wire.hpp"
#include "worker/log.hpp"
#include "worker/statements_search.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t limit_max = 100;
constexpr std::uint32_t limit_default = 20;
constexpr std::size_t query_bytes_max = 1'024;
constexpr std::size_t page_bytes_max = 256 * 1024;  // of JSON

std::int64_t limit_of(const Json& request) {
  return std::clamp(request.value("limit", limit_default), 1U, limit_max);
}

/// The message as JSON of the schema, with `conv` as the asker calls it.
std::string json_of(const sql::FoundMessage& found) {
  auto message = stored_message(found.conversation, found.message).message;
  message.conv = found.conv;
  return encode_message(Format::json, message, false);
}

std::string list_of(const char* name, const std::vector<std::string>& items) {
  std::string list;
  for (const auto& item : items) list += (list.empty() ? "" : ",") + item;
  return std::string{R"({")"} + name + R"(":[)" + list + "]}";
}

PgLink::Done answer_with(sql::OutcomeDone done,
                         std::function<std::string(const std::vector<sql::FoundMessage>&)> result) {
  return [done = std::move(done), result = std::move(result)](auto rows) {
    if (rows) {
      done(sql::is_active_of(rows->front())
               ? sql::Outcome{"", "", result(sql::found_of(rows->back()))}
               : sql::refusal(Code::forbidden, "no such user"));
      return;
    }
    log::error("event=request_failed method=search sqlstate={} err={}", rows.error().sqlstate,
               log::quoted(rows.error().what));
    done(sql::refusal(rows.error()));
  };
}

/// As many as fit; the first one always does.
std::string hits_of(const std::vector<sql::FoundMessage>& found) {
  std::vector<std::string> hits;
  std::size_t bytes = 0;
  for (const auto& one : found) {
    auto hit = R"({"conv":)" + Json(one.conv).dump() + R"(,"message":)" + json_of(one) +
               R"(,"snippet":)" + Json(one.snippet).dump() + "}";
    bytes += hit.size() + 1;
    if (!hits.empty() && bytes > page_bytes_max) break;
    hits.push_back(std::move(hit));
  }
  return list_of("hits", hits);
}

/// The next page goes on before a time: what is of one time comes together, even if it does not
/// fit.
std::vector<std::string> mentions_that_fit(const std::vector<sql::FoundMessage>& found) {
  std::vector<std::string> messages;
  std::size_t bytes = 0;
  std::size_t whole = 0;  // so many before this time
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0 && found[i].message.received_at != found[i - 1].message.received_at) whole = i;
    if (bytes > page_bytes_max && whole == i) break;
    messages.push_back(json_of(found[i]));
    bytes += messages.back().size() + 1;
    if (bytes > page_bytes_max && whole > 0) {
      messages.resize(whole);
      break;
    }
  }
  return messages;
}

void search_in(PgLink& database, const sql::Asker& asker, ConversationId only_in,
               const std::string& configuration, const Json& request, sql::OutcomeDone done) {
  std::vector<PgQuery> queries;
  queries.push_back(sql::is_active(asker.user));
  queries.push_back(sql::search_messages(asker.user, only_in, configuration,
                                         request.value("query", std::string{}), limit_of(request)));
  database.submit(std::move(queries), answer_with(std::move(done), hits_of));
}

/// Whether `asker` is in there decides the database: of others it finds nothing.
void search_one(PgLink& database, const sql::Asker& asker, ConversationId conversation,
                const std::string& configuration, const Json& request, sql::OutcomeDone done) {
  std::vector<PgQuery> queries;
  queries.push_back(sql::is_member(conversation, asker.user));
  database.submit(std::move(queries), [&database, asker, conversation, configuration, request,
                                       done = std::move(done)](auto result) {
    if (!result) {
      done(sql::refusal(result.error()));
    } else if (!sql::is_member_of(result->at(0))) {
      done(sql::refusal(Code::not_member, "you are not in there"));
    } else {
      search_in(database, asker, conversation, configuration, request, done);
    }
  });
}

}  // namespace

void search(PgLink& database, Resolver& resolver, const std::string& configuration,
            const sql::Asker& asker, const std::string& request, sql::OutcomeDone done) {
  const auto json = Json::parse(request);
  const auto query = json.value("query", std::string{});
  if (query.find_first_not_of(" \t\r\n") == std::string::npos) {
    done(sql::refusal(Code::bad_payload, "query is empty"));
    return;
  }
  if (query.size() > query_bytes_max) {
    done(sql::refusal(Code::too_large, "a query has at most 1024 bytes"));
    return;
  }
  const auto conv = json.value("conv", std::string{});
  if (conv.empty()) {
    search_in(database, asker, ConversationId{0}, configuration, json, std::move(done));
    return;
  }
  if (!is_name(conv)) {
    done(sql::refusal(Code::user_not_found, "no such name"));
    return;
  }
  resolver.resolve(
      asker.user, conv, false,
      [&database, asker, configuration, json, done = std::move(done)](const sql::Resolved& to) {
        if (!to.sender_known) {
          done(sql::refusal(Code::forbidden, "no such user"));
        } else if (to.kind.empty()) {
          done(sql::refusal(Code::user_not_found, "no user or room has this name"));
        } else if (to.conversation.value == 0) {
          done({"", "", R"({"hits":[]})"});  // nothing has been said yet
        } else {
          search_one(database, asker, to.conversation, configuration, json, done);
        }
      });
}

void mentions(PgLink& database, const sql::Asker& asker, const std::string& request,
              sql::OutcomeDone done) {
  const auto json = Json::parse(request);
  std::vector<PgQuery> queries;
  queries.push_back(sql::is_active(asker.user));
  queries.push_back(
      sql::mentions_of(asker.user, json.value("before", std::string{}), limit_of(json)));
  database.submit(std::move(queries), answer_with(std::move(done), [](const auto& found) {
                    return list_of("messages", mentions_that_fit(found));
                  }));
}

}  // namespace parley
