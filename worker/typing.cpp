#include "worker/typing.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <variant>

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

Typing::Typing(asio::io_context& loop, Needs needs) : needs_{std::move(needs)}, timer_{loop} {}

void Typing::take(const std::string& record) {
  const auto decoded = link::decode_record(record);
  if (!decoded) return;
  const auto topic = parse_client_topic(decoded->topic_rest);
  const auto* const about = topic ? std::get_if<TypingTopic>(&*topic) : nullptr;
  if (about == nullptr || !is_name(about->conv)) return;
  needs_.resolver.resolve(decoded->user_id, std::string{about->conv}, false,
                          [this, user = decoded->user_id, name = decoded->user,
                           typing = decoded->payload == "1"](const sql::Resolved& found) {
                            if (found.conversation.value != 0)
                              with_members({found.conversation, user}, name, typing);
                          });
}

void Typing::with_members(const Key& key, const std::string& name, bool typing) {
  const auto known = writers_.find(key);
  const auto members = needs_.members.find(key.first);
  // Nothing new is told now; or in a room, where nobody blocks anybody.
  const bool quiet = known != writers_.end() && !(typing && may_tell_again(known->second));
  if (quiet || (members != nullptr && members->is_room)) {
    changed(key, name, typing);
    return;
  }
  if (!typing || needs_.database.waiting() > 10) return;  // it can do without
  const auto version = members == nullptr ? 0 : members->members_version;
  needs_.database.submit({sql::members_of_stale({{key.first, version}})},
                         [this, key, name](auto result) {
                           if (!result) return;
                           needs_.members.update(sql::members_of(result->at(0)));
                           changed(key, name, true);
                           needs_.turn();
                         });
}

void Typing::changed(const Key& key, const std::string& name, bool typing) {
  const auto now = mono_now();
  auto known = writers_.find(key);
  if (known == writers_.end()) {
    if (!typing || writers_.size() >= writers_max || !may_write(key)) return;
    known = writers_.emplace(key, Writer{name, {}, {}, false}).first;
  }
  auto& writer = known->second;
  writer.typing = typing;
  writer.until = {now.value + holds_for_ms};
  // Who says so again and again, or begins and ends all the time, is passed on by tick().
  if (typing ? may_tell_again(writer) : writer.told) tell(key, writer);
}

bool Typing::may_tell_again(const Writer& writer) {
  return mono_now().value - writer.told_at.value >= tell_again_ms;
}

bool Typing::may_write(const Key& key) const {
  const auto conversation = needs_.members.find(key.first);
  if (conversation == nullptr || conversation->members.size() > members_max) return false;
  const auto& members = conversation->members;
  return std::any_of(members.begin(), members.end(), [&](const Member& member) {
    return member.user == key.second && member.may_write;
  });
}

void Typing::tell(const Key& key, Writer& writer) {
  const auto conversation = needs_.members.find(key.first);
  writer.told = writer.typing;
  if (writer.typing) writer.told_at = mono_now();
  if (conversation == nullptr || !may_write(key)) return;
  link::Delivery delivery;
  for (const auto& member : conversation->members) {
    if (member.user == key.second) continue;
    if ((needs_.publisher.feeds_of(member.name) & feed::typing_json) == 0) continue;
    delivery.to.push_back(member.name);  // in a conversation of two the only one
    delivery.suffix = typing_rest(conv_for(*conversation, member.user));
  }
  if (delivery.to.empty()) return;
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
