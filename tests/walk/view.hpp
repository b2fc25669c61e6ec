// What a device knows: built from what it received, and from nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace parley::walk {

using Seq = std::uint32_t;

struct HeldMessage {
  std::string from, kind, text;
  Seq rev = 0;
  Seq reply_to = 0;
  bool edited = false;
  bool deleted = false;
  Seq text_rev = 0;  // of what gave the text
};

/// Something that is or is not, as last told.
struct Told {
  Seq rev = 0;
  bool holds = false;
};

/// What an event said.
struct ToldEvent {
  std::string what;  // the name of its field
  Seq seq = 0;       // of the message, if it is about one
  std::string user;  // whom it is about, if anybody
  bool operator==(const ToldEvent&) const = default;
};

/// A message came although not all before it had come.
struct Gap {
  Seq after = 0;   // the newest before it
  Seq before = 0;  // the one that came
  auto operator<=>(const Gap&) const = default;
};

struct Truncation {
  Seq from_seq = 0;
  Seq newest = 0;  // the highest seq that came behind it
};

struct HeldConversation {
  std::map<Seq, HeldMessage> messages;
  std::map<std::tuple<Seq, std::string, std::string>, Told> reactions;  // seq, who, emoji
  std::map<Seq, Told> pins;
  std::map<std::string, Told> members;       // of whom it was told that he came or went
  std::map<Seq, std::string> edits;          // every text that an event brought, by seq
  std::pair<Seq, std::string> title{0, ""};  // rev, text
  Seq rev = 0;                               // the position for `sync`
  Seq newest = 0;                            // the highest seq held
  Seq truncated_from = 0;
  std::map<Seq, ToldEvent> events;  // by rev
  std::set<Gap> gaps;
  std::vector<Truncation> truncations;
  std::map<Seq, std::set<std::string>> texts;  // all that came as a message's text
  std::vector<std::string> wrong;              // what no order of things explains
};

class View {
 public:
  /// @param verb  the topic's: inbox.json, sent.json, event.json
  void take(const std::string& verb, const nlohmann::json& payload);
  [[nodiscard]] const std::map<std::string, HeldConversation>& all() const { return all_; }
  [[nodiscard]] const HeldConversation& of(const std::string& conv) const;

 private:
  void take_message(const nlohmann::json& message);
  void take_event(const nlohmann::json& event);

  std::map<std::string, HeldConversation> all_;
};

/// As `history` and deliveries have it.
HeldMessage held_message(const nlohmann::json& message);

}  // namespace parley::walk
