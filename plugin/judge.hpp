// What a session's token lets it publish and subscribe, and how it hears that it may not.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "core/code.hpp"
#include "core/topic.hpp"

namespace parley::plugin {

struct Plugin;
struct Session;

struct PublishRefusal {
  Code code;
  std::string_view detail;  // for people
};

/// Judges a publish below "<prefix>/u/". Does not ask whether the session is alive.
std::variant<ClientTopic, PublishRefusal> judge_publish(const Session& session,
                                                        const OwnTopic& topic, bool retained);

/// The scope bits of which one is enough to be given this feed.
std::uint8_t required_scope(std::uint32_t feed);
/// Whether the scope is enough for all of these feeds.
bool may_subscribe(std::uint8_t scope, std::uint32_t feeds);

/// Counts a refused publish, and says so on `err` if the broker's answer cannot.
void refuse_publish(Plugin& plugin, Session& session, const PublishRefusal& refusal,
                    std::string_view topic, int qos);

/// Whether the broker's answer to a publish can carry a refusal.
bool hears_refusals(const Session& session, int qos);

}  // namespace parley::plugin
