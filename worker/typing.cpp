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
  if (needs_.members.find(key.first) != nullptr) {
    changed(key, name, typing);
    return;
  }
  if (needs_.database.waiting() > 10) return;  // it can do without
  needs_.database.submit({sql::members_of_stale({{key.first, 0}})},
                         [this, key, name, typing](auto result) {
                           if (!result) return;
                           needs_.members.update(sql::members_of(result->at(0)));
                           changed(key, name, typing);
                           needs_.turn();
                         });
}

void Typing::changed(const Key& key, const std::string& name, bool typing) {
  const auto now = mono_now();
  const auto known = writers_.find(key);
  if (!typing) {
    if (known == writers_.end()) return;
    writers_.erase(known);
    tell(key, name, false);
    return;
  }
  if (known != writers_.end()) {
    known->second.until = {now.value + holds_for_ms};
    if (now.value - known->second.told_at.value < tell_again_ms) return;
    known->second.told_at = now;
  } else {
    if (writers_.size() >= writers_max) return;
    writers_[key] = {name, {now.value + holds_for_ms}, now};
  }
  tell(key, name, true);
}

void Typing::tell(const Key& key, const std::string& name, bool typing) {
  const auto conversation = needs_.members.find(key.first);
  if (conversation == nullptr) return;
  const auto& members = conversation->members;
  const auto writer = std::find_if(members.begin(), members.end(), [&](const Member& member) {
    return member.user == key.second && member.may_write;
  });
  if (writer == members.end()) return;
  for (const auto& member : members) {
    if (member.user == key.second) continue;
    if ((needs_.publisher.feeds_of(member.name) & feed::typing_json) == 0) continue;
    link::Delivery delivery;
    delivery.to = {member.name};
    delivery.suffix = typing_rest(conv_for(*conversation, member.user));
    delivery.payload = payload_of(name, typing);
    needs_.plugin.deliver(std::move(delivery));
  }
}

void Typing::tick() {
  timer_.expires_after(tick_every);
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    const auto now = mono_now();
    for (auto writer = writers_.begin(); writer != writers_.end();) {
      if (writer->second.until > now) {
        ++writer;
        continue;
      }
      tell(writer->first, writer->second.name, false);
      writer = writers_.erase(writer);
    }
    needs_.turn();
    tick();
  });
}

}  // namespace parley
