#include "worker/dispatch.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "core/names.hpp"
#include "core/token.hpp"
#include "core/topic.hpp"
#include "worker/history.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::size_t requests_waiting_max = 1'000;  // beyond: BUSY
constexpr std::size_t requests_of_user_max = 100;

std::optional<Seq> parse_seq(std::string_view text) {
  Seq seq = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seq);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return seq;
}

std::string_view property_of(const link::InboundRecord& record, std::string_view key) {
  for (const auto& property : record.properties) {
    if (property.key == key) return property.value;
  }
  return {};
}

StoredMessage stored_of(const PendingSend& pending, const sql::StoreOutcome& outcome) {
  StoredMessage stored{pending.conversation, pending.record.user_id, {}};
  auto& message = stored.message;
  message.id = pending.send.id;
  message.from = pending.record.user;
  message.seq = outcome.seq;
  message.rev = outcome.rev;
  message.time = outcome.time;
  message.content = pending.send.content;
  if (pending.send.ttl_s != 0) {
    message.expires_time = UnixMillis{outcome.time.value + std::int64_t{pending.send.ttl_s} * 1000};
  }
  return stored;
}

}  // namespace

Dispatch::Dispatch(asio::io_context& loop, const Config& config, Needs needs)
    : prefix_{config.broker.prefix},
      limits_{config.limits},
      request_timeout_ms_{config.delivery.request_timeout_ms},
      needs_{std::move(needs)},
      timer_{loop} {
  watch_deadlines();
}

std::uint32_t Dispatch::feeds_of(std::string_view user) const {
  // Not knowing who is there costs some publishes that nobody gets, never a message.
  return needs_.plugin.sessions_sure() ? needs_.sessions.feeds_of(user) : feed::all_but_state;
}

void Dispatch::on_record(const Origin& origin, const std::string& bytes) {
  auto record = link::decode_record(bytes);
  const std::string rest = record ? record->topic_rest : "";  // the topic views into it
  const auto topic = parse_client_topic(rest);
  if (!record || !topic) {
    // The plugin lets nothing of this kind through: a bug, or a spool of another version.
    log::error("event=bad_record ingest_no={} bytes={}", origin.ingest_no, bytes.size());
    needs_.plugin.done(origin);
    return;
  }
  if (const auto* send = std::get_if<SendTopic>(&*topic)) {
    on_send(origin, std::move(*record), *send);
  } else if (const auto* will = std::get_if<WillTopic>(&*topic)) {
    on_send(origin, std::move(*record), SendTopic{Format::text, will->to, ""});
  } else if (const auto* mark = std::get_if<MarkTopic>(&*topic)) {
    on_mark(origin, *record, *mark);
  } else if (const auto* request = std::get_if<DoTopic>(&*topic)) {
    on_do(origin, *record, *request);
  } else {
    needs_.plugin.done(origin);  // typing is never stored
  }
}

void Dispatch::on_send(const Origin& origin, link::InboundRecord record, const SendTopic& topic) {
  auto send = admit_send(record, topic, limits_);
  if (!send) {
    Ack ack;
    ack.id = send.error().id;
    ack.code = send.error().code;
    ack.detail = send.error().detail;
    ack.conv = topic.to;
    refuse_send(origin, record, send.error().format, ack);
    return;
  }
  send_to(origin, std::move(record), std::move(*send));
}

void Dispatch::send_to(const Origin& origin, link::InboundRecord record, SendMessage send) {
  const auto user = record.user_id;
  const auto to = send.to;
  const auto held = std::make_shared<Held>(
      Held{PendingSend{origin, std::move(record), std::move(send), {}}, std::nullopt});
  held_.push_back(held);
  needs_.resolver.resolve(user, to, true, [this, held](const sql::Resolved& resolved) {
    held->resolved = resolved;
    push_resolved();
  });
}

void Dispatch::push_resolved() {
  while (!held_.empty() && held_.front()->resolved) {
    const auto held = std::move(held_.front());
    held_.pop_front();
    held->pending.conversation = held->resolved->conversation;
    if (!held->resolved->sender_known) {
      refused(held->pending, Code::forbidden, "no such sender");
    } else if (held->resolved->kind.empty()) {
      refused(held->pending, Code::user_not_found, "no user or room has this name");
    } else {
      needs_.lanes.push(std::move(held->pending));
    }
  }
}

void Dispatch::refused(const PendingSend& pending, Code code, const std::string& detail) {
  Ack ack;
  ack.id = pending.send.id;
  ack.code = code;
  ack.detail = detail;
  ack.conv = pending.send.to;
  refuse_send(pending.origin, pending.record, pending.send.format, ack);
}

void Dispatch::refuse_send(const Origin& origin, const link::InboundRecord& record, Format format,
                           const Ack& ack) {
  log::debug("event=send_refused user={} code={} ingest_no={}", record.user, to_string(*ack.code),
             origin.ingest_no);
  answer(record, format, ack);
  needs_.plugin.done(origin);
}

void Dispatch::answer(const link::InboundRecord& record, Format format, const Ack& ack) {
  for (auto& delivery :
       ack_deliveries(answer_to(record, prefix_, format), ack, feeds_of(record.user))) {
    needs_.plugin.deliver(std::move(delivery));
  }
}

void Dispatch::settled(const PendingSend& pending, const sql::StoreOutcome& outcome,
                       const Conversation* conversation) {
  switch (outcome.status) {
    case sql::StoreStatus::not_member:
      refused(pending, Code::not_member, "you are not in " + pending.send.to);
      return;
    case sql::StoreStatus::read_only:
      refused(pending, Code::forbidden, "you may only read in " + pending.send.to);
      return;
    case sql::StoreStatus::id_conflict:
      refused(pending, Code::id_conflict, "this id was used for another message");
      return;
    case sql::StoreStatus::stored:
    case sql::StoreStatus::replayed:
      if (conversation != nullptr) publish(pending, outcome, *conversation);
      mark_read_by_sending(pending, outcome);
      break;
    case sql::StoreStatus::repeated:
      break;
  }
  Ack ack;
  ack.id = pending.send.id;
  ack.ok = true;
  ack.conv = pending.send.to;
  ack.seq = outcome.seq;
  ack.rev = outcome.rev;
  ack.time = outcome.time;
  // Last: a worker that dies before it finds the record in the spool again.
  answer(pending.record, pending.send.format, ack);
  needs_.plugin.done(pending.origin);
  needs_.backlogs.hold_full();
}

void Dispatch::publish(const PendingSend& pending, const sql::StoreOutcome& outcome,
                       const Conversation& conversation) {
  const auto stored = std::make_shared<const StoredMessage>(stored_of(pending, outcome));
  for (auto& delivery :
       fan_out(*stored, conversation, [this](std::string_view user) { return feeds_of(user); })) {
    needs_.plugin.deliver(std::move(delivery));
  }
  for (const auto& member : conversation.members) {
    for (const auto session_no : needs_.sessions.of(member.name)) {
      const auto* session = needs_.sessions.find(session_no);
      const auto conv = conv_for(conversation, member.user);
      if (!covers(*session, conv)) continue;
      if (session->syncing) {
        needs_.backlogs.stored(*session, stored, conversation.is_room, conv);
      } else {
        needs_.backlogs.live(*session, *stored);
      }
    }
  }
}

void Dispatch::mark_read_by_sending(const PendingSend& pending, const sql::StoreOutcome& outcome) {
  if ((pending.record.flags & link::record_flag::holds_inbox) == 0) return;
  sql::MarkUpdate update;
  update.user = pending.record.user_id;
  update.conversation = pending.conversation;
  update.read_seq = outcome.seq;
  update.published = true;  // the user's cursor; what the device holds it says by itself
  // A new device begins where its user stands. What it sends itself must not move that before it is
  // known: it would never get what came before.
  const auto* session = needs_.sessions.find(pending.record.session_no);
  const bool may_be_new = session == nullptr || session->syncing;
  if (may_be_new && !pending.record.device.empty()) {
    needs_.cursors.begin(pending.record.user_id, pending.record.device);
  }
  needs_.cursors.raise(update);
}

void Dispatch::err(const Origin& origin, const link::InboundRecord& record, Code code,
                   std::string_view detail) {
  needs_.plugin.deliver(
      err_delivery(record.user, code, user_topic(prefix_, record.user, record.topic_rest), detail));
  needs_.plugin.done(origin);
}

void Dispatch::on_mark(const Origin& origin, const link::InboundRecord& record,
                       const MarkTopic& topic) {
  const auto seq = parse_seq(record.payload);
  if (!seq) {
    err(origin, record, Code::bad_payload, "a seq is a decimal number");
    return;
  }
  if (!is_name(topic.conv)) {
    err(origin, record, Code::user_not_found, "no user or room has this name");
    return;
  }
  sql::MarkUpdate update;
  update.user = record.user_id;
  update.device = record.device;
  update.published = true;
  update.confirms = !topic.read && !record.device.empty();
  (topic.read ? update.read_seq : update.got_seq) = *seq;
  if (update.confirms) needs_.auto_got.drop(record.session_no);
  needs_.resolver.resolve(
      record.user_id, std::string{topic.conv}, false,
      [this, origin, record, update](const sql::Resolved& resolved) mutable {
        if (resolved.kind.empty()) {
          err(origin, record, Code::user_not_found, "no user or room has this name");
        } else if (resolved.conversation.value == 0 && !update.confirms) {
          needs_.plugin.done(origin);  // nothing has been said that could be got
        } else {  // without a conversation it still says that this device confirms
          update.conversation = resolved.conversation;
          needs_.cursors.raise(update, origin);
          tell_backlogs(record, update);
        }
      });
}

/// What a device says it holds counts for its session of now, whichever it said it in.
void Dispatch::tell_backlogs(const link::InboundRecord& record, const sql::MarkUpdate& update) {
  if (record.device.empty()) return;
  for (const auto session_no : needs_.sessions.of(record.user)) {
    if (needs_.sessions.find(session_no)->device != record.device) continue;
    needs_.backlogs.got(session_no, update.conversation, std::max(update.got_seq, update.read_seq),
                        update.confirms);
  }
}

void Dispatch::on_do(const Origin& origin, const link::InboundRecord& record,
                     const DoTopic& topic) {
  auto request = std::make_shared<Request>();
  request->origin = origin;
  request->to = answer_to(record, prefix_, topic.format);
  request->id = topic.id.empty() ? std::string{property_of(record, "id")} : std::string{topic.id};
  if (!is_request_id(request->id)) request->id.clear();
  if (record.refused) {
    reply(request, ReplyFailed{*record.refused, "refused by the broker's plugin"});
    return;
  }
  const auto age_ms = wall_now().value - record.received_at.value;
  if (age_ms >= request_timeout_ms_) {
    reply(request, ReplyFailed{Code::timeout, "not carried out: it waited too long"});
    return;
  }
  if (unanswered_ >= requests_waiting_max || unanswered_of_[record.user] >= requests_of_user_max) {
    reply(request, ReplyFailed{Code::busy, "too many requests are waiting"});
    return;
  }
  request->deadline = {mono_now().value + request_timeout_ms_};
  requests_.push_back(request);
  ++unanswered_;
  ++unanswered_of_[record.user];
  request->counted = true;
  run(request, record, topic);
}

void Dispatch::run(const std::shared_ptr<Request>& request, const link::InboundRecord& record,
                   const DoTopic& topic) {
  if (topic.method != "history") {
    reply(request, ReplyFailed{Code::unknown_method,
                               "this server does not know " + std::string{topic.method}});
    return;
  }
  if ((record.scope & scope::receive) == 0) {
    reply(request, ReplyFailed{Code::forbidden, "the token's scope does not cover it"});
    return;
  }
  auto decoded = decode_history_request(topic.format, record.payload);
  if (!decoded) {
    reply(request, ReplyFailed{decoded.error().code, decoded.error().detail});
    return;
  }
  read_history(needs_.database, needs_.resolver, record.user_id, std::move(*decoded),
               [this, request](std::variant<ReplyFailed, HistoryResult> result) {
                 reply(request, std::move(result));
                 needs_.turn();
               });
}

void Dispatch::reply(const std::shared_ptr<Request>& request,
                     std::variant<ReplyFailed, HistoryResult> result) {
  if (std::exchange(request->answered, true)) return;
  if (request->counted) {
    --unanswered_;
    const auto of_user = unanswered_of_.find(request->to.user);
    if (--of_user->second == 0) unanswered_of_.erase(of_user);
  }
  needs_.plugin.deliver(reply_delivery(request->to, Reply{request->id, std::move(result)}));
  needs_.plugin.done(request->origin);
}

void Dispatch::watch_deadlines() {
  timer_.expires_after(std::chrono::milliseconds{100});
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    const auto now = mono_now();
    while (!requests_.empty() &&
           (requests_.front()->answered || requests_.front()->deadline <= now)) {
      const auto request = requests_.front();
      requests_.pop_front();
      reply(request, ReplyFailed{Code::timeout, "the store did not answer in time"});
    }
    needs_.turn();
    watch_deadlines();
  });
}

}  // namespace parley
