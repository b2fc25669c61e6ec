#include "worker/dispatch.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/names.hpp"
#include "core/topic.hpp"
#include "worker/log.hpp"

namespace parley {
namespace {

std::optional<Seq> parse_seq(std::string_view text) {
  Seq seq = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seq);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return seq;
}

/// Takes the contents out of it.
StoredMessage stored_of(PendingSend& pending, const sql::StoreOutcome& outcome) {
  StoredMessage stored{pending.conversation, pending.record.user_id, {}};
  auto& message = stored.message;
  message.id = pending.send.id;
  message.from = pending.record.user;
  message.seq = outcome.seq;
  message.rev = outcome.rev;
  message.time = outcome.time;
  message.content = std::move(pending.send.content);
  if (pending.send.ttl_s != 0) {
    message.expires_time = UnixMillis{outcome.time.value + std::int64_t{pending.send.ttl_s} * 1000};
  }
  return stored;
}

}  // namespace

Dispatch::Dispatch(const Config& config, const Needs& needs)
    : prefix_{config.broker.prefix}, limits_{config.limits}, needs_{needs} {}

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
    needs_.requests.take(origin, *record, *request);
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
  const auto* const known = needs_.resolver.known(user, to);
  if (known != nullptr && needs_.in_order.empty()) {
    PendingSend pending{origin, std::move(record), std::move(send), {}};
    push(pending, *known);
    return;
  }
  const auto pending =
      std::make_shared<PendingSend>(PendingSend{origin, std::move(record), std::move(send), {}});
  // None overtakes an older one, whoever sent it: a replay has to be delivered in the order of the
  // first time.
  needs_.resolver.resolve(
      user, to, true,
      [this, pending, place = needs_.in_order.take()](const sql::Resolved& resolved) {
        needs_.in_order.ready(place, [this, pending, resolved] { push(*pending, resolved); });
      });
}

void Dispatch::push(PendingSend& pending, const sql::Resolved& resolved) {
  pending.conversation = resolved.conversation;
  if (!resolved.sender_known) {
    refused(pending, Code::forbidden, "no such sender");
  } else if (resolved.kind.empty()) {
    refused(pending, Code::user_not_found, "no user or room has this name");
  } else {
    needs_.lanes.push(std::move(pending));
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
  ack_deliveries(answer_to(record, prefix_, format), ack, needs_.publisher.feeds_of(record.user),
                 [this](link::Delivery delivery) { needs_.plugin.deliver(std::move(delivery)); });
}

void Dispatch::settled(PendingSend& pending, const sql::StoreOutcome& outcome,
                       const Conversation* conversation) {
  switch (outcome.status) {
    case sql::StoreStatus::not_member:
      refused(pending, Code::not_member, "you are not in " + pending.send.to);
      return;
    case sql::StoreStatus::read_only:
      refused(pending, Code::forbidden, "you may only read in " + pending.send.to);
      return;
    case sql::StoreStatus::blocked:
      refused(pending, Code::blocked, pending.send.to + " does not want to hear from you");
      return;
    case sql::StoreStatus::stranger:
      refused(pending, Code::forbidden, pending.send.to + " hears from contacts only");
      return;
    case sql::StoreStatus::id_conflict:
      refused(pending, Code::id_conflict, "this id was used for another message");
      return;
    case sql::StoreStatus::stored:
    case sql::StoreStatus::replayed:
      if (conversation != nullptr) {
        needs_.publisher.message(stored_of(pending, outcome), *conversation);
      }
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

void Dispatch::mark_read_by_sending(const PendingSend& pending, const sql::StoreOutcome& outcome) {
  if ((pending.record.flags & link::record_flag::holds_inbox) == 0) return;
  sql::MarkUpdate update;
  update.user = pending.record.user_id;
  update.conversation = pending.conversation;
  update.published = true;  // the user's cursor; what the device holds it says by itself
  // Who has read it holds it, too; but a session without a device begins where its user holds
  // everything, so it is to have it first.
  const bool catches_up = needs_.backlogs.catches_up_without_device(pending.record.user);
  (catches_up ? update.said_seq : update.read_seq) = outcome.seq;
  needs_.backlogs.begin_devices(pending.record.user);
  const bool not_seen = needs_.sessions.find(pending.record.session_no) == nullptr;
  if (not_seen && !pending.record.device.empty()) {
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
  if (*seq >= sql::seq_of_all) {  // of what is there now, not when it is written
    (topic.read ? update.read_before
                : update.got_before) = {record.received_at.value + needs_.database_ahead()};
  } else {
    (topic.read ? update.read_seq : update.got_seq) = *seq;
  }
  needs_.resolver.resolve_member(
      record.user_id, std::string{topic.conv},
      [this, origin, record, update, seq = *seq](const sql::Resolved& resolved) mutable {
        if (resolved.kind.empty()) {
          err(origin, record, Code::user_not_found, "no user or room has this name");
        } else if (resolved.kind == "room" && !resolved.member) {
          err(origin, record, Code::not_member, "you are not in this room");
        } else if (resolved.conversation.value == 0 && !update.confirms) {
          needs_.plugin.done(origin);  // nothing has been said that could be got
        } else {  // without a conversation it still says that this device confirms
          update.conversation = resolved.conversation;
          if (update.confirms) needs_.auto_got.set_confirms(record.session_no);
          needs_.backlogs.begin_devices(record.user);
          needs_.cursors.raise(update, origin);
          tell_backlogs(record, update, seq);
        }
      });
}

/// What a device says it holds counts for its session of now, whichever it said it in.
void Dispatch::tell_backlogs(const link::InboundRecord& record, const sql::MarkUpdate& update,
                             Seq seq) {
  if (record.device.empty()) return;
  for (const auto session_no : needs_.sessions.of(record.user)) {
    if (needs_.sessions.find(session_no)->device != record.device) continue;
    needs_.backlogs.got(session_no, update.conversation, seq, update.confirms);
  }
}

}  // namespace parley
