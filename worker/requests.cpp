#include "worker/requests.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/names.hpp"
#include "core/request_wire.hpp"
#include "core/room_create.hpp"
#include "core/topic.hpp"
#include "worker/audience.hpp"
#include "worker/history.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"
#include "worker/stored_message.hpp"

namespace parley {
namespace {

constexpr std::size_t waiting_max = 1'000;  // beyond: BUSY
constexpr std::size_t of_user_max = 100;
// Less than what the broker is known to carry (link::probe_bytes): what it refuses would be sent
// to it again for ever, and everything else would wait behind.
constexpr std::size_t reply_bytes_max = 640 * 1024;

std::string id_of(const link::InboundRecord& record, const DoTopic& topic) {
  std::string id{topic.id};
  if (id.empty()) {
    const auto found = std::find_if(record.properties.begin(), record.properties.end(),
                                    [](const auto& property) { return property.key == "id"; });
    if (found != record.properties.end()) id = found->value;
  }
  return is_request_id(id) ? id : std::string{};
}

std::string limits_json(const Limits& limits) {
  return nlohmann::json{{"room_members", limits.room_members_max},
                        {"text_bytes", limits.text_bytes_max},
                        {"mentions", limits.mentions_max}}
      .dump();
}

/// The name that a request is about; empty if it says none.
std::string target_of(const Method& method, const std::string& json) {
  const char* const field = method.target == MethodTarget::room ? "room" : "conv";
  return nlohmann::json::parse(json).value(field, std::string{});
}

}  // namespace

Requests::Requests(asio::io_context& loop, const Config& config, Needs needs)
    : prefix_{config.broker.prefix},
      limits_{limits_json(config.limits)},
      timeout_ms_{config.delivery.request_timeout_ms},
      needs_{std::move(needs)},
      timer_{loop} {
  watch_deadlines();
}

void Requests::take(const Origin& origin, const link::InboundRecord& record, const DoTopic& topic) {
  auto request = std::make_shared<Request>();
  request->asker = {record.user_id,
                    record.user,
                    record.device,
                    static_cast<std::uint8_t>(record.scope),
                    origin,
                    record.received_at,
                    limits_,
                    record.token_expires_at,
                    record.token_generation,
                    record.device_generation,
                    (record.flags & link::record_flag::bound) != 0};
  request->session_no = record.session_no;
  request->to = answer_to(record, prefix_, topic.format);
  request->id = id_of(record, topic);
  request->method = find_method(topic.method);
  if (record.refused) {
    fail(request, *record.refused, "refused by the broker's plugin");
    return;
  }
  const auto age_ms = wall_now().value - record.received_at.value;
  if (age_ms >= timeout_ms_) {
    request->open = true;
    fail(request, Code::timeout, "not carried out: it waited too long");
    look_again(request, record, topic);
    return;
  }
  if (open_ >= waiting_max || open_of_[record.user] >= of_user_max) {
    fail(request, Code::busy, "too many requests are waiting");
    return;
  }
  request->deadline = {mono_now().value + timeout_ms_};
  requests_.push_back(request);
  ++open_;
  ++open_of_[record.user];
  request->counted = true;
  admit(request, record, topic);
}

void Requests::admit(const Shared& request, const link::InboundRecord& record,
                     const DoTopic& topic) {
  if (request->method == nullptr) {
    fail(request, Code::unknown_method, "this server does not know " + std::string{topic.method});
    return;
  }
  const auto& method = *request->method;
  if ((record.scope & method.scope) != method.scope) {
    fail(request, Code::forbidden, "the token's scope does not cover it");
    return;
  }
  if (method.name == "sync") {
    sync(request, record);
    return;
  }
  if (method.name == "history") {
    history(request, record.payload);
    return;
  }
  auto json = request_json(method.name, topic.format, record.payload);
  if (!json) {
    fail(request, json.error().code, json.error().detail);
    return;
  }
  request->json = std::move(*json);
  if (method.way == MethodWay::special) {
    special(request);
    return;
  }
  run(request);
}

void Requests::special(const Shared& request) {
  request->open = true;
  needs_.specials.carry_out(
      {request->method, request->asker, request->json, request->to, request->id,
       request->session_no, [request] { return !request->answered; }},
      [this, request](const sql::Outcome& outcome) {
        answer(request, outcome);
        ended(request);
        needs_.turn();
      });
}

/// What it may have changed before a crash is told all the same.
void Requests::look_again(const Shared& request, const link::InboundRecord& record,
                          const DoTopic& topic) {
  const bool changes = request->method != nullptr && request->method->way == MethodWay::changes;
  auto json = changes ? request_json(request->method->name, topic.format, record.payload)
                      : Result<std::string, WireError>{parley::failed(WireError{})};
  if (!json) {
    ended(request);
    return;
  }
  request->json = std::move(*json);
  run(request);
}

void Requests::run(const Shared& request) {
  const auto& method = *request->method;
  if (method.target == MethodTarget::new_room) {
    request->json = plain_room_create(request->json, request->asker.name);
  }
  request->open = true;
  if (method.way == MethodWay::changes) request->place = needs_.in_order.take();
  if (method.target == MethodTarget::none || method.target == MethodTarget::new_room) {
    located(request, ConversationId{0});
    return;
  }
  const bool room = method.target == MethodTarget::room;
  const auto name = target_of(method, request->json);
  if (name.empty()) {
    not_located(request, Code::bad_payload, std::string{room ? "room" : "conv"} + " is missing");
  } else if (!is_name(name)) {
    not_located(request, room ? Code::room_not_found : Code::user_not_found, "no such name");
  } else {
    needs_.resolver.resolve(request->asker.user, name, false,
                            [this, request, room](const sql::Resolved& found) {
                              resolved(request, room, found);
                              needs_.turn();
                            });
  }
}

void Requests::resolved(const Shared& request, bool room, const sql::Resolved& found) {
  if (!found.sender_known) {
    not_located(request, Code::forbidden, "no such user");
  } else if (room && found.kind != "room") {
    not_located(request, Code::room_not_found, "no room has this name");
  } else if (found.kind.empty()) {
    not_located(request, Code::user_not_found, "no user or room has this name");
  } else if (found.conversation.value == 0) {
    not_located(request, Code::not_found, "nothing has been said there yet");
  } else {
    located(request, found.conversation);
  }
}

void Requests::located(const Shared& request, ConversationId conversation) {
  if (const auto place = std::exchange(request->place, nullptr); place != nullptr) {
    needs_.in_order.ready(place, [this, request, conversation] { change(request, conversation); });
  } else if (request->method->name == "receipts") {
    // What was said before it counts.
    needs_.cursors.after_raised(
        [this, request, conversation] { carry_out(request, conversation); });
  } else {
    carry_out(request, conversation);
  }
}

void Requests::not_located(const Shared& request, Code code, const std::string& detail) {
  const auto end = [this, request, code, detail] {
    fail(request, code, detail);
    ended(request);
  };
  if (const auto place = std::exchange(request->place, nullptr); place != nullptr) {
    needs_.in_order.ready(place, end);
  } else {
    end();
  }
}

void Requests::carry_out(const Shared& request, ConversationId conversation) {
  if (request->answered) {
    ended(request);
    return;
  }
  std::vector<PgQuery> queries;
  queries.push_back(sql::carry_out(std::nullopt, request->method->name, request->asker,
                                   conversation, request->json));
  needs_.database.submit(std::move(queries), [this, request, conversation](auto result) {
    // An answer that was lost may have been a yes.
    bool may_be_done = true;
    if (result) {
      const auto outcome = *sql::outcome_of(result->at(0));
      may_be_done = outcome.code.empty();
      answer(request, outcome);
      needs_.state.requested(request->method->name, request->asker, conversation, request->json);
    } else {
      fault(request, result.error());
    }
    if (request->method->revokes && may_be_done) needs_.revoked();
    ended(request);
    needs_.turn();
  });
}

/// In the order of the conversation's messages. After its time it only looks what it did when it
/// was tried before.
void Requests::change(const Shared& request, ConversationId conversation) {
  PendingChange change{conversation,
                       request->method->name,
                       request->asker,
                       request->json,
                       [request] { return !request->answered; },
                       [this, request](const auto& result) { changed(request, result); }};
  needs_.lanes.push(std::move(change));
}

void Requests::changed(const Shared& request, const Result<Changed, PgFault>& result) {
  if (result) {
    tell(*result);
    if (result->outcome) answer(request, *result->outcome);
  } else {
    fault(request, result.error());
  }
  ended(request);
  needs_.turn();
}

void Requests::tell(const Changed& changed) {
  Audiences audiences{changed};
  for (const auto& change : changed.changes) {
    const auto conversation = audiences.of(change);
    if (conversation == nullptr) continue;
    // The event first: who holds a message has been told of everything up to its rev.
    const Event event{conversation->room, change.rev, change.time, change.event};
    needs_.publisher.event(event, *conversation);
    if (!change.also_to.empty()) needs_.publisher.event_to(change.also_to, event);
    if (!change.message) continue;
    needs_.publisher.message(stored_message(change.conversation, *change.message), *conversation);
    needs_.publisher.hold_full();
  }
  for (const auto& invitation : changed.invitations) {
    needs_.publisher.event_to(invitation.to, {"", 0, invitation.time, invitation.event});
  }
}

void Requests::history(const Shared& request, std::string_view payload) {
  auto decoded = decode_history_request(request->to.format, payload);
  if (!decoded) {
    fail(request, decoded.error().code, decoded.error().detail);
    return;
  }
  request->open = true;
  read_history(needs_.database, needs_.resolver, request->asker.user, std::move(*decoded),
               [this, request](std::variant<ReplyFailed, HistoryResult> result) {
                 reply(request, encode_reply(request->to.format, {request->id, std::move(result)}));
                 ended(request);
                 needs_.turn();
               });
}

void Requests::sync(const Shared& request, const link::InboundRecord& record) {
  const auto json = request_json("sync", request->to.format, record.payload);
  if (!json) {
    fail(request, json.error().code, json.error().detail);
    return;
  }
  request->open = true;
  needs_.syncs.take(request->asker, record.session_no, *json,
                    [this, request](const std::variant<ReplyFailed, std::string>& result) {
                      if (const auto* json_result = std::get_if<std::string>(&result)) {
                        answer(request, {"", "", *json_result});
                      } else {
                        const auto& failure = std::get<ReplyFailed>(result);
                        fail(request, failure.code, failure.detail);
                      }
                      ended(request);
                      needs_.turn();
                    });
}

void Requests::answer(const Shared& request, const sql::Outcome& outcome) {
  if (!outcome.code.empty()) {
    fail(request, code_from(outcome.code).value_or(Code::unavailable), outcome.detail);
    return;
  }
  auto payload = encode_result(request->to.format, request->method->name, request->id,
                               with_presence(*request, outcome.result));
  if (payload && payload->size() > reply_bytes_max) {
    fail(request, Code::too_large, "the result is too large: ask for less at once");
    return;
  }
  if (payload) {
    reply(request, *payload);
    return;
  }
  // Without the result: it may hold a token.
  log::error("event=bad_result method={} bytes={}", request->method->name, outcome.result.size());
  fail(request, Code::unavailable, "the result cannot be told");
}

/// What the database cannot know: who is online now.
std::string Requests::with_presence(const Request& request, const std::string& result) const {
  const auto& name = request.method->name;
  if (name != "presence.get" && name != "device.list") return result;
  auto json = nlohmann::json::parse(result);
  if (name == "presence.get") {
    for (auto& user : json["users"]) {
      user["online"] = needs_.attendance.is_online(user["user"].get<std::string>());
    }
  } else {
    for (auto& device : json["devices"]) {
      device["online"] =
          needs_.attendance.is_online(request.asker.name, device["device"].get<std::string>());
    }
  }
  return json.dump();
}

void Requests::fault(const Shared& request, const PgFault& fault) {
  log::error("event=request_failed method={} sqlstate={} err={}", request->method->name,
             fault.sqlstate, log::quoted(fault.what));
  answer(request, sql::refusal(fault));
}

void Requests::fail(const Shared& request, Code code, const std::string& detail) {
  reply(request, encode_reply(request->to.format, {request->id, ReplyFailed{code, detail}}));
}

void Requests::reply(const Shared& request, const std::string& payload) {
  if (std::exchange(request->answered, true)) return;
  needs_.plugin.deliver(reply_delivery(request->to, request->id, payload));
  if (!request->open) close(request);
}

void Requests::ended(const Shared& request) {
  if (std::exchange(request->open, false) && request->answered) close(request);
}

void Requests::close(const Shared& request) {
  if (request->counted) {
    --open_;
    const auto of_user = open_of_.find(request->to.user);
    if (--of_user->second == 0) open_of_.erase(of_user);
  }
  needs_.plugin.done(request->asker.origin);
}

void Requests::watch_deadlines() {
  timer_.expires_after(std::chrono::milliseconds{100});
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    const auto now = mono_now();
    while (!requests_.empty() &&
           (requests_.front()->answered || requests_.front()->deadline <= now)) {
      const auto request = requests_.front();
      requests_.pop_front();
      fail(request, Code::timeout, "the store did not answer in time");
    }
    needs_.turn();
    watch_deadlines();
  });
}

}  // namespace parley
