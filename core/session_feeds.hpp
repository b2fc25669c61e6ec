// What one session has subscribed, as filters and as feeds. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/topic.hpp"

namespace parley {

class SessionFeeds {
 public:
  static constexpr std::size_t filters_max = 256;  // beyond: never forgotten, only added
  static constexpr std::size_t convs_max = 64;     // beyond: every conversation
  static constexpr std::size_t states_max = 64;    // beyond: every state topic

  enum class Change {
    none,
    changed,
    /// It now gets contents that it did not get before: it begins with what it missed.
    resync,
  };
  /// What all filters together ask for.
  struct Sum {
    std::uint32_t feeds = 0;
    bool inbox_all = false;
    std::vector<std::string> convs;   // sorted, empty with inbox_all
    std::vector<StateFilter> states;  // sorted; one for all beyond states_max
    bool states_all = false;          // there were so many
    bool operator==(const Sum&) const = default;
    void add(std::uint32_t more, bool all, std::string_view conv);
    void add_state(std::string_view filter, std::uint32_t asked_no);
  };

  SessionFeeds() = default;
  SessionFeeds(const SessionFeeds& other);
  SessionFeeds(SessionFeeds&&) noexcept = default;
  SessionFeeds& operator=(SessionFeeds other) noexcept;
  ~SessionFeeds() = default;

  Change add(const FilterGrant& grant);
  /// @param rest  the filter behind "<prefix>/u/<me>/"
  Change remove(std::string_view rest);
  /// Takes up what a former session had subscribed, beside its own.
  Change adopt(const SessionFeeds& former);
  /// For a session that came back with subscriptions that nobody remembers.
  Change assume_all();
  /// As if it had just subscribed its state topics.
  Change ask_state_again();

  [[nodiscard]] std::uint32_t mask() const { return mask_; }
  [[nodiscard]] Sum sum() const;
  [[nodiscard]] std::size_t filters() const;

 private:
  struct Filter {
    std::size_t at = 0;  // in filters_
    std::uint32_t asked_no = 0;
    std::string_view rest;
    [[nodiscard]] std::size_t end() const;
  };
  [[nodiscard]] std::optional<Filter> filter_at(std::size_t at) const;
  [[nodiscard]] std::optional<Filter> find(std::string_view rest) const;
  void ask(const Filter& filter, std::uint32_t asked_no);
  void keep(std::string_view rest, std::uint32_t asked_no);
  Sum& base();
  Change change_since(const Sum& before);
  static void count(const Filter& filter, Sum& sum);

  // Most sessions have one filter or two, or none, and there are very many sessions: a filter is
  // kept as it is written, and what it means is found again when something changes.
  std::string filters_;        // of each: asked_no (4 bytes), size (2 bytes), rest
  std::unique_ptr<Sum> base_;  // of what is not in filters_; null: nothing
  std::uint32_t mask_ = 0;     // sum().feeds: asked for with each delivery
  std::uint32_t last_asked_no_ = 0;
};

}  // namespace parley
