// What users do with rooms, with each other, and with their devices.
#include <algorithm>

#include "tests/walk/walk.hpp"

namespace parley::walk {

using Json = nlohmann::json;

namespace {

constexpr int rooms_max = 15;

/// A refusal, or that exactly these were done.
std::string check_done(const Json& answer, const std::vector<std::string>& users) {
  if (answer.at("ok") != true) return "expected ok";
  return answer.at("result").at("done") == users ? "" : "expected others to be done";
}

}  // namespace

bool Walk::create_room() {
  Device* const by = any_device_up();
  if (by == nullptr || rooms_made_ >= rooms_max) return false;
  const std::string me = by->user();
  const std::string name = "r" + std::to_string(++rooms_made_);
  std::vector<std::string> members;
  for (int i = 1 + below(8); i > 0; --i) {
    const std::string other = any_user();
    if (other != me && !model_.blocked(other, me) && std::ranges::count(members, other) == 0) {
      members.push_back(other);
    }
  }
  const bool all = chance(60);
  const bool open = chance(60);
  ask(*by, nullptr, "room.create",
      {{"room", name},
       {"title", name},
       {"members", members},
       {"history", all ? "all" : "joined"},
       {"join", open ? "open" : "invite"}},
      expecting("", [=, this] {
        Conversation& made = model_.make_room(name);
        made.room = made.title = name;
        made.history_all = all;
        made.open = open;
        made.enter(me, "owner");
        for (const auto& member : members) made.enter(member, "member");
        made.rev = 1;  // which those who are in it from the beginning are told
        made.note("made by " + me);
      }));
  return true;
}

bool Walk::join() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_room("");
  if (about == nullptr) return false;
  const std::string me = by->user();
  const bool may = about->open || about->has(me);
  ask(*by, about, "room.join", {{"room", about->room}},
      expecting(may ? "" : "NOT_MEMBER", [about, me] {
        if (about->has(me)) return;
        about->enter(me, "member");
        about->say_system(me, "joined");
      }));
  return true;
}

bool Walk::leave() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_room(by->user());
  if (about == nullptr) return false;
  const std::string me = by->user();
  if (about->roles.at(me) == "owner" && about->owners() == 1) return false;
  ask(*by, about, "room.leave", {{"room", about->room}}, expecting("", [about, me] {
    about->quit(me);
    about->say_system(me, "left");
  }));
  return true;
}

bool Walk::kick() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_room(by->user());
  if (about == nullptr) return false;
  const std::string me = by->user();
  std::vector<std::string> victims;
  for (const auto& [name, role] : about->roles) {
    if (name != me && (role == "member" || role == "readonly") && chance(20)) {
      victims.push_back(name);
    }
  }
  if (victims.empty()) return false;
  const Json request{{"room", about->room}, {"users", victims}};
  if (!about->leads(me)) {
    ask(*by, about, "room.kick", request, expecting("FORBIDDEN", [] {}));
    return true;
  }
  ask(*by, about, "room.kick", request, [about, me, victims](const Json& answer) {
    for (const auto& victim : victims) {
      about->quit(victim);
      about->say_system(me, "removed " + victim);
    }
    return check_done(answer, victims);
  });
  return true;
}

bool Walk::add() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_room(by->user());
  if (about == nullptr) return false;
  const std::string me = by->user();
  std::vector<std::string> wanted;
  for (int i = 1 + below(3); i > 0; --i) {
    const std::string other = any_user();
    if (!model_.blocked(other, me) && std::ranges::count(wanted, other) == 0) {
      wanted.push_back(other);
    }
  }
  if (wanted.empty()) return false;
  const Json request{{"room", about->room}, {"users", wanted}};
  if (!about->leads(me)) {
    ask(*by, about, "room.add", request, expecting("FORBIDDEN", [] {}));
    return true;
  }
  ask(*by, about, "room.add", request, [about, me, wanted](const Json& answer) {
    for (const auto& other : wanted) {
      if (about->has(other)) continue;
      about->enter(other, "member");
      about->say_system(me, "added " + other);
    }
    return check_done(answer, wanted);
  });
  return true;
}

bool Walk::role() {
  static const std::vector<std::string> roles{"admin", "member", "readonly", "owner"};
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_room(by->user());
  if (about == nullptr || about->roles.size() < 2) return false;
  const std::string me = by->user();
  if (about->leads(me) && about->roles.at(me) != "owner") return false;
  std::vector<std::string> others;
  for (const auto& [name, role] : about->roles) {
    if (name != me) others.push_back(name);
  }
  const std::string other = any(others);
  const std::string wanted = roles.at(static_cast<std::size_t>(below(chance(20) ? 4 : 3)));
  const bool may = about->leads(me);
  ask(*by, about, "room.role", {{"room", about->room}, {"user", other}, {"role", wanted}},
      expecting(may ? "" : "FORBIDDEN", [about, me, other, wanted] {
        if (about->roles.at(other) == wanted) return;
        about->roles[other] = wanted;
        about->say_system(me, "made " + other + " " + wanted);
      }));
  return true;
}

bool Walk::title() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_room(by->user());
  if (about == nullptr) return false;
  const std::string me = by->user();
  const std::string wanted = "title " + std::to_string(ids_);
  ask(*by, about, "room.set", {{"room", about->room}, {"title", wanted}},
      expecting(about->leads(me) ? "" : "FORBIDDEN", [about, me, wanted] {
        about->title = wanted;
        about->say_system(me, "set the title");
      }));
  return true;
}

bool Walk::block() {
  Device* const by = any_device_up();
  if (by == nullptr) return false;
  const std::string me = by->user();
  std::string other = any_user();
  // Otherwise soon nobody could write to anybody.
  const bool remove = chance(60);
  if (remove) {
    const auto found =
        std::ranges::find_if(model_.blocks(), [&](const auto& b) { return b.first == me; });
    if (found == model_.blocks().end()) return false;
    other = found->second;
  }
  if (other == me) return false;
  Conversation& about = model_.direct(me, other);
  if (about.busy) return false;
  ask(*by, &about, remove ? "block.remove" : "block.add", {{"user", other}},
      expecting("", [=, this] {
        if (remove) {
          model_.blocks().erase({me, other});
        } else {
          model_.blocks().insert({me, other});
        }
      }));
  return true;
}

bool Walk::mute() {
  Device* const by = any_device_up();
  Conversation* const about = by == nullptr ? nullptr : any_conversation(by->user());
  if (about == nullptr) return false;
  const std::string me = by->user();
  const bool muted = chance(60);
  Json request{{"conv", about->name_for(me)}};
  if (muted) request["muted_until"] = "2099-01-01T00:00:00.000Z";
  ask(*by, about, "conv.mute", request, expecting("", [=] { about->muted[me] = muted; }));
  return true;
}

bool Walk::go() {
  Device* const device = any_device_up();
  if (device == nullptr) return false;
  for (const Pending& open : pending_) {
    if (open.device == device) return false;
  }
  const auto up = std::ranges::count_if(devices_, [](const auto& one) { return one->up(); });
  if (up * 2 < static_cast<std::ptrdiff_t>(devices_.size())) return false;
  // What it has published is with the broker; what comes from here on it does not read.
  device->look();
  leaving_.push_back(device);
  return true;
}

bool Walk::come() {
  std::vector<Device*> away;
  for (const auto& device : devices_) {
    if (!device->up()) away.push_back(device.get());
  }
  if (away.empty()) return false;
  bring_back(*any(away));
  return true;
}

void Walk::bring_back(Device& device) {
  device.connect();
  if (device.habit() == Habit::syncs) {
    ask(device, nullptr, "sync", {{"epoch", epoch_}, {"positions", device.positions()}},
        expecting("", [] {}));
  }
}

bool Walk::sync() {
  Device* const device = any_device_up();
  if (device == nullptr || device->habit() != Habit::syncs) return false;
  ask(*device, nullptr, "sync", {{"epoch", epoch_}, {"positions", device->positions()}},
      expecting("", [] {}));
  return true;
}

}  // namespace parley::walk
