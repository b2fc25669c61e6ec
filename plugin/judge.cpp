#include "plugin/judge.hpp"

#include "core/token.hpp"
#include "plugin/plugin.hpp"

namespace parley::plugin {
namespace {

/// Longer than any name and id can make it; what is longer is not worth a place in the spool.
constexpr std::size_t topic_rest_bytes_max = 1024;

/// Whether the first level alone is one of ours: then it is the rest that is wrong.
bool has_known_verb(std::string_view rest) {
  std::string probe{rest.substr(0, rest.find('/'))};
  probe += "/x";
  return parse_client_topic(probe).has_value();
}

std::uint8_t scope_to_publish(const ClientTopic& topic) {
  if (std::holds_alternative<MarkTopic>(topic)) return scope::receive;
  // What a method needs is for the worker to say.
  if (std::holds_alternative<DoTopic>(topic)) return scope::send | scope::receive | scope::manage;
  return scope::send;
}

}  // namespace

std::variant<ClientTopic, PublishRefusal> judge_publish(const Session& session,
                                                        const OwnTopic& topic, bool retained) {
  if (topic.name != session.name()) {
    return PublishRefusal{Code::forbidden, "belongs to another user"};
  }
  if (session.is_service()) return PublishRefusal{Code::forbidden, "services send no messages"};
  if (retained) return PublishRefusal{Code::forbidden, "must not be retained"};
  if (topic.rest.size() > topic_rest_bytes_max) {
    return PublishRefusal{Code::bad_payload, "the topic is too long"};
  }
  const auto parsed = parse_client_topic(topic.rest);
  if (!parsed) {
    if (has_known_verb(topic.rest)) return PublishRefusal{Code::bad_payload, "malformed topic"};
    return PublishRefusal{Code::forbidden, "not a topic to publish to"};
  }
  if ((session.scope & scope_to_publish(*parsed)) == 0) {
    return PublishRefusal{Code::forbidden, "the token's scope does not cover it"};
  }
  return *parsed;
}

std::uint8_t required_scope(std::uint32_t feed) {
  return (feed & ~feed::answers_any) == 0 ? scope::send | scope::receive : scope::receive;
}

bool may_subscribe(std::uint8_t scope, std::uint32_t feeds) {
  return (scope & required_scope(feeds)) != 0;
}

bool hears_refusals(const Session& session, int qos) { return session.is_mqtt5() && qos > 0; }

void refuse_publish(Plugin& plugin, Session& session, const PublishRefusal& refusal,
                    std::string_view topic, int qos) {
  ++plugin.counters.refused;
  if (!session.active() || hears_refusals(session, qos)) return;
  plugin.outlet.error_line(session, refusal.code, topic.substr(0, topic_rest_bytes_max),
                           refusal.detail, read_clocks().mono);
}

}  // namespace parley::plugin
