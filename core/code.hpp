// The codes by which Parley refuses: stable words on the wire (docs/protocol.md, "Codes and
// limits").
#pragma once

#include <optional>
#include <string_view>

namespace parley {

/// Append only.
enum class Code {
  bad_token = 1,
  token_expired,
  bad_client_id,
  forbidden,
  unknown_method,
  bad_payload,
  bad_name,
  too_large,
  rate_limited,
  user_not_found,
  room_not_found,
  not_member,
  name_taken,
  blocked,
  room_full,
  not_found,
  id_conflict,
  busy,
  timeout,
  unavailable,
};

/// The word on the wire, e.g. "ID_CONFLICT".
std::string_view to_string(Code code);
std::optional<Code> code_from(std::string_view word);

}  // namespace parley
