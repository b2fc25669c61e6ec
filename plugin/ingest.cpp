// Accepted publishes on their way into the spool (docs/ARCHITECTURE.md, "Life of a message"; what
// happens when something is too much: docs/protocol.md, "Guarantees" and "Codes and limits").

#include <algorithm>
#include <utility>
#include <variant>

#include "core/fault_point.hpp"
#include "core/topic.hpp"
#include "core/wire.hpp"
#include "plugin/judge.hpp"
#include "plugin/plugin.hpp"

namespace parley::plugin {
namespace {

/// More digits than any number of ours has.
constexpr std::size_t mark_bytes_max = 64;
/// Anything but success and "denied" ends the connection: the only way to tell a 3.1.1 publisher
/// that something was not taken, as its PUBACK says yes.
constexpr int disconnect = MOSQ_ERR_ADMINISTRATIVE_ACTION;

/// One publish that passed the checks of its topic.
struct Publish {
  Session& session;
  const ClientTopic& topic;
  std::string_view topic_name;
  std::string_view topic_rest;
  std::string_view payload;
  int qos;
  const mosquitto_property* properties;
  Now now;
};

std::uint32_t flags_of(const Session& session, int qos) {
  std::uint32_t flags = 0;
  if (session.is_mqtt5()) flags |= link::record_flag::mqtt5;
  if (qos == 0) flags |= link::record_flag::qos0;
  if ((session.feeds.mask() & feed::inbox_any) != 0) flags |= link::record_flag::holds_inbox;
  if (session.bound) flags |= link::record_flag::bound;
  return flags;
}

link::InboundRecord record_of(const Session& session, std::string_view topic_rest,
                              std::string_view payload, int qos, const Now& now) {
  link::InboundRecord record;
  record.received_at = now.wall;
  record.user = session.name();
  record.user_id = session.user_id;
  record.session_no = session.no;
  record.client_id = session.client_id.view();
  record.device = session.device();
  record.scope = session.scope;
  record.token_expires_at = session.expires_at;
  record.token_generation = session.generation;
  if (session.has_device_generation) record.device_generation = session.device_generation;
  record.flags = flags_of(session, qos);
  record.topic_rest = topic_rest;
  record.payload = payload;
  return record;
}

link::InboundRecord record_of(const Publish& publish) {
  auto record =
      record_of(publish.session, publish.topic_rest, publish.payload, publish.qos, publish.now);
  if (publish.properties != nullptr) {
    auto properties = read_properties(publish.properties);
    record.properties = std::move(properties.user);
    record.response_topic = std::move(properties.response_topic);
    record.correlation_data = std::move(properties.correlation_data);
  }
  return record;
}

/// A refusal where the broker's answer can tell it, else as a line on `err`.
int refuse(Plugin& plugin, const Publish& publish, Code code, std::string_view detail) {
  refuse_publish(plugin, publish.session, {code, detail}, publish.topic_name, publish.qos);
  return hears_refusals(publish.session, publish.qos) ? MOSQ_ERR_ACL_DENIED : MOSQ_ERR_SUCCESS;
}

/// What nobody misses is dropped: said once a second, and not for each.
int drop_for_rate(Plugin& plugin, const Publish& publish, std::string_view detail) {
  if (hears_refusals(publish.session, publish.qos) ||
      publish.session.error_rates().rate_lines.take(publish.now.mono)) {
    return refuse(plugin, publish, Code::rate_limited, detail);
  }
  ++plugin.counters.refused;
  return MOSQ_ERR_SUCCESS;
}

/// Never a PUBACK for a `send` that is not kept.
int refuse_now(Plugin& plugin, const Publish& publish, Code code, std::string_view detail) {
  const bool is_send = std::holds_alternative<SendTopic>(publish.topic);
  if (is_send && publish.qos > 0 && !publish.session.is_mqtt5()) {
    ++plugin.counters.refused;
    if (plugin.refusal_logs.take(publish.now.mono)) {
      log_warning("event=publisher_disconnected user=" + quoted(publish.session.name()) +
                  " client=" + quoted(publish.session.client_id.view()) +
                  " code=" + std::string{to_string(code)});
    }
    return disconnect;
  }
  // What `got` and `read` say is said again by the next one.
  if (std::holds_alternative<MarkTopic>(publish.topic) &&
      !hears_refusals(publish.session, publish.qos)) {
    if (code == Code::rate_limited) return drop_for_rate(plugin, publish, detail);
    ++plugin.counters.refused;
    return MOSQ_ERR_SUCCESS;
  }
  return refuse(plugin, publish, code, detail);
}

/// The answer to a `do` that the worker will not see.
void reply_busy(Plugin& plugin, const Publish& publish, const DoTopic& topic) {
  const auto properties = read_properties(publish.properties);
  Reply reply;
  reply.id = topic.id;
  if (reply.id.empty()) {
    const auto named = std::find_if(properties.user.begin(), properties.user.end(),
                                    [](const auto& property) { return property.key == "id"; });
    if (named != properties.user.end() && is_request_id(named->value)) reply.id = named->value;
  }
  reply.result = ReplyFailed{Code::busy, "too much is waiting to be stored"};
  const std::string payload = encode_reply(topic.format, reply);
  const auto wanted =
      response_rest(plugin.options.prefix, publish.session.name(), properties.response_topic);
  const std::string suffix = wanted ? std::string{*wanted} : reply_rest(topic.format, reply.id);
  Outlet::Item item{.suffix = suffix, .payload = payload, .qos = 1};
  if (wanted && properties.correlation_data) item.correlation_data = &*properties.correlation_data;
  plugin.outlet.to_user(*publish.session.user, item);
}

int on_spool_full(Plugin& plugin, const Publish& publish) {
  ++plugin.counters.spool_full;
  if (plugin.alarm_logs.take(publish.now.mono)) {
    log_error("event=spool_full used_bytes=" + std::to_string(plugin.spool.used_bytes()));
  }
  if (const auto* topic = std::get_if<DoTopic>(&publish.topic)) {
    reply_busy(plugin, publish, *topic);
    ++plugin.counters.refused;
    return hears_refusals(publish.session, publish.qos) ? MOSQ_ERR_ACL_DENIED : MOSQ_ERR_SUCCESS;
  }
  return refuse_now(plugin, publish, Code::busy, "too much is waiting to be stored");
}

/// The most that a payload may be; for a text, the most that the words may be.
std::size_t payload_bytes_max(const Plugin& plugin, const ClientTopic& topic) {
  if (std::holds_alternative<MarkTopic>(topic)) return mark_bytes_max;
  const auto* send = std::get_if<SendTopic>(&topic);
  if (send != nullptr && send->format == Format::text) return plugin.options.limits.text_bytes_max;
  return plugin.options.limits.payload_bytes_max;
}

int on_too_large(Plugin& plugin, Publish publish) {
  if (std::holds_alternative<MarkTopic>(publish.topic)) {
    return refuse(plugin, publish, Code::bad_payload, "not a number");
  }
  // The worker answers it as it answers everything, without having to see the payload.
  publish.payload = {};
  auto record = record_of(publish);
  record.refused = Code::too_large;
  if (plugin.spool.append(link::encode(record), Spool::Reserve::use)) {
    ++plugin.counters.spooled;
  }
  return refuse(plugin, publish, Code::too_large, "the payload is too large");
}

int take(Plugin& plugin, const Publish& publish) {
  if (!publish.session.user->rates(plugin.options.limits).publishes.take(publish.now.mono)) {
    ++plugin.counters.rate_limited;
    return refuse_now(plugin, publish, Code::rate_limited, "too many publishes");
  }
  if (publish.payload.size() > payload_bytes_max(plugin, publish.topic)) {
    return on_too_large(plugin, publish);
  }
  const std::string record = link::encode(record_of(publish));
  if (!plugin.spool.append(record, Spool::Reserve::keep)) return on_spool_full(plugin, publish);
  crash_point(CrashPoint::plugin_after_append);
  ++plugin.counters.spooled;
  return MOSQ_ERR_SUCCESS;
}

/// Never stored: it goes to the worker that is there, or nowhere.
int take_typing(Plugin& plugin, const Publish& publish) {
  if (publish.payload != "1" && publish.payload != "0" && !publish.payload.empty()) {
    return refuse(plugin, publish, Code::bad_payload, "1, 0 or nothing");
  }
  if (!publish.session.user->rates(plugin.options.limits).typing.take(publish.now.mono)) {
    ++plugin.counters.rate_limited;
    return drop_for_rate(plugin, publish, "too much typing");
  }
  plugin.link.typing(link::encode(record_of(publish)));
  return MOSQ_ERR_SUCCESS;
}

int on_own_message(Plugin& plugin, Session& session, const OwnTopic& topic,
                   const mosquitto_evt_message& event) {
  const auto judged = judge_publish(session, topic, event.retain);
  if (const auto* refusal = std::get_if<PublishRefusal>(&judged)) {
    refuse_publish(plugin, session, *refusal, event.topic, event.qos);
    return MOSQ_ERR_ACL_DENIED;
  }
  const ClientTopic& parsed = std::get<ClientTopic>(judged);
  const Now now = read_clocks();
  if (std::holds_alternative<WillTopic>(parsed)) {
    refuse_publish(plugin, session, {Code::forbidden, "only as a last will"}, event.topic,
                   event.qos);
    return MOSQ_ERR_ACL_DENIED;
  }
  const std::string_view payload{static_cast<const char*>(event.payload), event.payloadlen};
  const Publish publish{session, parsed,    event.topic,      topic.rest,
                        payload, event.qos, event.properties, now};
  return std::holds_alternative<TypingTopic>(parsed) ? take_typing(plugin, publish)
                                                     : take(plugin, publish);
}

}  // namespace

int on_message(Plugin& plugin, const mosquitto_evt_message& event) {
  const TopicPlace place = place_topic(plugin.options.prefix, event.topic);
  if (std::holds_alternative<OutsideTopic>(place)) return MOSQ_ERR_SUCCESS;
  // A message that comes here was published, whatever its topic says: no will.
  plugin.wills.take_back(event.client, event.topic);
  // A bridge is not asked about in ACL checks; whoever is not a session of ours speaks for nobody.
  Session* session = session_of(plugin, event.client);
  if (session == nullptr || !session->active()) return MOSQ_ERR_ACL_DENIED;
  if (const auto* own = std::get_if<OwnTopic>(&place)) {
    return on_own_message(plugin, *session, *own, event);
  }
  const bool server = std::holds_alternative<ServerTopic>(place) && session->is_service() &&
                      plugin.link.may_write_server(*session);
  return server ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

void on_will(Plugin& plugin, Session& session, const mosquitto_evt_acl_check& event,
             std::string_view topic_rest) {
  // A broker that asks already when the client connects does not mean that it is gone.
  if (session.life == Life::fresh) return;
  const std::string_view payload{static_cast<const char*>(event.payload), event.payloadlen};
  const Now now = read_clocks();
  const bool fits = payload.size() <= plugin.options.limits.text_bytes_max;
  if (!fits || !session.user->rates(plugin.options.limits).publishes.take(now.mono)) {
    ++plugin.counters.wills_dropped;
    return;
  }
  auto record = record_of(session, topic_rest, payload, event.qos, now);
  record.flags |= link::record_flag::will;
  record.flags &= ~link::record_flag::holds_inbox;  // the dead read nothing
  if (!plugin.wills.add({event.client, event.topic, link::encode(record)})) {
    ++plugin.counters.wills_dropped;
  }
}

}  // namespace parley::plugin
