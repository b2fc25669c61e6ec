#include "core/state_topics.hpp"

#include "core/json_writer.hpp"
#include "core/names.hpp"
#include "core/wire.hpp"

namespace parley {
namespace {

/// The first level of `rest`, which is taken from it; nothing left is "no level".
std::optional<std::string_view> next_level(std::optional<std::string_view>& rest) {
  if (!rest) return std::nullopt;
  const auto slash = rest->find('/');
  const auto level = rest->substr(0, slash);
  if (slash == std::string_view::npos) {
    rest.reset();
  } else {
    rest->remove_prefix(slash + 1);
  }
  return level;
}

/// The first `characters` of UTF-8 text.
std::string_view first_of(std::string_view text, std::size_t characters) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
    if (begins && seen++ == characters) return text.substr(0, i);
  }
  return text;
}

}  // namespace

void StateWants::add(std::string_view filter) {
  std::optional<std::string_view> rest = filter;
  const auto sort = next_level(rest);
  const auto which = next_level(rest);
  const auto below = next_level(rest);
  // "#" matches the level above it, too.
  if (rest || (below && *below != "#")) return;
  const bool everything = sort == "#";
  const auto is = [&](std::string_view word) { return everything || sort == "+" || sort == word; };
  const bool all = everything || which == "#" || which == "+";
  if (is("unread") && (everything || !which || (which == "#" && !below))) unread = true;
  if (!which && !everything) return;
  if (which == "#" && below) return;
  if (all) {
    all_convs = all_convs || is("conv");
    all_people = all_people || is("presence");
    return;
  }
  if (!is_name(*which)) return;
  if (is("conv")) convs.emplace(*which);
  if (is("presence")) people.emplace(*which);
}

void StateWants::add(const StateWants& more) {
  unread = unread || more.unread;
  all_convs = all_convs || more.all_convs;
  all_people = all_people || more.all_people;
  convs.insert(more.convs.begin(), more.convs.end());
  people.insert(more.people.begin(), more.people.end());
}

std::string state_payload(const ConversationState& state) {
  std::string out;
  JsonWriter json{out};
  json.open_object();
  json.key("seq").value(state.seq);
  json.key("read_seq").value(state.read_seq);
  json.key("unread").value(state.unread);
  json.key("last");
  if (state.last) {
    json.open_object();
    json.key("from").value(state.last->from);
    json.key("text").value(first_of(state.last->text, state_text_max));
    json.key("time").value(format_time(state.last->time));
    json.close_object();
  } else {
    json.null();
  }
  json.key("muted").flag(state.muted);
  json.close_object();
  return out;
}

std::string presence_payload(bool online, UnixMillis last_seen) {
  if (online) return "online";
  return "offline " + std::to_string(last_seen.value / 1'000);
}

}  // namespace parley
