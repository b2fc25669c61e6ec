// The statements of the search index (schema/migrations/0011_search.sql): their parameters and
// their rows as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "worker/pg_link.hpp"
#include "worker/statements.hpp"

namespace parley::sql {

/// Whether the database has this text search configuration. One row.
PgQuery has_search_configuration(const std::string& configuration);
bool has_search_configuration_of(const PgRows& rows);

extern const PgStatement limit_indexing;  // the time of statements, on the indexer's connection
/// From here on its statements are planned for the tables as they are now.
extern const PgStatement forget_plans;

/// Which conversations behind `after` are behind with the index: one page of at most `max`.
PgQuery heads_behind(ConversationId after, const std::string& configuration, std::int64_t max);
struct HeadsBehind {
  std::vector<ConversationId> behind;
  ConversationId last;  // of the page; 0: there are no more
};
HeadsBehind heads_behind_of(const PgRows& rows);

/// What is to be indexed next of those of these conversations that are behind: at most
/// `messages_max` messages of each, and as many changes.
PgQuery index_next(const std::vector<ConversationId>& conversations,
                   const std::string& configuration, std::int64_t messages_max);
struct IndexWork {
  ConversationId conversation;
  Seq to_seq = 0;  // where the conversation stands after it
  Rev to_rev = 0;
  bool more = false;
  struct Item {
    Seq seq = 0;
    std::string created_at;  // as the database says it: its microseconds count
    std::optional<std::string> extra;
    std::optional<std::string> edited_mentions;  // JSON list
  };
  std::vector<Item> items;
};
std::vector<IndexWork> index_work_of(const PgRows& rows);

/// Indexes that. `mentions` has the names mentioned in each item of each work, in their order.
PgQuery index_messages(const std::string& configuration, const std::vector<IndexWork>& work,
                       const std::vector<std::vector<std::vector<std::string>>>& mentions);

/// @param only_in  0: in all conversations of the user
PgQuery search_messages(UserId user, ConversationId only_in, const std::string& configuration,
                        const std::string& query, std::int64_t max);
/// @param before  as JSON has it; empty: the newest
PgQuery mentions_of(UserId user, const std::string& before, std::int64_t max);
struct FoundMessage {
  ConversationId conversation;
  std::string conv;  // as the asker calls it
  std::string snippet;
  MessageRow message;
};
std::vector<FoundMessage> found_of(const PgRows& rows);  // of either

}  // namespace parley::sql
