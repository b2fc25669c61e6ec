// Topics and filters as clients write them. What is granted must not reach what is another's, and
// what is read must be written again the same.

#include "core/topic.hpp"

#include <string>
#include <vector>

#include "core/names.hpp"
#include "core/state_topics.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

std::vector<std::string_view> levels_of(std::string_view text) {
  std::vector<std::string_view> levels;
  while (true) {
    const auto slash = text.find('/');
    levels.push_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return levels;
    text.remove_prefix(slash + 1);
  }
}

/// MQTT 3.1.1, 4.7, written anew.
bool matches(std::string_view filter, std::string_view topic) {
  const auto f = levels_of(filter);
  const auto t = levels_of(topic);
  for (std::size_t i = 0;; ++i) {
    if (i < f.size() && f[i] == "#") {
      return i + 1 == f.size() && !(i == 0 && topic.starts_with("$"));
    }
    if (i == f.size() || i == t.size()) return i == f.size() && i == t.size();
    if (f[i] == "+" && !(i == 0 && topic.starts_with("$"))) continue;
    if (f[i] != t[i]) return false;
  }
}

bool is_filter(std::string_view text) {
  if (text.empty() || text.find('\0') != std::string_view::npos) return false;
  const auto levels = levels_of(text);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    if (levels[i] == "#" && i + 1 == levels.size()) continue;
    if (levels[i] != "+" && levels[i].find_first_of("+#") != std::string_view::npos) return false;
  }
  return true;
}

bool is_topic(std::string_view text) {
  return !text.empty() && text.find_first_of(std::string_view{"+#\0", 3}) == std::string_view::npos;
}

bool inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

std::string suffix(Format format) {
  return format == Format::json ? ".json" : format == Format::pb ? ".pb" : "";
}

std::string with_id(std::string text, std::string_view id) {
  if (!id.empty()) text.append("/").append(id);
  return text;
}

std::string written(const ClientTopic& topic) {
  if (const auto* send = std::get_if<SendTopic>(&topic)) {
    return with_id("send" + suffix(send->format) + "/" + std::string{send->to}, send->id);
  }
  if (const auto* mark = std::get_if<MarkTopic>(&topic)) {
    return (mark->read ? "read/" : "got/") + std::string{mark->conv};
  }
  if (const auto* typing = std::get_if<TypingTopic>(&topic)) {
    return "typing/" + std::string{typing->conv};
  }
  if (const auto* request = std::get_if<DoTopic>(&topic)) {
    return with_id("do" + suffix(request->format) + "/" + std::string{request->method},
                   request->id);
  }
  return "will/" + std::string{std::get<WillTopic>(topic).to};
}

void check_client_topic(std::string_view rest) {
  const auto topic = parse_client_topic(rest);
  if (!topic) return;
  require(written(*topic) == rest, "a topic is read as it is written");
  require(feed_of(rest) == 0, "what clients publish is no feed");
  if (const auto* send = std::get_if<SendTopic>(&*topic)) {
    require(inside(send->to, rest) && inside(send->id, rest), "views into the topic");
    require(send->id.empty() || is_request_id(send->id), "an id is an id");
  }
}

void check_place(std::string_view topic) {
  const auto place = place_topic("im", topic);
  if (const auto* own = std::get_if<OwnTopic>(&place)) {
    require(inside(own->name, topic) && inside(own->rest, topic), "views into the topic");
    require(user_topic("im", own->name, own->rest) == topic, "a user's topic is written the same");
  }
  if (std::holds_alternative<OutsideTopic>(place)) {
    require(!topic.starts_with("im/") && !topic.starts_with("$im/"), "what is ours is not outside");
  }
}

/// A state topic that matches a filter is among what the filter asks for.
void check_state(std::string_view filter, std::string_view rest) {
  StateWants wants;
  wants.add(filter);
  const auto levels = levels_of(rest);
  if (rest == state_unread_rest()) require(wants.unread, "the total is asked for");
  if (levels.size() != 3 || !is_name(levels[2])) return;
  require(levels[1] != "conv" || wants.conv(levels[2]), "the conversation is asked for");
  require(levels[1] != "presence" || wants.person(levels[2]), "the user is asked for");
}

/// `topic` is anything that matches the filter: may the user have it?
void check_grant(std::string_view filter, std::string_view topic) {
  const auto judged = judge_filter("im", "alice", filter);
  const auto place = place_topic("im", topic);
  const bool outside = std::holds_alternative<OutsideTopic>(place);
  if (const auto* grant = std::get_if<FilterGrant>(&judged)) {
    require(!outside, "a grant is for ours");
    require(!std::holds_alternative<LinkTopic>(place), "nobody reads the link");
    require(std::holds_alternative<ServerTopic>(place) ? grant->server : true, "server's topics");
    const auto* own = std::get_if<OwnTopic>(&place);
    if (own == nullptr) return;
    require(own->name == "alice", "nothing of another");
    const auto feed = feed_of(own->rest);
    if (feed == feed::state) {  // needs a filter of its own
      require(inside(grant->state, filter), "a view into the filter");
      if (!grant->state.empty()) check_state(grant->state, own->rest);
      return;
    }
    require((grant->feeds & feed) == feed, "what the filter brings is in the grant");
    const bool inbox = (feed & feed::inbox_any) != 0;
    require(!inbox || grant->inbox_all || grant->inbox_conv == conv_of(own->rest),
            "the inbox of that conversation is in the grant");
  } else if (std::get<FilterRefusal>(judged) == FilterRefusal::outside) {
    require(outside || filter.starts_with("$share/"), "an outside filter brings nothing of ours");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  const auto filter = input.line();
  const auto topic = input.rest();
  check_client_topic(topic);
  check_client_topic(filter);
  check_place(topic);
  (void)judge_filter("im", "alice", filter);
  (void)filter_touches_prefix("im", filter, true);
  // The prefix alone is reserved, but nothing is ever there.
  const bool bare = topic == "im" || topic == "$im" || topic == "$CONTROL/im";
  if (!bare && is_filter(filter) && is_topic(topic) && matches(filter, topic)) {
    check_grant(filter, topic);
    if (!std::holds_alternative<OutsideTopic>(place_topic("im", topic))) {
      require(filter_touches_prefix("im", filter, false), "a filter that brings ours touches us");
    }
  }
  if (const auto rest = response_rest("im", "alice", topic)) {
    require(
        rest->starts_with("rr/") && user_topic("im", "alice", *rest) == topic && is_topic(topic),
        "answers go below rr only");
  }
  if (const auto id = parse_device_client_id(topic)) {
    require(is_name(id->name) && is_device(id->device) &&
                std::string{id->name} + "." + std::string{id->device} == topic,
            "a device's client id is read as it is written");
  }
  return 0;
}
