#include "core/topic.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace parley {
namespace {

constexpr std::size_t npos = std::string_view::npos;

/// Walks through the levels of a topic or filter.
class Levels {
 public:
  explicit Levels(std::string_view topic) : rest_{topic} {}
  /// Whether there is another level, which may be empty.
  [[nodiscard]] bool more() const { return more_; }
  /// The next level. Empty if there is none.
  std::string_view next() {
    const std::size_t slash = rest_.find('/');
    const std::string_view level = rest_.substr(0, slash);
    more_ = slash != npos;
    rest_ = more_ ? rest_.substr(slash + 1) : std::string_view{};
    return level;
  }
  /// What has not been taken.
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool more_ = true;
};

enum class Verb { send, got, read, typing, call, will };

struct VerbForm {
  std::string_view word;
  Verb verb;
  Format format;
};
constexpr std::array<VerbForm, 9> verb_forms = {{
    {"send", Verb::send, Format::text},
    {"send.json", Verb::send, Format::json},
    {"send.pb", Verb::send, Format::pb},
    {"got", Verb::got, Format::text},
    {"read", Verb::read, Format::text},
    {"typing", Verb::typing, Format::text},
    {"do.json", Verb::call, Format::json},
    {"do.pb", Verb::call, Format::pb},
    {"will", Verb::will, Format::text},
}};

const VerbForm* find_verb(std::string_view word) {
  const auto found = std::find_if(verb_forms.begin(), verb_forms.end(),
                                  [word](const VerbForm& form) { return form.word == word; });
  return found == verb_forms.end() ? nullptr : &*found;
}

/// What stands behind the verb of a topic that we publish to a user.
enum class Tail {
  conv,  // one level, a conversation
  id,    // one level, a request id
  any,   // one level or more
  none,
};

struct FeedForm {
  std::string_view word;
  std::uint32_t feed;
  Tail tail;
};
constexpr std::array<FeedForm, 16> feed_forms = {{
    {"inbox", feed::inbox_text, Tail::conv},
    {"inbox.json", feed::inbox_json, Tail::conv},
    {"inbox.pb", feed::inbox_pb, Tail::conv},
    {"sent.json", feed::sent_json, Tail::conv},
    {"sent.pb", feed::sent_pb, Tail::conv},
    {"event.json", feed::event_json, Tail::conv},
    {"event.pb", feed::event_pb, Tail::conv},
    {"typing.json", feed::typing_json, Tail::conv},
    {"ack", feed::ack_text, Tail::id},
    {"ack.json", feed::ack_json, Tail::id},
    {"ack.pb", feed::ack_pb, Tail::id},
    {"re.json", feed::re_json, Tail::id},
    {"re.pb", feed::re_pb, Tail::id},
    {"rr", feed::rr, Tail::any},
    {"err", feed::err, Tail::none},
    {"state", feed::state, Tail::any},
}};

const FeedForm* find_feed(std::string_view word) {
  const auto found = std::find_if(feed_forms.begin(), feed_forms.end(),
                                  [word](const FeedForm& form) { return form.word == word; });
  return found == feed_forms.end() ? nullptr : &*found;
}

/// How many levels the topics have that a filter's levels behind the verb can match.
struct Reach {
  bool none = false;           // the verb alone
  bool one = false;            // one level behind it
  bool deeper = false;         // two or more
  bool every_one = false;      // of those with one level: all
  std::string_view literal{};  // or only this one

  [[nodiscard]] bool covers(Tail tail) const {
    switch (tail) {
      case Tail::conv:
      case Tail::id:
        return one;
      case Tail::any:
        return one || deeper;
      case Tail::none:
        return none;
    }
    return false;
  }
};

/// @param tail  the filter's levels behind the verb
Reach reach_of(Levels tail) {
  Reach reach;
  if (!tail.more()) {
    reach.none = true;
    return reach;
  }
  const std::string_view level = tail.next();
  if (level == "#") return Reach{true, true, true, true, {}};  // "#" matches the level above it too
  reach.every_one = level == "+";
  if (!reach.every_one) reach.literal = level;
  // No name, conversation or id is empty; below rr anything goes.
  reach.one = !level.empty() && (!tail.more() || tail.rest() == "#");
  reach.deeper = tail.more();
  return reach;
}

constexpr std::string_view share_level = "$share";
constexpr std::string_view control_level = "$CONTROL";

/// The filter behind "$share/<group>/"; nothing if `filter` is not a shared one.
std::optional<std::string_view> inner_of_shared(std::string_view filter) {
  Levels levels{filter};
  if (levels.next() != share_level) return std::nullopt;
  levels.next();
  return levels.rest();
}

/// Whether `level` is "$<prefix>".
bool is_link_level(std::string_view prefix, std::string_view level) {
  return !level.empty() && level.front() == '$' && level.substr(1) == prefix;
}

/// filter_touches_prefix for a filter without $share.
bool touches(std::string_view prefix, std::string_view filter, bool literally) {
  Levels levels{filter};
  const std::string_view first = levels.next();
  if (first == prefix || is_link_level(prefix, first)) return true;
  if (first == control_level) {
    if (!levels.more()) return false;
    const std::string_view second = levels.next();
    if (second == prefix) return true;
    return !literally && (second == "#" || (second == "+" && levels.more()));
  }
  // A wildcard in the first level matches no topic that starts with '$', but the prefix (MQTT 5
  // §4.7.2).
  return !literally && (first == "#" || (first == "+" && levels.more()));
}

std::string_view suffix_of(Format format) {
  switch (format) {
    case Format::text:
      return "/";
    case Format::json:
      return ".json/";
    case Format::pb:
      return ".pb/";
  }
  return "/";
}

std::string rest_of(std::string_view verb, Format format, std::string_view last) {
  std::string rest;
  rest.reserve(verb.size() + 6 + last.size());
  rest.append(verb).append(suffix_of(format)).append(last);
  return rest;
}

std::string below(std::string_view start, std::string_view prefix, std::string_view end) {
  std::string topic;
  topic.reserve(start.size() + prefix.size() + end.size());
  topic.append(start).append(prefix).append(end);
  return topic;
}

std::string_view or_dash(std::string_view id) { return id.empty() ? "-" : id; }

}  // namespace

std::optional<ClientTopic> parse_client_topic(std::string_view rest) {
  Levels levels{rest};
  const VerbForm* form = find_verb(levels.next());
  if (form == nullptr || !levels.more()) return std::nullopt;
  const std::string_view what = levels.next();
  if (what.empty()) return std::nullopt;
  std::string_view id;
  if (levels.more()) {
    if (form->verb != Verb::send && form->verb != Verb::call) return std::nullopt;
    id = levels.next();
    if (levels.more() || !is_request_id(id)) return std::nullopt;
  }
  switch (form->verb) {
    case Verb::send:
      return SendTopic{form->format, what, id};
    case Verb::got:
      return MarkTopic{false, what};
    case Verb::read:
      return MarkTopic{true, what};
    case Verb::typing:
      return TypingTopic{what};
    case Verb::call:
      return DoTopic{form->format, what, id};
    case Verb::will:
      return WillTopic{what};
  }
  return std::nullopt;
}

TopicPlace place_topic(std::string_view prefix, std::string_view topic) {
  Levels levels{topic};
  const std::string_view first = levels.next();
  if (first == control_level) {
    if (levels.more() && levels.next() == prefix) return LinkTopic{};
    return OutsideTopic{};
  }
  if (is_link_level(prefix, first)) return LinkTopic{};
  if (first != prefix) return OutsideTopic{};
  const std::string_view sort = levels.next();
  if (!levels.more()) return ReservedTopic{};
  if (sort == "s") return ServerTopic{};
  if (sort != "u") return ReservedTopic{};
  const std::string_view name = levels.next();
  if (name.empty() || !levels.more()) return ReservedTopic{};
  return OwnTopic{name, levels.rest()};
}

FilterGrant grant_of(std::string_view rest) {
  FilterGrant grant;
  grant.rest = rest;
  Levels levels{rest};
  const std::string_view verb = levels.next();
  const bool any_verb = verb == "+";
  if (verb == "#") {
    grant.feeds = feed::all_but_state;
    grant.inbox_all = true;
    return grant;
  }
  const std::string_view behind_verb = levels.rest();
  const Reach reach = reach_of(levels);
  for (const FeedForm& form : feed_forms) {
    const bool verb_fits =
        form.feed == feed::state ? verb == form.word : any_verb || verb == form.word;
    if (verb_fits && reach.covers(form.tail)) grant.feeds |= form.feed;
  }
  if ((grant.feeds & feed::inbox_any) != 0) {
    grant.inbox_all = reach.every_one;
    grant.inbox_conv = reach.literal;
  }
  if (grant.feeds == feed::state) grant.state = behind_verb;
  return grant;
}

std::variant<FilterGrant, FilterRefusal> judge_filter(std::string_view prefix, std::string_view me,
                                                      std::string_view filter) {
  if (const auto inner = inner_of_shared(filter)) {
    return touches(prefix, *inner, false) ? FilterRefusal::shared : FilterRefusal::outside;
  }
  if (!touches(prefix, filter, false)) return FilterRefusal::outside;
  const TopicPlace place = place_topic(prefix, filter);
  if (std::holds_alternative<ServerTopic>(place)) {
    FilterGrant grant;
    grant.server = true;
    return grant;
  }
  const auto* own = std::get_if<OwnTopic>(&place);
  if (own == nullptr || own->name != me) return FilterRefusal::foreign;
  return grant_of(own->rest);
}

bool filter_touches_prefix(std::string_view prefix, std::string_view filter, bool literally) {
  return touches(prefix, inner_of_shared(filter).value_or(filter), literally);
}

std::uint32_t feed_of(std::string_view rest) {
  Levels levels{rest};
  const FeedForm* form = find_feed(levels.next());
  if (form == nullptr) return 0;
  return reach_of(levels).covers(form->tail) ? form->feed : 0;
}

std::string_view conv_of(std::string_view rest) {
  Levels levels{rest};
  const FeedForm* form = find_feed(levels.next());
  if (form == nullptr || form->tail != Tail::conv || !reach_of(levels).one) return {};
  return levels.rest();
}

std::string user_topic(std::string_view prefix, std::string_view name, std::string_view rest) {
  std::string topic;
  topic.reserve(prefix.size() + name.size() + rest.size() + 4);
  topic.append(prefix).append("/u/").append(name).append("/").append(rest);
  return topic;
}

std::string inbox_rest(Format format, std::string_view conv) {
  return rest_of("inbox", format, conv);
}
std::string sent_rest(Format format, std::string_view conv) {
  return rest_of("sent", format, conv);
}
std::string event_rest(Format format, std::string_view conv) {
  return rest_of("event", format, conv);
}
std::string typing_rest(std::string_view conv) { return rest_of("typing", Format::json, conv); }
std::string state_unread_rest() { return "state/unread"; }
std::string state_conv_rest(std::string_view conv) {
  return rest_of("state/conv", Format::text, conv);
}
std::string state_presence_rest(std::string_view name) {
  return rest_of("state/presence", Format::text, name);
}
std::string ack_rest(Format format, std::string_view id) {
  return rest_of("ack", format, or_dash(id));
}
std::string reply_rest(Format format, std::string_view id) {
  return rest_of("re", format, or_dash(id));
}

std::string status_topic(std::string_view prefix) { return below("", prefix, "/s/status"); }
std::string info_topic(std::string_view prefix) { return below("", prefix, "/s/info"); }
std::string inbound_topic(std::string_view prefix) { return below("$", prefix, "/in/0"); }
std::string fence_topic(std::string_view prefix) { return below("$", prefix, "/fence"); }
std::string control_topic(std::string_view prefix) { return below("$CONTROL/", prefix, "/v1"); }

std::vector<std::string> quiet_filters(std::string_view prefix) {
  std::vector<std::string> filters;
  for (const VerbForm& form : verb_forms) {
    if (form.verb == Verb::will) continue;  // never published by a client that may
    filters.push_back(user_topic(prefix, "+", std::string{form.word} + "/#"));
  }
  return filters;
}

std::optional<std::string_view> response_rest(std::string_view prefix, std::string_view me,
                                              std::string_view response_topic) {
  const TopicPlace place = place_topic(prefix, response_topic);
  const auto* own = std::get_if<OwnTopic>(&place);
  if (own == nullptr || own->name != me) return std::nullopt;
  constexpr std::string_view start = "rr/";
  const std::string_view rest = own->rest;
  if (rest.size() <= start.size() || rest.substr(0, start.size()) != start) return std::nullopt;
  // The NUL: the broker's C interface would publish to the topic before it.
  if (rest.find_first_of(std::string_view{"+#\0", 3}) != npos) return std::nullopt;
  return rest;
}

}  // namespace parley
