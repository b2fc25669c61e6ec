#include "worker/typing.hpp"

#include <algorithm>
#include <chrono>
#include <variant>

#include "core/answer.hpp"
#include "core/json_writer.hpp"
#include "core/names.hpp"
#include "core/topic.hpp"
#include "worker/loop.hpp"
#include "worker/statements.hpp"

namespace parley {
namespace {

constexpr std::int64_t holds_for_ms = 6'000;
/// Who goes on writing says so again and again; the others need to hear it only before it ends.
constexpr std::int64_t tell_again_ms = 2'000;
constexpr std::size_t writers_max = 10'000;  // beyond: not passed on
constexpr std::size_t asking_max = 1'000;    // beyond: not looked up
constexpr std::size_t members_max = 1'000;   // of a larger conversation nobody wants to know
constexpr auto tick_every = std::chrono::milliseconds{250};

std::string payload_of(const std::string& name, bool typing) {
  std::string out;
  JsonWriter json{out};
  json.open_object();
  json.key("from").value(name);
  json.key("typing").flag(typing);
  json.close_object();
  return out;
}

}  // namespace

Typing::Typing(asio::io_context& loop, std::string prefix, Needs needs)
    : prefix_{std::move(prefix)}, needs_{std::move(needs)}, timer_{loop} {}

void Typing::take(const std::string& record) {
  const auto decoded = link::decode_record(record);
  if (!decoded) return;
  const auto topic = parse_client_topic(decoded->topic_rest);
  const auto* const about = topic ? std::get_if<TypingTopic>(&*topic) : nullptr;
  if (about == nullptr) return;
  const Said said{{decoded->user_id, std::string{about->conv}},
                  decoded->user,
                  decoded->topic_rest,
                  decoded->payload == "1"};
  if (!is_name(about->conv)) {
    err(said, Code::user_not_found, "no user or room has this name");
    return;
  }
  const auto known = writers_.find(said.key);
  // That he began may still be looked up: that he ends is not to overtake it.
  const bool in_order = said.typing || asking_ == 0;
  if (known != writers_.end() && in_order && !(said.typing && may_tell_again(known->second))) {
    changed(said, known->second.room);  // nothing new is told now
    return;
  }
  if (asking_ >= asking_max) return;
  ++asking_;
  needs_.resolver.resolve_member(said.key.first, said.key.second,
                                 [this, said](const sql::Resolved& found) {
                                   --asking_;
                                   resolved(said, found);
                                   needs_.turn();
                                 });
}

void Typing::resolved(const Said& said, const sql::Resolved& found) {
  if (!found.sender_known) return;
  if (found.kind.empty()) {
    err(said, Code::user_not_found, "no user or room has this name");
  } else if (found.kind != "room") {
    to_one(said);
  } else if (found.member) {
    to_room(said, found.conversation);
  } else {
    err(said, Code::not_member, "you are not in this room");
  }
}

/// Whether the database is not asked for it: it is not worth much.
bool Typing::is_too_much(const Said& said) const {
  return (!said.typing && asking_ == 0) || needs_.database.waiting() > 10;
}

/// Whether they ever spoke or not; their blocks and settings count as they are now.
void Typing::to_one(const Said& said) {
  if (is_too_much(said)) return;
  ++asking_;
  needs_.database.submit({sql::may_see_typing({said.key.first, said.key.second})},
                         [this, said](auto result) {
                           --asking_;
                           if (!result || !sql::may_see_typing_of(result->at(0))) return;
                           changed(said, ConversationId{0});
                           needs_.turn();
                         });
}

void Typing::to_room(const Said& said, ConversationId room) {
  if (needs_.members.find(room) != nullptr) {
    changed(said, room);
    return;
  }
  if (is_too_much(said)) return;
  ++asking_;
  needs_.database.submit({sql::members_of_stale({{room, 0}})}, [this, said, room](auto result) {
    --asking_;
    if (!result) return;
    needs_.members.update(sql::members_of(result->at(0)));
    changed(said, room);
    needs_.turn();
  });
}

void Typing::err(const Said& said, Code code, std::string_view detail) {
  needs_.plugin.deliver(
      err_delivery(said.name, code, user_topic(prefix_, said.name, said.topic_rest), detail));
}

void Typing::changed(const Said& said, ConversationId room) {
  const auto now = mono_now();
  auto known = writers_.find(said.key);
  if (known == writers_.end()) {
    if (!said.typing || writers_.size() >= writers_max) return;
    if (room.value != 0 && !may_write(room, said.key.first)) return;
    known = writers_.emplace(said.key, Writer{said.name, room, {}, {}, false}).first;
  }
  auto& writer = known->second;
  writer.typing = said.typing;
  writer.until = {now.value + holds_for_ms};
  // Who says so again and again, or begins and ends all the time, is passed on by tick().
  if (said.typing ? may_tell_again(writer) : writer.told) tell(said.key, writer);
}

bool Typing::may_tell_again(const Writer& writer) {
  return mono_now().value - writer.told_at.value >= tell_again_ms;
}

bool Typing::may_write(ConversationId room, UserId user) const {
  const auto conversation = needs_.members.find(room);
  if (conversation == nullptr || conversation->members.size() > members_max) return false;
  const auto* const member = conversation->find(user);
  return member != nullptr && member->may_write;
}

std::vector<std::string> Typing::others_in(ConversationId room, UserId writer) const {
  std::vector<std::string> others;
  const auto conversation = needs_.members.find(room);
  if (conversation == nullptr || !may_write(room, writer)) return others;
  for (const auto& member : conversation->members) {
    if (member.user != writer) others.push_back(member.name);
  }
  return others;
}

void Typing::tell(const Key& key, Writer& writer) {
  const auto& [user, conv] = key;
  const bool in_room = writer.room.value != 0;
  writer.told = writer.typing;
  if (writer.typing) writer.told_at = mono_now();
  link::Delivery delivery;
  if (in_room) {
    delivery.to = others_in(writer.room, user);
  } else if (conv != writer.name) {  // notes to oneself nobody else sees
    delivery.to = {conv};
  }
  std::erase_if(delivery.to, [this](const std::string& name) {
    return (needs_.publisher.feeds_of(name) & feed::typing_json) == 0;
  });
  if (delivery.to.empty()) return;
  delivery.suffix = typing_rest(in_room ? conv : writer.name);
  delivery.payload = payload_of(writer.name, writer.typing);
  needs_.plugin.deliver(std::move(delivery));
}

void Typing::tick() {
  timer_.expires_after(tick_every);
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    const auto now = mono_now();
    for (auto one = writers_.begin(); one != writers_.end();) {
      auto& [key, writer] = *one;
      if (writer.until > now) {
        if (writer.typing && !writer.told && may_tell_again(writer)) tell(key, writer);
        ++one;
        continue;
      }
      writer.typing = false;
      if (writer.told) tell(key, writer);
      one = writers_.erase(one);
    }
    needs_.turn();
    tick();
  });
}

}  // namespace parley
