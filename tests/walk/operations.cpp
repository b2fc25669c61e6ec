// What users do with messages.
#include <algorithm>
#include <array>
#include <memory>

#include "tests/walk/walk.hpp"

namespace parley::walk {

using Json = nlohmann::json;

namespace {

std::string pb_text(const std::string& text, Seq reply_to) {
  // Send {text = 2, reply_to = 5}; the text is shorter than 128 bytes.
  std::string bytes = "\x12" + std::string(1, static_cast<char>(text.size())) + text;
  for (bool first = true; reply_to > 0; first = false) {
    if (first) bytes += '\x28';
    const Seq low = reply_to & 0x7f;
    reply_to >>= 7;
    bytes += static_cast<char>(reply_to > 0 ? low | 0x80 : low);
  }
  return bytes;
}

const std::array<const char*, 4> emojis{"👍", "❤", "😀", "x"};

}  // namespace

void Walk::start(Pending pending) {
  if (pending.about != nullptr) {
    pending.about->busy = true;
    pending.about->note(std::to_string(done_) + " " + pending.device->client_id() + " " +
                        pending.line);
  }
  pending_.push_back(std::move(pending));
}

void Walk::ask(Device& by, Conversation* about, const std::string& method, const Json& request,
               std::function<std::string(const Json&)> apply) {
  Pending pending{.device = &by, .about = about, .id = next_id(), .apply = std::move(apply)};
  pending.line = method + " " + request.dump();
  by.publish("do.json/" + method + "/" + pending.id, request.dump());
  start(std::move(pending));
}

std::function<std::string(const Json&)> Walk::expecting(const std::string& code,
                                                        std::function<void()> then) {
  return [code, then = std::move(then)](const Json& answer) -> std::string {
    const std::string got = answer.at("ok") == true ? "" : answer.at("code").get<std::string>();
    if (got != code) return "expected " + (code.empty() ? "ok" : code);
    if (code.empty()) then();
    return "";
  };
}

Pending Walk::send_to(Device& from, Conversation& to) {
  const std::string me = from.user();
  const std::string conv = to.name_for(me);
  const int format = below(3);
  std::string text = (chance(5) ? "{\"n\":" : "m") + std::to_string(ids_) + " from " + me;
  if (chance(20)) text += std::string(static_cast<std::size_t>(below(60)), '.');
  Seq reply_to = 0;
  if (format > 0 && to.has(me) && chance(20)) reply_to = any_seq(to, me, false);
  Pending pending{.device = &from, .about = &to, .is_send = true, .id = next_id()};
  pending.line = "send " + conv + "/" + pending.id + " " + text;
  if (format == 0) {
    from.publish("send/" + conv + "/" + pending.id, text);
  } else if (format == 1) {
    Json payload{{"text", text}};
    if (reply_to > 0) payload["reply_to"] = reply_to;
    from.publish("send.json/" + conv + "/" + pending.id, payload.dump());
  } else {
    from.publish("send.pb/" + conv + "/" + pending.id, pb_text(text, reply_to));
  }
  std::string code;
  if (!to.room.empty() && !to.has(me)) code = "NOT_MEMBER";
  if (!to.room.empty() && to.has(me) && to.roles.at(me) == "readonly") code = "FORBIDDEN";
  if (to.room.empty() && model_.blocked(conv, me)) code = "BLOCKED";
  auto& known = repeatable_;
  pending.said = {.from = me, .kind = "text", .texts = {text}, .reply_to = reply_to};
  pending.apply = [&to, &known, me, conv, text, reply_to, code, said = pending.said,
                   id = pending.id](const Json& ack) -> std::string {
    if (!code.empty()) {
      return ack.at("ok") == false && ack.at("code") == code ? "" : "expected " + code;
    }
    if (ack.at("ok") != true) return "expected stored";
    to.say(said);
    if (reply_to == 0) known.push_back({me, conv, id, text, to.last_seq()});
    if (ack.at("seq") != to.last_seq() || ack.at("rev") != to.rev) {
      return "expected seq " + std::to_string(to.last_seq()) + " rev " + std::to_string(to.rev);
    }
    return "";
  };
  return pending;
}

bool Walk::send() {
  Device* const from = any_device_up();
  if (from == nullptr) return false;
  Conversation* to = nullptr;
  if (chance(35)) {
    to = &model_.direct(from->user(), any_user());
  } else if (chance(4) && !model_.rooms().empty()) {
    to = any_room("");  // in it or not
  } else {
    to = any_conversation(from->user());
  }
  if (to == nullptr || to->busy) return false;
  start(send_to(*from, *to));
  return true;
}

/// Several of its members, at the same time: every order is right, if everybody sees the same.
bool Walk::burst() {
  Device* const first = any_device_up();
  Conversation* const to = first == nullptr ? nullptr : any_conversation(first->user());
  if (to == nullptr) return false;
  struct Burst {
    std::map<Seq, Said> said;
    int open = 0;
    std::map<const Device*, Seq> last_of;
    std::string wrong;
  };
  const auto burst = std::make_shared<Burst>();
  std::vector<Device*> writers;
  for (const auto& device : devices_) {
    const std::string& me = device->user();
    const bool may = to->has(me) && to->roles.at(me) != "readonly" &&
                     (!to->room.empty() || !model_.blocked(to->name_for(me), me));
    if (device->up() && may && !is_leaving(*device)) writers.push_back(device.get());
  }
  if (writers.empty()) return false;
  burst->open = 2 + below(8);
  for (int i = burst->open; i > 0; --i) {
    Device* const from = any(writers);
    Pending pending = send_to(*from, *to);
    pending.apply = [burst, to, from, said = pending.said](const Json& ack) -> std::string {
      if (ack.at("ok") != true) return "expected stored";
      const Seq seq = ack.at("seq");
      if (seq <= burst->last_of[from]) burst->wrong += "not in its sender's order; ";
      burst->last_of[from] = seq;
      if (!burst->said.emplace(seq, said).second) burst->wrong += "a seq twice; ";
      if (--burst->open > 0) return "";
      for (auto& [number, message] : burst->said) {
        to->say(std::move(message));
        if (number != to->last_seq()) burst->wrong += "a gap before " + std::to_string(number);
      }
      return burst->wrong;
    };
    start(std::move(pending));
  }
  return true;
}

/// The same id again: the first answer again, and nothing new.
bool Walk::send_again() {
  if (repeatable_.empty()) return false;
  const Repeatable known = any(repeatable_);
  Device* const from = any_device(known.from);
  Conversation* const to = model_.find(known.from, known.to);
  if (from == nullptr || to == nullptr || to->busy || !may_write(*to, known.from)) return false;
  Pending pending{.device = from, .about = to, .is_send = true, .id = known.id};
  pending.line = "again " + known.to + "/" + known.id;
  for (const Pending& open : pending_) {
    if (open.id == known.id) return false;
  }
  from->publish("send/" + known.to + "/" + known.id, known.text);
  pending.apply = [known](const Json& ack) -> std::string {
    return ack.at("ok") == true && ack.at("seq") == known.seq
               ? ""
               : "expected seq " + std::to_string(known.seq);
  };
  start(std::move(pending));
  return true;
}

bool Walk::mark() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_conversation(by->user());
  if (about == nullptr) return false;
  const Seq newest = by->view().of(about->name_for(by->user())).newest;
  if (newest == 0) return false;
  const Seq seq = newest - static_cast<Seq>(below(static_cast<int>(std::min<Seq>(newest, 4))));
  about->note(std::to_string(done_) + " " + by->client_id() + " read " + std::to_string(seq));
  by->publish("read/" + about->name_for(by->user()), std::to_string(seq));
  Seq& read = about->read.at(by->user());
  read = std::max(read, seq);
  return true;
}

bool Walk::edit() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_conversation(by->user());
  if (about == nullptr || !may_write(*about, by->user())) return false;
  const bool own = chance(90);
  const Seq seq = any_seq(*about, by->user(), own);
  if (seq == 0 || (about->at(seq).from == by->user()) != own) return false;
  const std::string text = "edited " + std::to_string(ids_);
  ask(*by, about, "msg.edit", {{"conv", about->name_for(by->user())}, {"seq", seq}, {"text", text}},
      expecting(own ? "" : "FORBIDDEN", [about, seq, text] {
        about->at(seq).texts.push_back(text);
        about->at(seq).edited = true;
        ++about->rev;
      }));
  return true;
}

bool Walk::erase() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_conversation(by->user());
  if (about == nullptr || !may_write(*about, by->user())) return false;
  const Seq seq = any_seq(*about, by->user(), chance(80));
  if (seq == 0) return false;
  const bool may =
      about->at(seq).from == by->user() || (!about->room.empty() && about->leads(by->user()));
  ask(*by, about, "msg.delete", {{"conv", about->name_for(by->user())}, {"seq", seq}},
      expecting(may ? "" : "FORBIDDEN", [about, seq] {
        about->at(seq).deleted = true;
        ++about->rev;
      }));
  return true;
}

bool Walk::react() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_conversation(by->user());
  if (about == nullptr || is_blocked_in(*about, by->user())) return false;
  const Seq seq = any_seq(*about, by->user(), chance(20));
  if (seq == 0) return false;
  const std::string emoji = emojis.at(static_cast<std::size_t>(below(4)));
  const bool removed = chance(30);
  ask(*by, about, "msg.react",
      {{"conv", about->name_for(by->user())}, {"seq", seq}, {"emoji", emoji}, {"removed", removed}},
      expecting("", [about, seq, emoji, removed, me = by->user()] {
        auto& signs = about->at(seq).reactions;
        const bool changed =
            removed ? signs.erase({me, emoji}) > 0 : signs.insert({me, emoji}).second;
        if (changed) ++about->rev;
      }));
  return true;
}

bool Walk::pin() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_conversation(by->user());
  if (about == nullptr || is_blocked_in(*about, by->user())) return false;
  const Seq seq = any_seq(*about, by->user(), chance(50));
  if (seq == 0) return false;
  const bool may = about->room.empty() || about->leads(by->user());
  const bool removed = chance(30);
  ask(*by, about, "msg.pin",
      {{"conv", about->name_for(by->user())}, {"seq", seq}, {"removed", removed}},
      expecting(may ? "" : "FORBIDDEN", [about, seq, removed] {
        if (about->at(seq).pinned == !removed) return;
        about->at(seq).pinned = !removed;
        ++about->rev;
      }));
  return true;
}

/// A page, from anywhere.
bool Walk::history() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_conversation(by->user());
  if (about == nullptr) return false;
  std::vector<Seq> all;
  for (Seq seq = 1; seq <= about->last_seq(); ++seq) {
    if (about->visible(by->user(), seq)) all.push_back(seq);
  }
  const auto limit = static_cast<std::size_t>(1 + below(50));
  const Seq bound = static_cast<Seq>(1 + below(static_cast<int>(about->last_seq()) + 2));
  Json request{{"conv", about->name_for(by->user())}, {"limit", limit}};
  if (chance(50)) {
    request["before_seq"] = bound;
    std::erase_if(all, [&](Seq seq) { return seq >= bound; });
    if (all.size() > limit) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(limit));
  } else {
    request["after_seq"] = bound;
    std::erase_if(all, [&](Seq seq) { return seq <= bound; });
    if (all.size() > limit) all.resize(limit);
  }
  ask(*by, about, "history", request, [about, all](const Json& answer) -> std::string {
    if (answer.at("ok") != true) return "expected a page";
    const Json& page = answer.at("result").at("messages");
    std::vector<Seq> got;
    std::string wrong;
    for (const Json& message : page) {
      got.push_back(message.at("seq"));
      if (got.back() > about->last_seq()) return "a message that was never stored";
      wrong += differs(about->at(got.back()), held_message(message));
    }
    return got == all ? wrong : "expected other messages";
  });
  return true;
}

}  // namespace parley::walk
