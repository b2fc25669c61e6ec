#include "core/topic.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace parley {
namespace {

/// One line that says what a topic was taken for, for comparison in tables.
std::string told(const std::optional<ClientTopic>& topic) {
  if (!topic) return "none";
  const auto with_format = [](std::string_view verb, Format format) {
    constexpr std::string_view suffixes[] = {"", ".json", ".pb"};
    return std::string{verb} + std::string{suffixes[static_cast<int>(format)]};
  };
  if (const auto* send = std::get_if<SendTopic>(&*topic)) {
    return with_format("send", send->format) + " to=" + std::string{send->to} +
           " id=" + std::string{send->id};
  }
  if (const auto* mark = std::get_if<MarkTopic>(&*topic)) {
    return std::string{mark->read ? "read" : "got"} + " conv=" + std::string{mark->conv};
  }
  if (const auto* typing = std::get_if<TypingTopic>(&*topic)) {
    return "typing conv=" + std::string{typing->conv};
  }
  if (const auto* call = std::get_if<DoTopic>(&*topic)) {
    return with_format("do", call->format) + " method=" + std::string{call->method} +
           " id=" + std::string{call->id};
  }
  return "will to=" + std::string{std::get<WillTopic>(*topic).to};
}

std::string told(const TopicPlace& place) {
  if (const auto* own = std::get_if<OwnTopic>(&place)) {
    return "own " + std::string{own->name} + " " + std::string{own->rest};
  }
  if (std::holds_alternative<ServerTopic>(place)) return "server";
  if (std::holds_alternative<LinkTopic>(place)) return "link";
  if (std::holds_alternative<OutsideTopic>(place)) return "outside";
  return "reserved";
}

std::string told(const std::variant<FilterGrant, FilterRefusal>& verdict) {
  if (const auto* refusal = std::get_if<FilterRefusal>(&verdict)) {
    if (*refusal == FilterRefusal::foreign) return "foreign";
    return *refusal == FilterRefusal::shared ? "shared" : "outside";
  }
  const auto& grant = std::get<FilterGrant>(verdict);
  std::string text = grant.server ? "server" : "feeds=" + std::to_string(grant.feeds);
  if (grant.inbox_all) text += " all";
  if (!grant.inbox_conv.empty()) text += " conv=" + std::string{grant.inbox_conv};
  return text;
}

std::string feeds(std::uint32_t bits, std::string_view more = "") {
  return "feeds=" + std::to_string(bits) + std::string{more};
}

/// MQTT's own rule (MQTT 5 §4.7), as plainly as possible: the judge is held against it.
bool matches(std::string_view filter, std::string_view topic) {
  if (!topic.empty() && topic[0] == '$' && (filter[0] == '#' || filter[0] == '+')) return false;
  for (;;) {
    const std::size_t f = std::min(filter.find('/'), filter.size());
    const std::size_t t = std::min(topic.find('/'), topic.size());
    const std::string_view level = filter.substr(0, f);
    if (level == "#") return true;
    if (level != "+" && level != topic.substr(0, t)) return false;
    const bool filter_ends = f == filter.size();
    const bool topic_ends = t == topic.size();
    if (topic_ends) return filter_ends || filter.substr(f) == "/#";
    if (filter_ends) return false;
    filter.remove_prefix(f + 1);
    topic.remove_prefix(t + 1);
  }
}

}  // namespace

TEST_CASE("topic: what clients publish") {
  struct Row {
    std::string rest;
    std::string meaning;
  };
  const std::string id(64, 'i');
  for (const Row& row :
       {Row{"send/bob", "send to=bob id="}, Row{"send/bob/a.b:c-1_Z", "send to=bob id=a.b:c-1_Z"},
        Row{"send.json/ops/1", "send.json to=ops id=1"}, Row{"send.pb/ops", "send.pb to=ops id="},
        Row{"send/" + std::string(40, 'x'), "send to=" + std::string(40, 'x') + " id="},
        Row{"send/B B", "send to=B B id="}, Row{"send/bob/" + id, "send to=bob id=" + id},
        Row{"got/bob", "got conv=bob"}, Row{"read/ops", "read conv=ops"},
        Row{"typing/bob", "typing conv=bob"}, Row{"do.json/history", "do.json method=history id="},
        Row{"do.pb/room.create/7", "do.pb method=room.create id=7"}, Row{"will/ops", "will to=ops"},
        // Negative ones.
        Row{"", "none"}, Row{"/", "none"}, Row{"send", "none"}, Row{"send/", "none"},
        Row{"send//1", "none"}, Row{"send/bob/", "none"}, Row{"send/bob/-", "none"},
        Row{"send/bob/1/2", "none"}, Row{"send/bob/1/", "none"}, Row{"send/bob/a b", "none"},
        Row{"send/bob/" + id + "i", "none"}, Row{"send.text/bob", "none"},
        Row{"send.js/bob", "none"}, Row{"Send/bob", "none"}, Row{"sendx/bob", "none"},
        Row{"got", "none"}, Row{"got/", "none"}, Row{"got/bob/1", "none"},
        Row{"got.json/bob", "none"}, Row{"read/bob/", "none"}, Row{"typing/bob/1", "none"},
        Row{"do/history", "none"}, Row{"do.json", "none"}, Row{"do.json/", "none"},
        Row{"do.json/history/-", "none"}, Row{"do.json/history/1/2", "none"}, Row{"will", "none"},
        Row{"will/ops/1", "none"}, Row{"will.json/ops", "none"}, Row{"inbox/bob", "none"},
        Row{"ack/1", "none"}, Row{"rr/1", "none"}, Row{"err", "none"},
        Row{"state/unread", "none"}}) {
    CAPTURE(row.rest);
    CHECK(told(parse_client_topic(row.rest)) == row.meaning);
  }
}

TEST_CASE("topic: where a topic belongs") {
  struct Row {
    std::string topic;
    std::string place;
  };
  for (const Row& row : {Row{"im/u/alice/send/bob", "own alice send/bob"},
                         Row{"im/u/alice/err", "own alice err"},
                         Row{"im/u/alice/", "own alice "},
                         Row{"im/u/Al ice/x", "own Al ice x"},
                         Row{"im/s/status", "server"},
                         Row{"im/s/", "server"},
                         Row{"im", "reserved"},
                         Row{"im/", "reserved"},
                         Row{"im/s", "reserved"},
                         Row{"im/u", "reserved"},
                         Row{"im/u/", "reserved"},
                         Row{"im/u/alice", "reserved"},
                         Row{"im/u//x", "reserved"},
                         Row{"im/x/alice/send", "reserved"},
                         Row{"im//u/alice/x", "reserved"},
                         Row{"im/U/alice/x", "reserved"},
                         Row{"$im/in/0", "link"},
                         Row{"$im", "link"},
                         Row{"$CONTROL/im/v1", "link"},
                         Row{"$CONTROL/im", "link"},
                         Row{"$CONTROL", "outside"},
                         Row{"$CONTROL/", "outside"},
                         Row{"$CONTROL/imx/v1", "outside"},
                         Row{"$CONTROL/dynamic-security/v1", "outside"},
                         Row{"$SYS/x", "outside"},
                         Row{"$imx/in", "outside"},
                         Row{"$$im/in", "outside"},
                         Row{"", "outside"},
                         Row{"/im/u/alice/x", "outside"},
                         Row{"imx/u/alice/x", "outside"},
                         Row{"i", "outside"},
                         Row{"IM/u/alice/x", "outside"},
                         Row{"sensors/1", "outside"}}) {
    CAPTURE(row.topic);
    CHECK(told(place_topic("im", row.topic)) == row.place);
  }
}

TEST_CASE("topic: filters of one's own") {
  struct Row {
    std::string rest;
    std::string verdict;
  };
  using namespace feed;
  constexpr std::uint32_t two_levels = all_but_state & ~err;
  for (const Row& row :
       {Row{"#", feeds(all_but_state, " all")}, Row{"+/#", feeds(all_but_state, " all")},
        Row{"+", feeds(err)}, Row{"+/+", feeds(two_levels, " all")},
        Row{"+/+/#", feeds(two_levels, " all")}, Row{"+/bob", feeds(two_levels, " conv=bob")},
        Row{"+/bob/#", feeds(two_levels, " conv=bob")}, Row{"+/+/+", feeds(rr)},
        Row{"inbox/#", feeds(inbox_text, " all")}, Row{"inbox/+", feeds(inbox_text, " all")},
        Row{"inbox/+/#", feeds(inbox_text, " all")},
        Row{"inbox/bob", feeds(inbox_text, " conv=bob")},
        Row{"inbox/bob/#", feeds(inbox_text, " conv=bob")},
        Row{"inbox.json/+", feeds(inbox_json, " all")}, Row{"inbox.pb/#", feeds(inbox_pb, " all")},
        Row{"sent.json/#", feeds(sent_json)}, Row{"sent.pb/bob", feeds(sent_pb)},
        Row{"event.json/#", feeds(event_json)}, Row{"event.pb/+", feeds(event_pb)},
        Row{"typing.json/+", feeds(typing_json)}, Row{"ack/+", feeds(ack_text)},
        Row{"ack/id-1", feeds(ack_text)}, Row{"ack.json/#", feeds(ack_json)},
        Row{"ack.pb/-", feeds(ack_pb)}, Row{"re.json/+", feeds(re_json)},
        Row{"re.pb/#", feeds(re_pb)}, Row{"rr/#", feeds(rr)}, Row{"rr/a/b/c", feeds(rr)},
        Row{"rr/1", feeds(rr)}, Row{"err", feeds(err)}, Row{"err/#", feeds(err)},
        Row{"state/#", feeds(state)}, Row{"state/unread", feeds(state)},
        Row{"state/presence/+", feeds(state)}, Row{"state/+/+", feeds(state)},
        // Nothing is ever published there.
        Row{"", feeds(0)}, Row{"inbox", feeds(0)}, Row{"inbox/", feeds(0)},
        Row{"inbox/a/b", feeds(0)}, Row{"inbox/+/+", feeds(0)}, Row{"inbox//#", feeds(0)},
        Row{"err/x", feeds(0)}, Row{"state", feeds(0)}, Row{"statex/#", feeds(0)},
        Row{"sent/#", feeds(0)}, Row{"event/+", feeds(0)}, Row{"typing/+", feeds(0)},
        Row{"re/+", feeds(0)}, Row{"nothing/#", feeds(0)}, Row{"rr", feeds(0)},
        // What one publishes oneself.
        Row{"send/#", feeds(0)}, Row{"send.json/bob", feeds(0)}, Row{"got/+", feeds(0)},
        Row{"do.json/#", feeds(0)}, Row{"will/ops", feeds(0)}}) {
    CAPTURE(row.rest);
    CHECK(told(judge_filter("im", "alice", "im/u/alice/" + row.rest)) == row.verdict);
  }
}

TEST_CASE("topic: of a filter of state topics what is behind the verb") {
  struct Row {
    std::string rest;
    std::string state;
  };
  for (const Row& row :
       {Row{"state/#", "#"}, Row{"state/unread", "unread"}, Row{"state/conv/+", "conv/+"},
        Row{"state/+/bob/#", "+/bob/#"}, Row{"state", ""}, Row{"#", ""}, Row{"+/#", ""},
        Row{"inbox/+", ""}, Row{"rr/#", ""}}) {
    CAPTURE(row.rest);
    const std::string filter = "im/u/alice/" + row.rest;
    CHECK(std::get<FilterGrant>(judge_filter("im", "alice", filter)).state == row.state);
  }
  CHECK(feed_of(state_unread_rest()) == feed::state);
  CHECK(state_conv_rest("bob") == "state/conv/bob");
  CHECK(state_presence_rest("bob") == "state/presence/bob");
}

TEST_CASE("topic: filters that reach beyond one's own") {
  struct Row {
    std::string filter;
    std::string verdict;
  };
  for (const Row& row :
       {Row{"im/s/#", "server"}, Row{"im/s/+", "server"}, Row{"im/s/status", "server"},
        Row{"im/s/a/b", "server"},
        // Other people's, everybody's, reserved places.
        Row{"im/u/bob/inbox/#", "foreign"}, Row{"im/u/+/inbox/#", "foreign"},
        Row{"im/u/#", "foreign"}, Row{"im/#", "foreign"}, Row{"im/+/alice/inbox/+", "foreign"},
        Row{"im/+/#", "foreign"}, Row{"im/u/alice", "foreign"}, Row{"im/u/alicex/#", "foreign"},
        Row{"im/u/Alice/#", "foreign"}, Row{"im/u//#", "foreign"}, Row{"im/u/+/err", "foreign"},
        Row{"im", "foreign"}, Row{"im/", "foreign"}, Row{"im/s", "foreign"}, Row{"im/+", "foreign"},
        Row{"im/x/#", "foreign"}, Row{"im/+/status", "foreign"},
        // By a wildcard in the first level.
        Row{"#", "foreign"}, Row{"+/#", "foreign"}, Row{"+/u/alice/inbox/+", "foreign"},
        Row{"+/+", "foreign"}, Row{"+/x", "foreign"}, Row{"+/s/status", "foreign"},
        // The link.
        Row{"$im/#", "foreign"}, Row{"$im/in/0", "foreign"}, Row{"$im/fence", "foreign"},
        Row{"$im", "foreign"}, Row{"$CONTROL/im/v1", "foreign"}, Row{"$CONTROL/im/#", "foreign"},
        Row{"$CONTROL/im", "foreign"}, Row{"$CONTROL/#", "foreign"},
        Row{"$CONTROL/+/v1", "foreign"}, Row{"$CONTROL/+/#", "foreign"},
        // Shared: never, not even of one's own.
        Row{"$share/g/im/u/alice/inbox/#", "shared"}, Row{"$share/g/im/u/bob/#", "shared"},
        Row{"$share/g/#", "shared"}, Row{"$share/g/+/u/alice/#", "shared"},
        Row{"$share/g/im/s/status", "shared"}, Row{"$share/g/$im/in/0", "shared"},
        Row{"$share/g/$CONTROL/im/v1", "shared"}, Row{"$share/im/im/#", "shared"},
        Row{"$share//im/#", "shared"}, Row{"$share/+/im/#", "shared"},
        // None of our business.
        Row{"$share/g/sensors/#", "outside"}, Row{"$share/im/sensors/#", "outside"},
        Row{"$share/g/+", "outside"}, Row{"$share/g/$SYS/#", "outside"}, Row{"$share", "outside"},
        Row{"$share/", "outside"}, Row{"$share/im", "outside"}, Row{"$share/im/", "outside"},
        Row{"$sharex/g/im/#", "outside"}, Row{"", "outside"}, Row{"+", "outside"},
        Row{"/", "outside"}, Row{"/#", "outside"}, Row{"/im/u/alice/#", "outside"},
        Row{"imx/#", "outside"}, Row{"i", "outside"}, Row{"sensors/#", "outside"},
        Row{"$SYS/#", "outside"}, Row{"$CONTROL", "outside"}, Row{"$CONTROL/+", "outside"},
        Row{"$CONTROL/dynamic-security/v1", "outside"}, Row{"$CONTROL/imx/#", "outside"},
        Row{"$imx/#", "outside"}, Row{"IM/u/alice/#", "outside"}}) {
    CAPTURE(row.filter);
    CHECK(told(judge_filter("im", "alice", row.filter)) == row.verdict);
    const bool touches = row.verdict != "outside";
    CHECK(filter_touches_prefix("im", row.filter, false) == touches);
  }
}

TEST_CASE("topic: filters that name the prefix literally") {
  struct Row {
    std::string filter;
    bool literally;
  };
  for (const Row& row :
       {Row{"im/#", true}, Row{"im", true}, Row{"im/+/x", true}, Row{"$im/#", true},
        Row{"$CONTROL/im/v1", true}, Row{"$share/g/im/#", true}, Row{"#", false},
        Row{"+/u/alice/#", false}, Row{"+", false}, Row{"$CONTROL/#", false},
        Row{"$CONTROL/+/v1", false}, Row{"$share/g/#", false}, Row{"$share/im/#", false},
        Row{"$share/im/x", false}, Row{"sensors/im", false}}) {
    CAPTURE(row.filter);
    CHECK(filter_touches_prefix("im", row.filter, true) == row.literally);
  }
}

TEST_CASE("topic: a grant says exactly what the broker would deliver") {
  const std::vector<std::string> words = {"inbox", "inbox.json", "sent.json", "ack", "re.pb",
                                          "rr",    "err",        "bob",       ""};
  std::vector<std::string> topics = {"err"};  // all that could be published with these words
  for (const std::string& a : words) {
    for (const std::string& b : words) {
      if (feed_of(a + "/" + b) != 0) topics.push_back(a + "/" + b);
      for (const std::string& c : words) {
        if (feed_of(a + "/" + b + "/" + c) != 0) topics.push_back(a + "/" + b + "/" + c);
      }
    }
  }
  // What needs words that are not in the list.
  constexpr std::uint32_t tried = feed::inbox_text | feed::inbox_json | feed::sent_json |
                                  feed::ack_text | feed::re_pb | feed::rr | feed::err;
  const auto try_filter = [&](const std::string& rest) {
    CAPTURE(rest);
    const std::string filter = "im/u/alice/" + rest;  // the grant views into it
    const auto verdict = judge_filter("im", "alice", filter);
    REQUIRE(std::holds_alternative<FilterGrant>(verdict));
    const auto& grant = std::get<FilterGrant>(verdict);
    std::uint32_t reached = 0;
    for (const std::string& topic : topics) {
      const bool match = matches(rest, topic);
      const std::uint32_t feed = feed_of(topic);
      if (match) reached |= feed;
      if ((feed & grant.feeds & feed::inbox_any) == 0) continue;
      CAPTURE(topic);
      CHECK((grant.inbox_all || grant.inbox_conv == conv_of(topic)) == match);
    }
    CHECK((grant.feeds & tried) == reached);
  };
  std::vector<std::string> levels = words;
  levels.insert(levels.end(), {"#", "+"});
  for (const std::string& a : levels) {
    try_filter(a);
    if (a == "#") continue;
    for (const std::string& b : levels) {
      try_filter(a + "/" + b);
      if (b == "#") continue;
      for (const std::string& c : levels) try_filter(a + "/" + b + "/" + c);
    }
  }
}

TEST_CASE("topic: the feed and conversation of what we publish") {
  struct Row {
    std::string rest;
    std::uint32_t feed;
    std::string conv;
  };
  for (const Row& row : {Row{"inbox/bob", feed::inbox_text, "bob"},
                         Row{"inbox.json/ops", feed::inbox_json, "ops"},
                         Row{"inbox.pb/ops", feed::inbox_pb, "ops"},
                         Row{"sent.json/bob", feed::sent_json, "bob"},
                         Row{"sent.pb/bob", feed::sent_pb, "bob"},
                         Row{"event.json/-", feed::event_json, "-"},
                         Row{"event.pb/ops", feed::event_pb, "ops"},
                         Row{"typing.json/bob", feed::typing_json, "bob"},
                         Row{"ack/1", feed::ack_text, ""},
                         Row{"ack.json/-", feed::ack_json, ""},
                         Row{"ack.pb/1", feed::ack_pb, ""},
                         Row{"re.json/1", feed::re_json, ""},
                         Row{"re.pb/-", feed::re_pb, ""},
                         Row{"rr/a/b", feed::rr, ""},
                         Row{"rr//b", feed::rr, ""},
                         Row{"rr/a/", feed::rr, ""},
                         Row{"err", feed::err, ""},
                         Row{"state/unread", feed::state, ""},
                         Row{"state/conv/ops", feed::state, ""},
                         Row{"", 0, ""},
                         Row{"inbox", 0, ""},
                         Row{"inbox/", 0, ""},
                         Row{"inbox/a/b", 0, ""},
                         Row{"err/x", 0, ""},
                         Row{"rr", 0, ""},
                         Row{"rr/", 0, ""},
                         Row{"state", 0, ""},
                         Row{"send/bob", 0, ""},
                         Row{"send.json/bob/1", 0, ""},
                         Row{"got/bob", 0, ""},
                         Row{"read/bob", 0, ""},
                         Row{"typing/bob", 0, ""},
                         Row{"do.json/history", 0, ""},
                         Row{"will/ops", 0, ""},
                         Row{"inboxx/bob", 0, ""}}) {
    CAPTURE(row.rest);
    CHECK(feed_of(row.rest) == row.feed);
    CHECK(conv_of(row.rest) == row.conv);
  }
}

TEST_CASE("topic: what we publish is what subscribers were granted") {
  for (const Format format : {Format::text, Format::json, Format::pb}) {
    CHECK((feed_of(inbox_rest(format, "bob")) & feed::inbox_any) != 0);
    CHECK((feed_of(ack_rest(format, "")) & feed::ack_any) != 0);
  }
  for (const Format format : {Format::json, Format::pb}) {
    CHECK((feed_of(sent_rest(format, "bob")) & feed::sent_any) != 0);
    CHECK((feed_of(event_rest(format, "-")) & (feed::event_json | feed::event_pb)) != 0);
    CHECK((feed_of(reply_rest(format, "1")) & (feed::re_json | feed::re_pb)) != 0);
  }
  CHECK(user_topic("im", "alice", inbox_rest(Format::text, "bob")) == "im/u/alice/inbox/bob");
  CHECK(inbox_rest(Format::json, "bob") == "inbox.json/bob");
  CHECK(inbox_rest(Format::pb, "bob") == "inbox.pb/bob");
  CHECK(ack_rest(Format::text, "") == "ack/-");
  CHECK(ack_rest(Format::json, "x") == "ack.json/x");
  CHECK(reply_rest(Format::pb, "") == "re.pb/-");
  CHECK(status_topic("im") == "im/s/status");
  CHECK(info_topic("im") == "im/s/info");
  CHECK(inbound_topic("im") == "$im/in/0");
  CHECK(fence_topic("im") == "$im/fence");
  CHECK(control_topic("im") == "$CONTROL/im/v1");
}

TEST_CASE("topic: quiet filters cover what clients may publish, and nothing that we publish") {
  const auto covered = [](const std::string& topic) {
    for (const std::string& filter : quiet_filters("im")) {
      if (matches(filter, topic)) return true;
    }
    return false;
  };
  for (const std::string rest : {"send/bob", "send/bob/1", "send.json/bob", "send.pb/bob/1",
                                 "got/bob", "read/bob", "typing/bob", "do.json/x/1", "do.pb/x"}) {
    CAPTURE(rest);
    CHECK(covered("im/u/alice/" + rest));
  }
  for (const std::string rest : {"inbox/bob", "ack/1", "err", "rr/1", "will/ops", "state/unread"}) {
    CAPTURE(rest);
    CHECK_FALSE(covered("im/u/alice/" + rest));
  }
}

TEST_CASE("topic: response topics lead to one's own rr only") {
  CHECK(response_rest("im", "alice", "im/u/alice/rr/1") == "rr/1");
  CHECK(response_rest("im", "alice", "im/u/alice/rr/a/b") == "rr/a/b");
  for (const std::string& topic : {std::string{}, std::string{"rr/1"}, std::string{"im/u/alice/rr"},
                                   std::string{"im/u/alice/rr/"}, std::string{"im/u/alice/rrx/1"},
                                   std::string{"im/u/alice/ack/1"}, std::string{"im/u/bob/rr/1"},
                                   std::string{"im/u/alice/rr/+"}, std::string{"im/u/alice/rr/#"},
                                   std::string{"im/u/alice/rr/a#b"}, std::string{"im/u/+/rr/1"},
                                   std::string{"imx/u/alice/rr/1"}, std::string{"$im/u/alice/rr/1"},
                                   std::string{"im/u/alice/rr/a\0b", 18}}) {
    CAPTURE(topic);
    CHECK_FALSE(response_rest("im", "alice", topic));
  }
}

}  // namespace parley
