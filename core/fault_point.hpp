// Moments at which a test may let this process die or lose a frame: those that kill -9 from outside
// hits too rarely. Built in only with the CMake option PARLEY_FAULT_POINTS; without it nothing of
// this is in the programs.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace parley {

/// Where the process kills itself with SIGKILL, if told so. All are in one thread: the broker's, or
/// the worker's loop.
enum class CrashPoint : std::uint8_t {
  worker_before_store,           // a batch is ready for PostgreSQL
  worker_rows_without_sync,      // its rows came back, whether it is committed is not known yet
  worker_after_commit,           // committed; nothing of it has been handed over to the plugin
  worker_between_frames,         // the deliveries of a turn are partly on their way
  worker_after_flush,            // all of a turn is on its way, the commit mark included
  worker_after_marks,            // `got` and `read` are committed, their records not released
  worker_between_pages,          // a session has got a part of what it missed
  worker_before_sync_done,       // all of it, and has not been told so
  worker_after_welcome,          // the plugin has taken this worker
  plugin_spool_payload,          // a record's words are in the spool, its header is not
  plugin_after_append,           // the record is in the spool, its PUBACK has not been sent
  plugin_after_inbound_batch,    // records have been handed to the broker for the worker
  plugin_half_outbound_batch,    // the first half of a batch's deliveries is published
  plugin_after_expand,           // all of them, and the spool released; the worker does not know
  plugin_released_without_mark,  // records are released in memory, the file does not say so
  plugin_after_cleanup,          // a planned stop, behind the plugin's end
};

/// Which frame is lost, once, if told so.
enum class LossPoint : std::uint8_t {
  worker_hello,
  worker_outbound_batch,  // with deliveries
  worker_commit,          // a batch with nothing but its commit mark
  worker_resume,          // asks for records again
  plugin_welcome,
  plugin_sessions,
  plugin_inbound_batch,
  plugin_applied,  // a frame that carries nothing else
  plugin_resume,   // asks for batches again
};

#ifdef PARLEY_FAULT_POINTS

/// Dies if the environment variable PARLEY_FAULT names this point: "<name>[:<nth>],…", with the
/// names below; at the nth passing, the first one without a number. A name may come several times.
void crash_point(CrashPoint point);
/// Whether the frame that is about to be sent is to be lost, by the same variable. The file
/// descriptor 2 hears a line of it either way.
bool loss_point(LossPoint point);
/// "worker_before_store" …
std::vector<std::string_view> crash_point_names();
std::vector<std::string_view> loss_point_names();

#else

inline void crash_point(CrashPoint) {}
inline bool loss_point(LossPoint) { return false; }

#endif

}  // namespace parley
