// `room.create`: the same room asked for in other words is the same request. Pure.
#pragma once

#include <string>
#include <string_view>

namespace parley {

/// One form for all requests that mean the same: defaults written out, members sorted, each once
/// and without the creator, who is one in any case.
/// @param request  as request_json() gives it
std::string plain_room_create(const std::string& request, std::string_view creator);

}  // namespace parley
