// What a device knows: built from what it received, and from nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <utility>

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
