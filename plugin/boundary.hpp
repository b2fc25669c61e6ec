// The edge between the broker's C and our C++: no exception may cross it.
#pragma once

#include <mosquitto.h>
#include <mosquitto_broker.h>

#include <exception>
#include <utility>

namespace parley::plugin {

/// @param refused  what the broker hears if `fn` threw: fail closed (MOSQ_ERR_AUTH,
/// MOSQ_ERR_ACL_DENIED)
template <class Fn>
int guarded(const char* where, int refused, Fn&& fn) noexcept {
  try {
    return std::forward<Fn>(fn)();
  } catch (const std::exception& e) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "event=callback_threw where=%s what=\"%s\"", where,
                         e.what());
  } catch (...) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "event=callback_threw where=%s", where);
  }
  return refused;
}

}  // namespace parley::plugin
