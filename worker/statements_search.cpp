#include "worker/statements_search.hpp"

#include <utility>

namespace parley::sql {
namespace {

const PgStatement has_search_configuration_statement{
    "has_search_configuration",
    "SELECT EXISTS (SELECT FROM pg_ts_config WHERE cfgname = $1 AND pg_ts_config_is_visible(oid))"};

// By the primary key: a head has no other index, so that storing is cheap.
const PgStatement heads_behind_statement{"heads_behind", R"sql(
WITH page AS MATERIALIZED (SELECT conversation_id, last_rev FROM conversation_heads
                           WHERE conversation_id > $1 ORDER BY conversation_id LIMIT $3)
SELECT page.conversation_id, page.last_rev > COALESCE(p.rev, 0)
FROM page LEFT JOIN search_positions p ON p.conversation_id = page.conversation_id AND p.configuration = $2
WHERE page.last_rev > COALESCE(p.rev, 0) OR page.conversation_id = (SELECT max(conversation_id) FROM page)
ORDER BY page.conversation_id)sql"};

// New messages first, $3 at a time; with the last of them, the changes of those that were indexed
// before.
const PgStatement index_next_statement{"index_next", R"sql(
WITH behind AS MATERIALIZED (
  SELECT h.conversation_id, h.last_seq, h.last_rev, GREATEST(COALESCE(p.seq, 0), h.first_seq - 1) AS from_seq,
         COALESCE(p.rev, 0) AS from_rev
  FROM conversation_heads h
  LEFT JOIN search_positions p ON p.conversation_id = h.conversation_id AND p.configuration = $2
  WHERE h.conversation_id = ANY ($1::bigint[]) AND h.last_rev > COALESCE(p.rev, 0)
), step AS MATERIALIZED (
  SELECT b.*, LEAST(b.last_seq, b.from_seq + $3) AS to_seq,
         CASE WHEN b.from_seq + $3 < b.last_seq THEN b.from_rev
              ELSE COALESCE((SELECT c.rev - 1 FROM changes c WHERE c.conversation_id = b.conversation_id AND c.rev > b.from_rev
                             ORDER BY c.rev OFFSET $3 LIMIT 1), b.last_rev) END AS to_rev
  FROM behind b
)
SELECT s.conversation_id, s.to_seq, s.to_rev, s.to_rev < s.last_rev, x.seq, x.created_at::text, x.extra,
       to_jsonb(x.edited_mentions)::text
FROM step s
LEFT JOIN LATERAL (
  SELECT m.seq, m.created_at, m.extra, m.edited_mentions FROM messages m
  WHERE m.conversation_id = s.conversation_id AND m.seq > s.from_seq AND m.seq <= s.to_seq
  UNION ALL
  SELECT m.seq, m.created_at, m.extra, m.edited_mentions
  FROM (SELECT DISTINCT c.seq FROM changes c
        WHERE c.conversation_id = s.conversation_id AND c.rev > s.from_rev AND c.rev <= s.to_rev
          AND c.kind IN ('edited', 'deleted') AND c.seq <= s.from_seq) AS changed
  JOIN messages m ON m.conversation_id = s.conversation_id AND m.seq = changed.seq) AS x ON true
ORDER BY s.conversation_id, x.seq)sql"};

const PgStatement index_messages_statement{
    "index_messages",
    "SELECT index_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"};

const PgStatement search_messages_statement{"search_messages",
                                            "SELECT * FROM search_messages($1, $2, $3, $4, $5)"};
const PgStatement mentions_of_statement{
    "mentions_of", "SELECT * FROM mentions_of($1, NULLIF($2::text, '')::timestamptz, $3)"};

/// Messages that follow each other in a conversation, from the first to the last: created_at rises
/// with seq.
struct Stretches {
  std::vector<std::int64_t> of, from_seq, to_seq;
  std::vector<std::string> from_at, to_at;

  void add(std::int64_t conversation, const IndexWork::Item& item) {
    if (of.empty() || of.back() != conversation || to_seq.back() + 1 != item.seq) {
      of.push_back(conversation);
      from_seq.push_back(item.seq);
      from_at.push_back(item.created_at);
      to_seq.emplace_back();
      to_at.emplace_back();
    }
    to_seq.back() = item.seq;
    to_at.back() = item.created_at;
  }
};

}  // namespace

const PgStatement limit_indexing{"limit_indexing", "SET statement_timeout = '20s'"};
const PgStatement forget_plans{"forget_plans", "DISCARD PLANS"};

PgQuery has_search_configuration(const std::string& configuration) {
  return {&has_search_configuration_statement, std::move(PgParams{}.text(configuration))};
}

bool has_search_configuration_of(const PgRows& rows) { return rows.boolean(0, 0); }

PgQuery heads_behind(ConversationId after, const std::string& configuration, std::int64_t max) {
  return {&heads_behind_statement,
          std::move(PgParams{}.int8(after.value).text(configuration).int8(max))};
}

HeadsBehind heads_behind_of(const PgRows& rows) {
  HeadsBehind page;
  for (int row = 0; row < rows.count(); ++row) {
    page.last = ConversationId{rows.integer(row, 0)};
    if (rows.boolean(row, 1)) page.behind.push_back(page.last);
  }
  return page;
}

PgQuery index_next(const std::vector<ConversationId>& conversations,
                   const std::string& configuration, std::int64_t messages_max) {
  std::vector<std::int64_t> ids;
  ids.reserve(conversations.size());
  for (const auto conversation : conversations) ids.push_back(conversation.value);
  return {&index_next_statement,
          std::move(PgParams{}.int8s(ids).text(configuration).int8(messages_max))};
}

std::vector<IndexWork> index_work_of(const PgRows& rows) {
  std::vector<IndexWork> work;
  for (int row = 0; row < rows.count(); ++row) {
    const ConversationId conversation{rows.integer(row, 0)};
    if (work.empty() || work.back().conversation != conversation) {
      work.push_back(
          {conversation, rows.uint32(row, 1), rows.uint32(row, 2), rows.boolean(row, 3), {}});
    }
    if (rows.is_null(row, 4)) continue;
    IndexWork::Item item{rows.uint32(row, 4), rows.text(row, 5), {}, {}};
    if (!rows.is_null(row, 6)) item.extra = rows.text(row, 6);
    if (!rows.is_null(row, 7)) item.edited_mentions = rows.text(row, 7);
    work.back().items.push_back(std::move(item));
  }
  return work;
}

PgQuery index_messages(const std::string& configuration, const std::vector<IndexWork>& work,
                       const std::vector<std::vector<std::vector<std::string>>>& mentions) {
  Stretches in;
  std::vector<std::int64_t> names_of, names_seq, done_of, done_seq, done_rev;
  std::vector<std::string> names_at, names;
  for (std::size_t i = 0; i < work.size(); ++i) {
    const auto id = work[i].conversation.value;
    done_of.push_back(id);
    done_seq.push_back(work[i].to_seq);
    done_rev.push_back(work[i].to_rev);
    for (std::size_t j = 0; j < work[i].items.size(); ++j) {
      const auto& item = work[i].items[j];
      in.add(id, item);
      for (const auto& name : mentions[i][j]) {
        names_of.push_back(id);
        names_seq.push_back(item.seq);
        names_at.push_back(item.created_at);
        names.push_back(name);
      }
    }
  }
  PgParams params;
  params.text(configuration).int8s(in.of).int8s(in.from_seq).int8s(in.to_seq);
  params.texts(in.from_at).texts(in.to_at);
  params.int8s(names_of).int8s(names_seq).texts(names_at).texts(names);
  params.int8s(done_of).int8s(done_seq).int8s(done_rev);
  return {&index_messages_statement, std::move(params)};
}

PgQuery search_messages(UserId user, ConversationId only_in, const std::string& configuration,
                        const std::string& query, std::int64_t max) {
  return {&search_messages_statement, std::move(PgParams{}
                                                    .int8(user.value)
                                                    .int8(only_in.value)
                                                    .text(configuration)
                                                    .text(query)
                                                    .int8(max))};
}

PgQuery mentions_of(UserId user, const std::string& before, std::int64_t max) {
  return {&mentions_of_statement, std::move(PgParams{}.int8(user.value).text(before).int8(max))};
}

std::vector<FoundMessage> found_of(const PgRows& rows) {
  constexpr int first_of_message = 3;
  std::vector<FoundMessage> found;
  found.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) {
    found.push_back({ConversationId{rows.integer(row, 0)}, rows.text(row, 1), rows.text(row, 2),
                     message_at(rows, row, first_of_message)});
  }
  return found;
}

}  // namespace parley::sql
