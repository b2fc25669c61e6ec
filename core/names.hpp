// What may be called what (docs/protocol.md, "Names").
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace parley {

inline constexpr std::size_t name_bytes_max = 32;
inline constexpr std::size_t request_id_bytes_max = 64;

/// Users, bots, devices and rooms: `[a-z0-9][a-z0-9_-]{0,31}`.
bool is_name(std::string_view text);
/// Internal services: `_[a-z0-9_-]{1,31}`.
bool is_service_name(std::string_view text);
/// The device part of a client id: `[A-Za-z0-9_-]{1,32}`.
bool is_device(std::string_view text);
/// A request id: 1–64 of `[A-Za-z0-9_.:-]`, not `-` alone.
bool is_request_id(std::string_view text);
/// A topic prefix: one level, `[A-Za-z0-9_-]{1,32}`.
bool is_prefix(std::string_view text);

/// `<name>.<device>`: the client id of a named device. Both parts view into `client_id`.
struct DeviceClientId {
  std::string_view name;
  std::string_view device;
};
/// Nothing if `client_id` does not have that form.
std::optional<DeviceClientId> parse_device_client_id(std::string_view client_id);

}  // namespace parley
