// The statements behind `do` (docs/adr/0006): their parameters and their rows as values.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/code.hpp"
#include "core/ids.hpp"
#include "core/link.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/statements.hpp"

namespace parley::sql {

struct Asker {
  UserId user;
  std::string name;
  std::string device;  // empty: not a named device
  std::uint8_t scope = 0;
  Origin origin;
  UnixMillis received_at;
  std::string limits;  // JSON: what schema/migrations/0004_requests.sql reads
  // Of the token it was asked with; for the worker alone.
  std::uint32_t token_expires_at = 0;  // unix seconds, 0 = never
  std::uint32_t token_generation = 0;
  std::optional<std::uint32_t> device_generation;  // at the session's login, if it was known
  bool bound = false;                              // to the device
};

/// Where a request is carried out. Without a lane it touches no conversation's order.
struct InLane {
  std::uint32_t lane = 0;
  std::uint64_t epoch = 0;
};
/// @param conversation  0 if the method has none
/// @param request       JSON (core/request_wire.hpp)
PgQuery carry_out(std::optional<InLane> lane, std::string_view method, const Asker& asker,
                  ConversationId conversation, std::string_view request);
struct Outcome {
  std::string code;  // a word of core/code.hpp; empty: it is done
  std::string detail;
  std::string result;  // JSON
};
/// Called once, from the loop; what can be refused at once before the call returns.
using OutcomeDone = std::function<void(const Outcome&)>;
Outcome refusal(Code code, std::string detail);
/// What is told of a request that the database did not carry out, or perhaps did.
Code code_of(const PgFault& fault);
Outcome refusal(const PgFault& fault);
/// Nothing: another worker owns the lane.
std::optional<Outcome> outcome_of(const PgRows& rows);

/// What a request has changed, now or when it was carried out before; by rev.
PgQuery changes_of(const Origin& origin);
struct Change {
  ConversationId conversation;
  Rev rev = 0;
  UnixMillis time;
  std::string event;                     // JSON, see core/request_wire.hpp
  std::string also_to;                   // a name; empty: nobody beside the members
  std::optional<MessageRow> message;     // of kind system, with the same rev
  std::vector<std::string> hidden_from;  // members who do not see the message that it is about
};
std::vector<Change> changes_of(const PgRows& rows);

/// Whom a request has invited, and what they are told.
PgQuery invitations_of(const Origin& origin);
struct Invitation {
  std::string to;
  UnixMillis time;
  std::string event;  // JSON
};
std::vector<Invitation> invitations_of(const PgRows& rows);

/// Members of the conversations that a request has changed, but for `known`, which is asked for
/// anyway; rows as of members_of_stale.
PgQuery members_of_changed(const Origin& origin, ConversationId known);

/// What a new token of this user has to say, for one of his devices or (empty) for all.
PgQuery token_generation(const Asker& asker, const std::string& device);
struct TokenGeneration {
  bool known = false;  // false: there is no such user any more, or the asker's token is void
  bool too_many = false;
  std::uint32_t generation = 0;
};
TokenGeneration token_generation_of(const PgRows& rows);

/// When somebody, or one of his devices, was last online, and until when he was there for sure.
/// What is not set stays; nothing goes back.
struct LastSeen {
  UserId user;
  std::string device;  // empty: he himself; told_until: his sessions without a device
  std::optional<UnixMillis> time;
  std::optional<UnixMillis> told_until;
};
std::vector<PgQuery> set_last_seen(const std::vector<LastSeen>& seen);

}  // namespace parley::sql
