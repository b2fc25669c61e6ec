#include "core/state_topics.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace parley;

namespace {

std::string told(std::string_view filter) {
  StateWants wants;
  wants.add(filter);
  std::string out;
  const auto add = [&out](const std::string& word) { out += (out.empty() ? "" : " ") + word; };
  if (wants.unread) add("unread");
  if (wants.all_convs) add("convs");
  if (wants.all_people) add("people");
  for (const auto& name : wants.convs) add("conv=" + name);
  for (const auto& name : wants.people) add("person=" + name);
  CHECK(wants.nothing() == out.empty());
  return out;
}

}  // namespace

TEST_CASE("state_topics: what a filter asks for") {
  struct Row {
    std::string filter;
    std::string wants;
  };
  for (const Row& row :
       {Row{"#", "unread convs people"}, Row{"+", "unread"}, Row{"+/#", "unread convs people"},
        Row{"+/+", "convs people"}, Row{"+/+/#", "convs people"},
        Row{"+/bob", "conv=bob person=bob"}, Row{"+/bob/#", "conv=bob person=bob"},
        Row{"unread", "unread"}, Row{"unread/#", "unread"}, Row{"conv/+", "convs"},
        Row{"conv/#", "convs"}, Row{"conv/+/#", "convs"}, Row{"conv/ops", "conv=ops"},
        Row{"conv/ops/#", "conv=ops"}, Row{"presence/+", "people"}, Row{"presence/#", "people"},
        Row{"presence/bob", "person=bob"},
        // Nothing is ever published there.
        Row{"conv", ""}, Row{"presence", ""}, Row{"unread/x", ""}, Row{"unread/+", ""},
        Row{"conv/a/b", ""}, Row{"+/+/+", ""}, Row{"conv/+/+", ""}, Row{"conv/a/b/#", ""},
        Row{"conv/No Name", ""}, Row{"presence/", ""}, Row{"x/#", ""}, Row{"x", ""}}) {
    CAPTURE(row.filter);
    CHECK(told(row.filter) == row.wants);
  }
}

TEST_CASE("state_topics: several filters ask for all of it") {
  StateWants wants;
  for (const auto* filter : {"unread", "conv/bob", "conv/ops", "presence/+"}) wants.add(filter);
  CHECK(wants.unread);
  CHECK(wants.conv("bob"));
  CHECK_FALSE(wants.conv("carol"));
  CHECK(wants.person("carol"));
}

TEST_CASE("state_topics: a conversation's payload, its members in this order") {
  ConversationState state{5, 3, 2, {}, false};
  CHECK(state_payload(state) == R"({"seq":5,"read_seq":3,"unread":2,"last":null,"muted":false})");
  state.last = {"alice", "hi \"you\"", UnixMillis{1'795'302'062'120}};
  state.muted = true;
  CHECK(state_payload(state) ==
        R"({"seq":5,"read_seq":3,"unread":2,"last":{"from":"alice","text":"hi \"you\"",)"
        R"("time":"2026-11-21T23:01:02.120Z"},"muted":true})");
}

TEST_CASE("state_topics: of a long text the beginning, by characters") {
  ConversationState state;
  std::string text;
  for (std::size_t i = 0; i < state_text_max; ++i) text += "\u00e4";
  state.last = {"alice", text + "\u00f6", UnixMillis{}};
  const auto payload = state_payload(state);
  CHECK(payload.find('"' + text + '"') != std::string::npos);
}

TEST_CASE("state_topics: presence") {
  CHECK(presence_payload(true, UnixMillis{5'000}) == "online");
  CHECK(presence_payload(false, UnixMillis{5'999}) == "offline 5");
  CHECK(presence_payload(false, {}) == "offline 0");
}
