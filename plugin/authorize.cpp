// What may be published, subscribed and received, topic by topic (docs/protocol.md, "Topics").

#include <variant>

#include "core/token.hpp"
#include "core/topic.hpp"
#include "plugin/judge.hpp"
#include "plugin/plugin.hpp"

namespace parley::plugin {
namespace {

int answer(Foreign choice) {
  switch (choice) {
    case Foreign::defer:
      return MOSQ_ERR_PLUGIN_DEFER;
    case Foreign::allow:
      return MOSQ_ERR_SUCCESS;
    case Foreign::deny:
      return MOSQ_ERR_ACL_DENIED;
  }
  return MOSQ_ERR_ACL_DENIED;
}

/// For topics that are not ours.
int answer_outside(const Plugin& plugin, const Session* session) {
  if (session == nullptr) return answer(plugin.options.foreign_acl);
  if (!session->active()) return MOSQ_ERR_ACL_DENIED;
  return answer(plugin.options.user_foreign_acl);
}

/// A filter of ours that names what can exist is shorter; each session keeps many.
constexpr std::size_t filter_bytes_max = 512;

int allowed_if(bool yes) { return yes ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED; }

// ---- READ: once per delivery, so nothing here allocates ----

int read_own(Plugin& plugin, const Session& session, const OwnTopic& topic) {
  if (topic.name != session.name()) return MOSQ_ERR_ACL_DENIED;
  const std::uint32_t of = feed_of(topic.rest);
  if (of == 0) return MOSQ_ERR_ACL_DENIED;  // no echo of what was published
  // A wildcard in front of it does not subscribe it. What a fresh session that may have a past had
  // subscribed is not known yet.
  const bool known = session.life != Life::fresh || !session.may_resume();
  if (of == feed::state && known && (session.feeds.mask() & feed::state) == 0) {
    return MOSQ_ERR_ACL_DENIED;
  }
  // It may have come back with less scope than it subscribed with.
  if ((required_scope(of) & session.scope) == 0) return MOSQ_ERR_ACL_DENIED;
  return allowed_if(plugin.outlet.lets_through(session, of));
}

int read_link(Plugin& plugin, const Session& session, const mosquitto_evt_acl_check& event) {
  if (!session.is_service() || !session.active()) return MOSQ_ERR_ACL_DENIED;
  const std::string_view topic = event.topic;
  if (topic == plugin.link.fence_topic()) {
    if (plugin.link.is_receiver(session)) plugin.outlet.pass_fence();
    return MOSQ_ERR_ACL_DENIED;  // it has done its work by being asked about
  }
  if (topic != plugin.link.inbound_topic()) return MOSQ_ERR_ACL_DENIED;
  const std::string_view payload{static_cast<const char*>(event.payload), event.payloadlen};
  return allowed_if(plugin.link.lets_read(session, payload));
}

int check_read(Plugin& plugin, const mosquitto_evt_acl_check& event) {
  const Session* session = session_of(plugin, event.client);
  const TopicPlace place = place_topic(plugin.options.prefix, event.topic);
  if (std::holds_alternative<OutsideTopic>(place)) return answer_outside(plugin, session);
  if (session == nullptr || session->doomed) return MOSQ_ERR_ACL_DENIED;
  if (const auto* own = std::get_if<OwnTopic>(&place)) return read_own(plugin, *session, *own);
  if (std::holds_alternative<ServerTopic>(place)) return allowed_if(session->life != Life::dead);
  if (std::holds_alternative<LinkTopic>(place)) return read_link(plugin, *session, event);
  return MOSQ_ERR_ACL_DENIED;
}

// ---- SUBSCRIBE ----

int subscribe_service(Plugin& plugin, Session& session, const std::string& filter) {
  const auto covers = [&](const std::string& topic) {
    bool matches = false;
    return mosquitto_topic_matches_sub(filter.c_str(), topic.c_str(), &matches) ==
               MOSQ_ERR_SUCCESS &&
           matches;
  };
  const bool inbound = covers(plugin.link.inbound_topic());
  const bool fence = covers(plugin.link.fence_topic());
  if (filter.front() == '$' && (inbound || fence)) {
    session.sees_inbound = session.sees_inbound || inbound;
    session.sees_fence = session.sees_fence || fence;
    plugin.link.on_service_changed();
    return MOSQ_ERR_SUCCESS;
  }
  for (const auto& quiet : plugin.link.quiet_filters()) {
    if (filter == quiet) return MOSQ_ERR_SUCCESS;
  }
  const auto judged = judge_filter(plugin.options.prefix, session.name(), filter);
  const auto* grant = std::get_if<FilterGrant>(&judged);
  if (grant != nullptr) return allowed_if(grant->server);
  if (std::get<FilterRefusal>(judged) == FilterRefusal::outside)
    return answer_outside(plugin, &session);
  return MOSQ_ERR_ACL_DENIED;
}

int check_subscribe(Plugin& plugin, const mosquitto_evt_acl_check& event) {
  Session* session = session_of(plugin, event.client);
  const std::string_view filter = event.topic;
  if (session == nullptr) {
    const bool ours = filter_touches_prefix(plugin.options.prefix, filter, true);
    return ours ? MOSQ_ERR_ACL_DENIED : answer_outside(plugin, nullptr);
  }
  if (!session->active()) return MOSQ_ERR_ACL_DENIED;
  if (session->is_service()) return subscribe_service(plugin, *session, std::string{filter});
  const auto judged = judge_filter(plugin.options.prefix, session->name(), filter);
  if (const auto* refusal = std::get_if<FilterRefusal>(&judged)) {
    if (*refusal == FilterRefusal::outside) return answer_outside(plugin, session);
    ++plugin.counters.refused;
    return MOSQ_ERR_ACL_DENIED;
  }
  const FilterGrant& grant = std::get<FilterGrant>(judged);
  if (grant.server) return MOSQ_ERR_SUCCESS;
  if (grant.feeds == 0 || filter.size() > filter_bytes_max ||
      !may_subscribe(session->scope, grant.feeds)) {
    ++plugin.counters.refused;
    return MOSQ_ERR_ACL_DENIED;
  }
  plugin.sessions.subscribe(*session, grant);
  return MOSQ_ERR_SUCCESS;
}

int check_unsubscribe(Plugin& plugin, const mosquitto_evt_acl_check& event) {
  Session* session = session_of(plugin, event.client);
  if (session == nullptr) return answer_outside(plugin, nullptr);
  const TopicPlace place = place_topic(plugin.options.prefix, event.topic);
  const auto* own = std::get_if<OwnTopic>(&place);
  if (session->active() && own != nullptr && own->name == session->name()) {
    plugin.sessions.unsubscribe(*session, own->rest);
  }
  return MOSQ_ERR_SUCCESS;
}

// ---- WRITE ----

int write_own(Plugin& plugin, Session& session, const OwnTopic& topic,
              const mosquitto_evt_acl_check& event) {
  const auto judged = judge_publish(session, topic, event.retain);
  if (const auto* refusal = std::get_if<PublishRefusal>(&judged)) {
    refuse_publish(plugin, session, *refusal, event.topic, event.qos);
    return MOSQ_ERR_ACL_DENIED;
  }
  if (std::holds_alternative<WillTopic>(std::get<ClientTopic>(judged))) {
    on_will(plugin, session, event, topic.rest);
  } else if (!session.active()) {
    return MOSQ_ERR_ACL_DENIED;
  }
  return MOSQ_ERR_SUCCESS;
}

int check_write(Plugin& plugin, const mosquitto_evt_acl_check& event) {
  const TopicPlace place = place_topic(plugin.options.prefix, event.topic);
  Session* session = session_of(plugin, event.client);
  if (std::holds_alternative<OutsideTopic>(place)) return answer_outside(plugin, session);
  if (session == nullptr || session->doomed) return MOSQ_ERR_ACL_DENIED;
  if (const auto* own = std::get_if<OwnTopic>(&place))
    return write_own(plugin, *session, *own, event);
  if (session->is_service()) {
    if (std::holds_alternative<ServerTopic>(place)) {
      return allowed_if(plugin.link.may_write_server(*session));
    }
    if (event.topic == plugin.link.control_topic())
      return allowed_if(session->active() && !event.retain);
  }
  refuse_publish(plugin, *session, {Code::forbidden, "not a topic to publish to"}, event.topic,
                 event.qos);
  return MOSQ_ERR_ACL_DENIED;
}

}  // namespace

int on_acl_check(Plugin& plugin, const mosquitto_evt_acl_check& event) {
  if (plugin.kicking && event.access != MOSQ_ACL_WRITE) return MOSQ_ERR_SUCCESS;
  switch (event.access) {
    case MOSQ_ACL_READ:
      return check_read(plugin, event);
    case MOSQ_ACL_WRITE:
      return check_write(plugin, event);
    case MOSQ_ACL_SUBSCRIBE:
      return check_subscribe(plugin, event);
    case MOSQ_ACL_UNSUBSCRIBE:
      return check_unsubscribe(plugin, event);
    default:
      return MOSQ_ERR_ACL_DENIED;
  }
}

}  // namespace parley::plugin
