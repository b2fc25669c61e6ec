// The JSON form of what clients get, written by hand for speed; core/wire.cpp offers it to others.
#pragma once

#include <string>

#include "core/wire.hpp"

namespace parley {

std::string to_json(const Message& message);
std::string to_json(const Ack& ack);
std::string to_json(const Truncated& event);
std::string to_json(const Reply& reply);

}  // namespace parley
