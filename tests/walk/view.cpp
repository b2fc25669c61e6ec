#include "tests/walk/view.hpp"

#include <algorithm>

namespace parley::walk {

using Json = nlohmann::json;

namespace {

/// What is told twice, or late, changes nothing.
void tell(Told& known, Seq rev, bool holds) {
  if (rev > known.rev) known = {rev, holds};
}

/// The same rev always tells the same.
void note_event(HeldConversation& held, Seq rev, const Json& event) {
  ToldEvent told;
  for (const auto& [name, value] : event.items()) {
    if (!value.is_object()) continue;
    told = {name, value.value("seq", Seq{0}), value.value("user", "")};
  }
  const auto [known, is_new] = held.events.try_emplace(rev, told);
  if (!is_new && known->second != told) {
    held.wrong.push_back("rev " + std::to_string(rev) + " told " + known->second.what + " and " +
                         told.what);
  }
}

}  // namespace

HeldMessage held_message(const Json& message) {
  HeldMessage held;
  held.from = message.at("from");
  held.kind = message.at("kind");
  held.text = message.at("text");
  held.rev = message.at("rev");
  held.reply_to = message.at("reply_to");
  held.deleted = message.at("deleted");
  held.edited = message.contains("edited_time");
  held.text_rev = held.rev;
  return held;
}

const HeldConversation& View::of(const std::string& conv) const {
  static const HeldConversation nothing;
  const auto found = all_.find(conv);
  return found == all_.end() ? nothing : found->second;
}

void View::take(const std::string& verb, const Json& payload) {
  if (verb == "event.json") {
    take_event(payload);
  } else {
    take_message(payload);
  }
}

void View::take_message(const Json& message) {
  HeldConversation& held = all_[message.at("conv")];
  const Seq seq = message.at("seq");
  const HeldMessage came = held_message(message);
  // In the order of seq, but for what came before.
  const Seq expected = std::max(held.newest + 1, held.truncated_from);
  if (seq > expected) held.gaps.insert({expected - 1, seq});
  held.texts[seq].insert(came.text);
  const auto [place, is_new] = held.messages.try_emplace(seq, came);
  if (!is_new) {
    const HeldMessage& first = place->second;
    if (came.from != first.from || came.kind != first.kind || came.reply_to != first.reply_to) {
      held.wrong.push_back("another message came as " + std::to_string(seq));
    }
    place->second.deleted = place->second.deleted || came.deleted;
    // As it was read again from the store, so newer than what came before it; what comes after it
    // may be newer still. One without an edit is the broker's repetition of the first delivery.
    if (came.edited || came.deleted) {
      place->second.text = came.text;
      place->second.edited = came.edited;
      place->second.text_rev = came.rev;
    }
  }
  held.newest = std::max(held.newest, seq);
  if (!held.truncations.empty()) {
    Seq& newest = held.truncations.back().newest;
    newest = std::max(newest, seq);
  }
  // The event beside a system message has the same rev, and comes after it.
  if (came.kind != "system") held.rev = std::max(held.rev, came.rev);
}

void View::take_event(const Json& event) {
  if (event.value("conv", "-") == "-" || event.at("conv").get<std::string>().empty()) return;
  HeldConversation& held = all_[event.at("conv")];
  const Seq rev = event.value("rev", Seq{0});
  held.rev = std::max(held.rev, rev);
  if (rev > 0) note_event(held, rev, event);
  if (const auto it = event.find("edited"); it != event.end()) {
    held.edits[it->at("seq")] = it->at("text");
    const auto message = held.messages.find(it->at("seq"));
    if (message != held.messages.end() && rev > message->second.text_rev) {
      message->second.text = it->at("text");
      message->second.edited = true;
      message->second.text_rev = rev;
    }
  } else if (const auto gone = event.find("deleted"); gone != event.end()) {
    const auto message = held.messages.find(gone->at("seq"));
    if (message != held.messages.end()) {
      message->second.deleted = true;
      message->second.text.clear();
    }
  } else if (const auto sign = event.find("reaction"); sign != event.end()) {
    tell(held.reactions[{sign->at("seq"), sign->at("user"), sign->at("emoji")}], rev,
         sign->at("removed") == false);
  } else if (const auto pin = event.find("pinned"); pin != event.end()) {
    tell(held.pins[pin->at("seq")], rev, pin->at("removed") == false);
  } else if (const auto came = event.find("joined"); came != event.end()) {
    tell(held.members[came->at("user")], rev, true);
  } else if (const auto went = event.find("left"); went != event.end()) {
    tell(held.members[went->at("user")], rev, false);
  } else if (const auto room = event.find("room"); room != event.end()) {
    if (rev > held.title.first) held.title = {rev, room->at("title")};
  } else if (const auto cut = event.find("truncated"); cut != event.end()) {
    held.truncated_from = cut->at("from_seq");
    held.truncations.push_back({held.truncated_from, 0});
  }
}

}  // namespace parley::walk
