// What one session has subscribed, as filters and as feeds. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
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
  /// @param filter  as the client wrote it: the key to take it back
  Change add(std::string_view filter, const FilterGrant& grant);
  Change remove(std::string_view filter);
  /// Takes up what a former session had subscribed, beside its own.
  Change adopt(const SessionFeeds& former);
  /// For a session that came back with subscriptions that nobody remembers.
  Change assume_all();
  /// As if it had just subscribed its state topics.
  Change ask_state_again();

  [[nodiscard]] std::uint32_t mask() const { return sum_.feeds; }
  [[nodiscard]] bool inbox_all() const { return sum_.inbox_all; }
  [[nodiscard]] const std::vector<std::string>& inbox_convs() const { return sum_.convs; }
  [[nodiscard]] const std::vector<StateFilter>& states() const { return sum_.states; }
  [[nodiscard]] std::size_t filters() const { return filters_.size(); }

 private:
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
  struct Filter {
    std::string text;
    std::uint32_t feeds;
    bool inbox_all;
    std::string inbox_conv;
    StateFilter state;  // with an empty filter: none
  };
  Change recount();
  void keep(Filter filter);
  static void count(const Filter& filter, Sum& sum);

  std::vector<Filter> filters_;
  Sum base_;  // of what is not in filters_
  Sum sum_;
  std::uint32_t last_asked_no_ = 0;
};

}  // namespace parley
