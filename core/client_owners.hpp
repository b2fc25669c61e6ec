// Whose a client id is: nobody takes over the session of another (docs/protocol.md, "CONNECT").
// Knows who is connected, the names of our users, and the persistent sessions of the broker's other
// clients. Pure; the plugin keeps the lasting part in a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/flat_index.hpp"
#include "core/shared_text.hpp"

namespace parley {

class ClientOwners {
 public:
  static constexpr std::size_t names_max = 2'000'000;           // beyond: not protected any more
  static constexpr std::size_t foreign_sessions_max = 200'000;  // beyond: the oldest is forgotten

  /// One connection; nothing is read through it.
  using Holder = const void*;

  enum class Objection {
    device_of_another,      // "<name>.<device>" of another of our users
    held_by_another,        // in use by another user or by one of the broker's other clients
    foreign_session,        // a persistent session of one of the broker's other clients
    persistent_not_device,  // would persist, and is not a named device
  };
  /// @param clean  whether the session begins without a past
  /// @param who    its own hold on the id does not count against it
  [[nodiscard]] std::optional<Objection> judge_user(std::string_view user,
                                                    std::string_view client_id, bool clean,
                                                    Holder who) const;
  /// For one of the broker's other clients.
  [[nodiscard]] std::optional<Objection> judge_foreign(std::string_view client_id,
                                                       Holder who) const;

  /// A connection takes a client id.
  /// @param user  empty: one of the broker's other clients
  void hold(Holder who, SharedText client_id, SharedText user);
  void let_go(Holder who);
  /// Whether `who` is the last that took its id: what is done to the id is done to this connection.
  [[nodiscard]] bool is_latest(Holder who) const;
  /// The id that `who` holds; empty if it holds none.
  [[nodiscard]] std::string_view held_by(Holder who) const;

  /// The name as it is kept here already, else a copy of it.
  [[nodiscard]] SharedText shared_name(std::string_view name) const;

  // ---- the lasting part: each call tells whether it changed something, to be written down ----

  bool learn_name(const SharedText& name);
  bool learn_foreign_session(std::string_view client_id);
  bool forget_foreign_session(std::string_view client_id);

  /// One line of the file for a change. `sort` is one of those below.
  static constexpr char name_line = 'n';
  static constexpr char foreign_line = 'f';
  static constexpr char forget_line = 'x';
  static std::string line(char sort, std::string_view text);
  /// Reads such a line, without its newline.
  /// @return false if it is damaged: it is left out
  bool read_line(std::string_view line);
  /// The lasting part as a new file.
  [[nodiscard]] std::string render() const;
  [[nodiscard]] std::size_t lasting() const { return names_.size() + foreign_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  struct Hold {
    Holder who;
    SharedText client_id;
    SharedText user;  // empty: foreign
  };
  struct WhoOf {
    Holder operator()(const std::unique_ptr<Hold>& hold) const { return hold->who; }
  };
  struct IdOf {
    std::string_view operator()(const Hold* hold) const { return hold->client_id.view(); }
  };
  struct TextOf {
    std::string_view operator()(const SharedText& text) const { return text.view(); }
  };
  using Former = std::unordered_map<std::string, std::vector<const Hold*>, Hash, std::equal_to<>>;

  template <class Condition>
  [[nodiscard]] bool any_holds(std::string_view client_id, Condition&& condition) const;

  FlatIndex<std::unique_ptr<Hold>, WhoOf> holds_;
  FlatIndex<const Hold*, IdOf> latest_;  // of each client id
  Former former_;  // those before it, the oldest first; during a takeover only
  FlatIndex<SharedText, TextOf> names_;
  std::unordered_map<std::string, std::uint64_t, Hash, std::equal_to<>>
      foreign_;                                                      // id → turn learnt
  std::deque<std::pair<std::uint64_t, std::string>> foreign_order_;  // may hold forgotten ones
  std::uint64_t turn_ = 0;
};

/// For logs.
std::string_view to_string(ClientOwners::Objection objection);

}  // namespace parley
