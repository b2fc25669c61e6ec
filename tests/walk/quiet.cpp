// Comparisons while nothing is under way: what devices hold, what is in history, what is unread.
#include <algorithm>

#include "tests/support/requests.hpp"
#include "tests/walk/walk.hpp"

namespace parley::walk {

using Json = nlohmann::json;

namespace {

constexpr Seq page_max = 200;
constexpr Seq truncated_least = 1'000;  // sync_messages_max

std::string number(Seq seq) { return std::to_string(seq); }

/// As somebody holds it who may have missed what was done to it.
std::string differs_from_any_state(const Said& said, const HeldMessage& held) {
  const bool words = held.deleted ? said.deleted : std::ranges::count(said.texts, held.text) > 0;
  if (said.kind != "system" && !words) return "never had the text " + held.text;
  return held.from != said.from || held.kind != said.kind || held.rev != said.rev
             ? "is not as it was said"
             : "";
}

}  // namespace

std::string differs(const Said& said, const HeldMessage& held) {
  std::string wrong;
  const auto check = [&](const char* what, bool good) {
    if (!good) wrong += std::string(what) + " is wrong; ";
  };
  check("from", held.from == said.from);
  check("kind", held.kind == said.kind);
  check("rev", held.rev == said.rev);
  check("deleted", held.deleted == said.deleted);
  if (said.deleted) {
    check("the text of a deleted one", held.text.empty());
  } else if (said.kind != "system") {
    if (held.text != said.texts.back()) {
      wrong += "text is " + held.text + " instead of " + said.texts.back() + "; ";
    }
    check("edited", held.edited == said.edited);
    check("reply_to", held.reply_to == said.reply_to);
  }
  return wrong;
}

/// Everything of the present stay, as it is now; of what was before it only what is there.
void Walk::compare_member(const Device& device, const std::string& conv, const Conversation& truth,
                          const HeldConversation& held, Differences& found) {
  const std::string& me = device.user();
  const auto say = [&](const std::string& what) {
    found.push_back({device.client_id() + " in " + conv + ": " + what, &truth});
  };
  const bool exact = device.up();
  for (Seq seq = truth.since(me) + 1; seq <= truth.last_seq(); ++seq) {
    const auto message = held.messages.find(seq);
    if (message == held.messages.end()) {
      // Of a deleted one nothing is left that would have to be delivered.
      if (seq >= held.truncated_from && !truth.at(seq).deleted) say("has not got " + number(seq));
      continue;
    }
    const Said& said = truth.at(seq);
    const auto wrong =
        exact ? differs(said, message->second) : differs_from_any_state(said, message->second);
    if (!wrong.empty()) say(number(seq) + ": " + wrong);
    if (!exact || said.deleted) continue;
    std::set<std::pair<std::string, std::string>> signs;
    for (const auto& [sign, told] : held.reactions) {
      if (std::get<0>(sign) == seq && told.holds)
        signs.emplace(std::get<1>(sign), std::get<2>(sign));
    }
    if (signs != said.reactions) say("the reactions to " + number(seq) + " are wrong");
    const auto pin = held.pins.find(seq);
    if ((pin != held.pins.end() && pin->second.holds) != said.pinned) {
      say("the pin of " + number(seq) + " is wrong");
    }
  }
  if (!exact) return;
  // What was told before he left and came back may have changed meanwhile.
  if (held.title.first > truth.since_rev(me) && held.title.second != truth.title)
    say("title is wrong");
  for (const auto& [who, told] : held.members) {
    if (told.rev > truth.since_rev(me) && told.holds != truth.has(who)) {
      say("was told otherwise whether " + who + " is in there");
    }
  }
}

/// Nothing that was never for him.
void Walk::compare_secrets(const Device& device, Differences& found) {
  const std::string& me = device.user();
  for (const auto& [conv, held] : device.view().all()) {
    const Conversation* const truth = model_.find(me, conv);
    const auto say = [&](const std::string& what) {
      found.push_back({device.client_id() + " in " + conv + ": " + what, truth});
    };
    if (truth == nullptr || !truth->stays.contains(me)) {
      say("was never in there");
      continue;
    }
    for (const auto& [seq, message] : held.messages) {
      if (!truth->visible(me, seq)) say("holds " + number(seq) + ", which was not for him");
    }
    for (const auto& [seq, text] : held.edits) {
      if (!truth->visible(me, seq)) say("was told the new words of " + number(seq));
    }
    for (const auto& [rev, told] : held.events) {
      // Whoever is in it again sees a message of his time as it is now, whenever that was done.
      const bool about_his = told.seq > 0 && truth->visible(me, told.seq);
      const bool in_time = truth->has(me) ? rev <= truth->rev : truth->tellable(me, rev);
      const bool his = told.seq > 0 ? about_his && in_time : truth->tellable(me, rev);
      if (!his && !(told.what == "left" && told.user == me && truth->is_goodbye(me, rev))) {
        say("was told " + told.what + " " + number(told.seq) + " " + told.user + " of rev " +
            number(rev) + ", which was not for him");
      }
    }
  }
}

/// How it came: each in its order, and repeats as before or as they are now.
void Walk::compare_order(const Device& device, Differences& found) {
  const std::string& me = device.user();
  for (const auto& [conv, held] : device.view().all()) {
    const Conversation* const truth = model_.find(me, conv);
    if (truth == nullptr || !truth->stays.contains(me)) continue;  // compare_secrets says it
    const auto say = [&](const std::string& what) {
      found.push_back({device.client_id() + " in " + conv + ": " + what, truth});
    };
    for (const auto& what : held.wrong) say(what);
    for (const Gap& gap : held.gaps) {
      Seq from = std::max(gap.after, truth->stay_began_before(me, gap.before)) + 1;
      // Who is back goes on from the event that he left, if he was told: what he lacked then is in
      // history.
      for (const Stay& stay : truth->stays.at(me)) {
        const bool told =
            stay.left && *stay.left < gap.before && held.events.contains(stay.left_rev + 1);
        if (told) from = std::max(from, *stay.left + 1);
      }
      for (Seq seq = from; seq < gap.before && seq <= truth->last_seq(); ++seq) {
        // That he left he was told by the event with the rev of that message: it is behind him.
        const bool goodbye = std::ranges::any_of(truth->stays.at(me), [&](const Stay& stay) {
          return stay.left && *stay.left + 1 == seq;
        });
        if (truth->visible(me, seq) && !truth->at(seq).deleted && !goodbye) {
          std::string stays;
          for (const Stay& stay : truth->stays.at(me)) {
            stays += " " + number(stay.since) + "-" + (stay.left ? number(*stay.left) : "");
          }
          say(number(gap.before) + " came before " + number(seq) + " (" + truth->at(seq).kind +
              " of " + truth->at(seq).from + "), after " + number(gap.after) + "; there:" + stays);
        }
      }
    }
    for (const auto& [seq, texts] : held.texts) {
      if (seq > truth->last_seq()) continue;
      const Said& said = truth->at(seq);
      const std::size_t system_max = said.deleted ? 2 : 1;
      for (const auto& text : texts) {
        const bool known = said.kind == "system" ? texts.size() <= system_max
                                                 : std::ranges::count(said.texts, text) > 0 ||
                                                       (said.deleted && text.empty());
        if (!known) say(number(seq) + " came with the text " + text);
      }
    }
    for (const Truncation& cut : held.truncations) {
      if (cut.from_seq <= 1 || truth->last_seq() < cut.from_seq + truncated_least - 1) {
        say("truncated from " + number(cut.from_seq) + " although there was less");
      }
    }
  }
}

void Walk::compare_state(const Device& device, Differences& found) {
  // One that is away holds what was true then.
  if (!device.up()) return;
  Seq total = 0;
  for (const auto& [conv, one] : model_.of(device.user())) total += one->unread(device.user());
  if (device.unread() != number(total)) {
    found.push_back({device.client_id() + ": state/unread is " +
                     device.unread().value_or("not told") + " instead of " + number(total)});
  }
}

Walk::Differences Walk::compare_device(const Device& device) {
  Differences found;
  compare_secrets(device, found);
  compare_order(device, found);
  if (!device.up()) return found;
  for (const auto& [conv, truth] : model_.of(device.user())) {
    compare_member(device, conv, *truth, device.view().of(conv), found);
  }
  compare_state(device, found);
  return found;
}

void Walk::compare_history(const std::string& who, Differences& found) {
  test::Person& asker = *askers_.at(who);
  for (const auto& [conv, truth] : model_.of(who)) {
    const auto say = [&, about = truth](const std::string& what) {
      found.push_back({"history of " + conv + " for " + who + ": " + what, about});
    };
    std::set<Seq> wanted;
    for (Seq seq = 1; seq <= truth->last_seq(); ++seq) {
      if (truth->visible(who, seq)) wanted.insert(seq);
    }
    Json request{{"conv", conv}, {"limit", page_max}};
    for (bool more = truth->last_seq() > 0; more;) {
      const Json page = test::done(test::ask(asker, "history", request));
      for (const Json& message : page.at("messages")) {
        const Seq seq = message.at("seq");
        if (wanted.erase(seq) == 0) {
          say(number(seq) + " is not for him");
          continue;
        }
        const auto wrong = differs(truth->at(seq), held_message(message));
        if (!wrong.empty()) say(number(seq) + ": " + wrong);
      }
      more = page.at("has_more") == true && !page.at("messages").empty();
      if (more) request["before_seq"] = page.at("messages").at(0).at("seq");
    }
    if (!wanted.empty()) say(number(*wanted.begin()) + " is missing");
  }
}

/// From the tables, by the words of docs/protocol.md, and not by the server's own functions.
void Walk::compare_unread(Differences& found) {
  const auto rows = instance_.database().query(
      "SELECT me.name, COALESCE(room.name, peer.name), count(m.seq) FILTER ("
      "  WHERE m.sender_id <> mine.user_id AND m.kind <> 'system' AND NOT m.deleted"
      "  AND COALESCE(m.expires_at > now(), true))"
      " FROM members mine JOIN users me ON me.user_id = mine.user_id"
      " LEFT JOIN conversations room ON room.conversation_id = mine.conversation_id"
      "  AND room.kind = 'room'"
      " LEFT JOIN direct_pairs two ON two.conversation_id = mine.conversation_id"
      " LEFT JOIN users peer ON peer.user_id = two.user_lo + two.user_hi - mine.user_id"
      " LEFT JOIN messages m ON m.conversation_id = mine.conversation_id AND m.seq > mine.read_seq"
      " GROUP BY 1, 2");
  std::map<std::pair<std::string, std::string>, Seq> stored;
  for (const auto& row : rows) stored[{row[0], row[1]}] = static_cast<Seq>(std::stoul(row[2]));
  for (int i = 0; i < options_.users; ++i) {
    for (const auto& [conv, truth] : model_.of(user(i))) {
      const auto row = stored.find({user(i), conv});
      const Seq unread = truth->unread(user(i));
      if (row == stored.end() || row->second != unread) {
        found.push_back({"to " + user(i) + " " + number(unread) + " are unread in " + conv +
                             ", by the tables " +
                             (row == stored.end() ? "he is not in it" : number(row->second)),
                         truth});
      }
    }
  }
}

void Walk::compare_sync(const Json& result, const std::string& who, Differences& found) {
  const auto mine = model_.of(who);
  Seq sum = 0;
  std::set<std::string> listed;
  for (const Json& one : result.at("conversations")) {
    const std::string conv = one.at("conv");
    listed.insert(conv);
    sum += one.at("unread").get<Seq>();
    const auto known = mine.find(conv);
    if (known == mine.end()) {
      if (one.at("last_rev") != 0) found.push_back({"sync of " + who + " lists " + conv});
      continue;
    }
    const Conversation& truth = *known->second;
    const Json wanted{{"last_seq", truth.last_seq()},
                      {"last_rev", truth.rev},
                      {"read_seq", truth.read.at(who)},
                      {"unread", truth.unread(who)}};
    for (const auto& [field, value] : wanted.items()) {
      if (one.at(field) != value) {
        found.push_back({"sync of " + who + ", " + conv + ": " + field + " is " +
                             one.at(field).dump() + " instead of " + value.dump(),
                         &truth});
      }
    }
    const bool muted = one.contains("muted_until") && !one.at("muted_until").is_null();
    if (muted != truth.muted.at(who)) found.push_back({"sync of " + who + ": muted", &truth});
    if (!truth.room.empty() && one.at("title") != truth.title) {
      found.push_back({"sync of " + who + ": title", &truth});
    }
  }
  for (const auto& [conv, truth] : mine) {
    if (!listed.contains(conv)) found.push_back({"sync of " + who + " lacks " + conv, truth});
  }
  if (result.at("total_unread") != sum) {
    found.push_back({"sync of " + who + ": total_unread is " + result.at("total_unread").dump() +
                     ", its conversations have " + number(sum)});
  }
}

/// A device that asks for everything holds everything that its user may see, and nothing else.
void Walk::compare_fresh(const std::string& who, Differences& found) {
  Device device{instance_, who, "fresh" + std::to_string(++fresh_), Habit::syncs};
  device.connect(true);
  const bool subscribed_before = chance(50);
  if (subscribed_before) device.subscribe();
  if (!subscribed_before) device.listen_to_replies();
  device.publish("do.json/sync/all", Json{{"epoch", epoch_}, {"positions", Json::array()}}.dump());
  const Json reply = device.reply("all");
  if (reply.at("ok") != true) {
    found.push_back({"sync of " + device.client_id() + ": " + reply.dump()});
    return;
  }
  compare_sync(reply.at("result"), who, found);
  if (!subscribed_before) device.subscribe();
  Differences held;
  const auto alike = [&] {
    look_at_all();
    device.look();
    held = compare_everything(device);
    return held.empty();
  };
  // Asked without a rest the servers would hardly have a turn while another walk does the same.
  test::comes_true(alike, test::Deadline{test::slowed(test::Milliseconds{30'000})});
  for (auto& one : held) found.push_back(std::move(one));
  device.disconnect();
}

Walk::Differences Walk::compare_everything(const Device& device) {
  Differences found;
  compare_secrets(device, found);
  compare_order(device, found);
  const std::string& me = device.user();
  for (const auto& [conv, truth] : model_.of(me)) {
    const HeldConversation& held = device.view().of(conv);
    compare_member(device, conv, *truth, held, found);
    for (Seq seq = 1; seq <= truth->since(me); ++seq) {
      if (!truth->visible(me, seq) || seq < held.truncated_from) continue;
      const auto message = held.messages.find(seq);
      if (message == held.messages.end() && truth->at(seq).deleted) continue;
      const auto wrong = message == held.messages.end() ? "it is missing"
                                                        : differs(truth->at(seq), message->second);
      if (!wrong.empty()) {
        found.push_back({device.client_id() + " in " + conv + ", before his stay: " + number(seq) +
                             ": " + wrong,
                         truth});
      }
    }
  }
  return found;
}

}  // namespace parley::walk
