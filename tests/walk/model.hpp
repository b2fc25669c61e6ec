// What must be so, by docs/protocol.md alone: built from what was asked and from what was answered,
// never from what was delivered.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace parley::walk {

using Seq = std::uint32_t;

/// A message, and what was done to it since.
struct Said {
  std::string from;
  std::string kind;
  std::vector<std::string> texts;  // the last one counts
  Seq rev = 0;
  Seq reply_to = 0;
  bool edited = false;
  bool deleted = false;
  bool pinned = false;
  std::set<std::pair<std::string, std::string>> reactions{};  // who, emoji
};

/// One stay of a member: he was there for what is after `since` up to `left`, and may see what is
/// after `sees_after` up to there.
struct Stay {
  Seq sees_after = 0;
  Seq since = 0;
  Seq since_rev = 0;
  std::optional<Seq> left{};
  Seq left_rev = 0;        // his last one; that he is out has the next
  Seq sees_after_rev = 0;  // as sees_after
};

struct Conversation {
  std::string room;                           // empty: of two
  std::pair<std::string, std::string> peers;  // of two; both alike: notes
  std::string title;
  bool history_all = true;
  bool open = false;
  std::vector<Said> said;  // seq 1, 2, 3 …
  Seq rev = 0;
  std::map<std::string, std::string> roles;  // of those who are in it
  std::map<std::string, std::vector<Stay>> stays;
  std::map<std::string, Seq> read;
  std::map<std::string, bool> muted;
  std::deque<std::string> trace;  // the last operations about it
  bool busy = false;              // one is under way

  [[nodiscard]] Seq last_seq() const { return static_cast<Seq>(said.size()); }
  [[nodiscard]] const Said& at(Seq seq) const { return said.at(seq - 1); }
  [[nodiscard]] Said& at(Seq seq) { return said.at(seq - 1); }
  [[nodiscard]] bool has(const std::string& user) const { return roles.contains(user); }
  [[nodiscard]] bool leads(const std::string& user) const;
  /// What this user calls it.
  [[nodiscard]] std::string name_for(const std::string& user) const;
  /// Whether he may ever have had it.
  [[nodiscard]] bool visible(const std::string& user, Seq seq) const;
  /// Whether he may ever have been told the change of this rev.
  [[nodiscard]] bool tellable(const std::string& user, Seq change) const;
  /// Whether the change of this rev can be that he himself is out.
  [[nodiscard]] bool is_goodbye(const std::string& user, Seq change) const;
  /// After which seq the stay began in which he got `seq`, or would have.
  [[nodiscard]] Seq stay_began_before(const std::string& user, Seq seq) const;
  /// After which seq his present stay begins. Only of a member.
  [[nodiscard]] Seq since(const std::string& user) const { return stays.at(user).back().since; }
  [[nodiscard]] Seq since_rev(const std::string& user) const {
    return stays.at(user).back().since_rev;
  }
  [[nodiscard]] Seq unread(const std::string& user) const;
  [[nodiscard]] int owners() const;

  void say(Said message);
  void say_system(const std::string& by, const std::string& words);
  void enter(const std::string& user, const std::string& role);
  void quit(const std::string& user);
  void note(std::string line);
};

class Model {
 public:
  /// Made when it is asked for. The reference stays good.
  Conversation& direct(const std::string& one, const std::string& other);
  Conversation& room(const std::string& name) { return rooms_.at(name); }
  Conversation& make_room(const std::string& name) { return rooms_[name]; }
  std::map<std::string, Conversation>& rooms() { return rooms_; }
  /// What this user calls `conv`; null if there is none.
  Conversation* find(const std::string& user, const std::string& conv);
  /// Those that he is in now and in which there is something, by what he calls them.
  std::map<std::string, Conversation*> of(const std::string& user);
  std::set<std::pair<std::string, std::string>>& blocks() { return blocks_; }  // who, whom
  [[nodiscard]] bool blocked(const std::string& by, const std::string& whom) const {
    return blocks_.contains({by, whom});
  }

 private:
  std::map<std::pair<std::string, std::string>, Conversation> directs_;
  std::map<std::string, Conversation> rooms_;
  std::set<std::pair<std::string, std::string>> blocks_;
};

}  // namespace parley::walk
