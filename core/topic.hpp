// Topics of one messenger: the one place that knows that topics have slashes (docs/protocol.md,
// "Topics").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/names.hpp"

namespace parley {

/// How a payload is written. Chosen by the verb's suffix, never by sniffing.
enum class Format : std::uint8_t { text, json, pb };

/// Sorts of topics that a session may have subscribed; bits of Session.feeds.
namespace feed {
inline constexpr std::uint32_t inbox_text = 1U << 0;
inline constexpr std::uint32_t inbox_json = 1U << 1;
inline constexpr std::uint32_t inbox_pb = 1U << 2;
inline constexpr std::uint32_t sent_json = 1U << 3;
inline constexpr std::uint32_t sent_pb = 1U << 4;
inline constexpr std::uint32_t event_json = 1U << 5;
inline constexpr std::uint32_t event_pb = 1U << 6;
inline constexpr std::uint32_t typing_json = 1U << 7;
inline constexpr std::uint32_t ack_text = 1U << 8;
inline constexpr std::uint32_t ack_json = 1U << 9;
inline constexpr std::uint32_t ack_pb = 1U << 10;
inline constexpr std::uint32_t re_json = 1U << 11;
inline constexpr std::uint32_t re_pb = 1U << 12;
inline constexpr std::uint32_t rr = 1U << 13;
inline constexpr std::uint32_t err = 1U << 14;
inline constexpr std::uint32_t state = 1U << 15;

inline constexpr std::uint32_t inbox_any = inbox_text | inbox_json | inbox_pb;
inline constexpr std::uint32_t sent_any = sent_json | sent_pb;
inline constexpr std::uint32_t ack_any = ack_text | ack_json | ack_pb;
inline constexpr std::uint32_t event_any = event_json | event_pb;
/// Those that carry a conversation's contents: held back while a session is syncing.
inline constexpr std::uint32_t content_any = inbox_any | sent_any | event_any;
/// What scope `send` alone may subscribe.
inline constexpr std::uint32_t answers_any = ack_any | re_json | re_pb | rr | err;
/// All but `state`, which counts only when subscribed by a filter of its own.
inline constexpr std::uint32_t all_but_state = (1U << 15) - 1;
}  // namespace feed

// ---- what clients publish, behind "<prefix>/u/<me>/" ----

struct SendTopic {
  Format format = Format::text;
  std::string_view to;
  std::string_view id;  // empty: none in the topic
};
struct MarkTopic {  // got, read
  bool read = false;
  std::string_view conv;
};
struct TypingTopic {
  std::string_view conv;
};
struct DoTopic {
  Format format = Format::json;
  std::string_view method;
  std::string_view id;  // empty: none in the topic
};
struct WillTopic {
  std::string_view to;
};
using ClientTopic = std::variant<SendTopic, MarkTopic, TypingTopic, DoTopic, WillTopic>;

/// Takes "send/bob/id1" and its like apart. Views into `rest`.
/// Nothing for anything else: unknown verb, missing or surplus levels, an id that is not one. The
/// form of names is not judged here (a name that cannot exist is an unknown one).
std::optional<ClientTopic> parse_client_topic(std::string_view rest);

// ---- where a topic or filter belongs ----

struct OwnTopic {  // "<prefix>/u/<name>/<rest>"
  std::string_view name;
  std::string_view rest;
};
struct ServerTopic {};    // "<prefix>/s/…": readable by every user
struct LinkTopic {};      // "$<prefix>/…" and "$CONTROL/<prefix>/…": between plugin and worker
struct OutsideTopic {};   // not ours
struct ReservedTopic {};  // "<prefix>" and everything else below it
using TopicPlace = std::variant<OwnTopic, ServerTopic, LinkTopic, OutsideTopic, ReservedTopic>;

/// Where a topic that is published belongs. Views into `topic`.
TopicPlace place_topic(std::string_view prefix, std::string_view topic);

/// What a subscription filter of user `me` asks for.
struct FilterGrant {
  std::uint32_t feeds = 0;  // 0 with `server`: "<prefix>/s/…" only
  bool server = false;
  bool inbox_all = false;       // of the inbox feeds: every conversation
  std::string_view inbox_conv;  // or this one
  std::string_view state;       // of the state feed: the filter behind "state/"
  std::string_view rest;        // the filter behind "<prefix>/u/<me>/", which grants all of it
};
/// A filter of state topics that a session holds.
struct StateFilter {
  std::string filter;          // behind "state/": "#", "conv/+"
  std::uint32_t asked_no = 0;  // rises when it is subscribed, also if it was before
  bool operator==(const StateFilter&) const = default;
};
enum class FilterRefusal {
  foreign,  // could match topics of others, of the link or below a reserved place
  shared,   // $share below the prefix
  outside,  // touches nothing of ours: the caller decides
};
/// Judges a filter without looking at scopes. A `$share/<group>/` in front of a filter that can
/// match nothing below the prefix is `outside`. Filters that could match the prefix by wildcard
/// ("#",
/// "+/u/x") are `foreign`.
std::variant<FilterGrant, FilterRefusal> judge_filter(std::string_view prefix, std::string_view me,
                                                      std::string_view filter);
/// What a filter behind "<prefix>/u/<me>/" grants.
FilterGrant grant_of(std::string_view rest);
/// Whether a filter (also behind $share) can match any topic below "<prefix>/", "$<prefix>/" or
/// "$CONTROL/<prefix>/".
/// @param literally  count only filters whose first level names the prefix, not "#" or "+/…"
bool filter_touches_prefix(std::string_view prefix, std::string_view filter, bool literally);

/// The feed of a topic that we publish to a user, by its rest ("inbox.json/alice"); 0 if it is none
/// (so also for what clients publish: nobody gets an echo of that).
std::uint32_t feed_of(std::string_view rest);
/// The conversation of an inbox, sent, event or typing topic's rest; empty if it has none.
std::string_view conv_of(std::string_view rest);

// ---- topics that we publish ----

std::string user_topic(std::string_view prefix, std::string_view name, std::string_view rest);
std::string inbox_rest(Format format, std::string_view conv);
std::string sent_rest(Format format, std::string_view conv);   // json, pb
std::string event_rest(Format format, std::string_view conv);  // json, pb
std::string ack_rest(Format format, std::string_view id);      // id empty: "-"
std::string reply_rest(Format format, std::string_view id);    // json, pb; id empty: "-"
std::string typing_rest(std::string_view conv);
std::string state_unread_rest();
std::string state_conv_rest(std::string_view conv);
std::string state_presence_rest(std::string_view name);
inline constexpr std::string_view err_rest = "err";
std::string status_topic(std::string_view prefix);   // "<prefix>/s/status"
std::string info_topic(std::string_view prefix);     // "<prefix>/s/info"
std::string inbound_topic(std::string_view prefix);  // "$<prefix>/in/0"
std::string fence_topic(std::string_view prefix);    // "$<prefix>/fence"
std::string control_topic(std::string_view prefix);  // "$CONTROL/<prefix>/v1"
/// Filters that the worker subscribes only so that an MQTT 5 publisher hears 0x00 instead of "no
/// matching subscribers"; nothing is ever delivered on them.
std::vector<std::string> quiet_filters(std::string_view prefix);

/// The rest of a response topic, if it points to where `me`'s answers may go
/// ("<prefix>/u/<me>/rr/…", no wildcards); else nothing.
std::optional<std::string_view> response_rest(std::string_view prefix, std::string_view me,
                                              std::string_view response_topic);

}  // namespace parley
