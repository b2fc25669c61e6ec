// Which tokens are no longer good: the least valid generation per user and per device, as the
// worker says (docs/protocol.md, "CONNECT"). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "core/link.hpp"

namespace parley {

class Revocations {
 public:
  /// @param first  the list begins anew; the old one holds until the new one is complete
  /// @param last   the list is complete
  void update(const std::vector<link::Generation>& some, bool first, bool last);

  struct Login {
    UserId user_id;
    std::string_view device;  // of the client id; empty: not a named device
    bool bound = false;       // the token is good for this device only
    std::uint32_t generation = 0;
  };
  /// Without a complete list only generation 0 is good.
  [[nodiscard]] bool allows(const Login& login) const;
  /// The least generation of tokens bound to this device; it rises when the device is removed, too.
  [[nodiscard]] std::uint32_t device_generation(UserId user_id, std::string_view device) const;
  /// Whether there is a complete list.
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] std::size_t size() const { return list_.size(); }

  /// The list as text, for a file. Only when it is known(): what is read back counts as complete.
  [[nodiscard]] std::string render() const;
  /// @return nothing if the text is not whole
  static std::optional<Revocations> parse(std::string_view text);

 private:
  struct Least {
    std::uint32_t generation = 0;
    bool disabled = false;
  };
  using List = std::map<std::pair<std::int64_t, std::string>, Least, std::less<>>;
  static void put(List& list, const link::Generation& one);

  List list_;
  std::optional<List> coming_;  // the list that is being told
  bool known_ = false;
};

}  // namespace parley
