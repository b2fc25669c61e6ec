#include "core/fault_point.hpp"

#ifdef PARLEY_FAULT_POINTS

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

namespace parley {
namespace {

// In the order of the enums.
constexpr std::array<std::string_view, 16> crash_names = {
    "worker_before_store",        "worker_rows_without_sync", "worker_after_commit",
    "worker_between_frames",      "worker_after_flush",       "worker_after_marks",
    "worker_between_pages",       "worker_before_sync_done",  "worker_after_welcome",
    "plugin_spool_payload",       "plugin_after_append",      "plugin_after_inbound_batch",
    "plugin_half_outbound_batch", "plugin_after_expand",      "plugin_released_without_mark",
    "plugin_after_cleanup",
};
constexpr std::array<std::string_view, 9> loss_names = {
    "worker_hello",    "worker_outbound_batch", "worker_commit",  "worker_resume", "plugin_welcome",
    "plugin_sessions", "plugin_inbound_batch",  "plugin_applied", "plugin_resume",
};
static_assert(crash_names.size() == static_cast<std::size_t>(CrashPoint::plugin_after_cleanup) + 1);
static_assert(loss_names.size() == static_cast<std::size_t>(LossPoint::plugin_resume) + 1);

/// A point that is named: how often it was passed, and at which times it strikes.
struct Armed {
  std::uint64_t passed = 0;
  std::set<std::uint64_t> nths;
};

std::map<std::string, Armed, std::less<>> read_environment() {
  std::map<std::string, Armed, std::less<>> armed;
  // Nobody sets variables while we run.
  const char* const text = std::getenv("PARLEY_FAULT");  // NOLINT(concurrency-mt-unsafe)
  std::string_view left = text == nullptr ? "" : text;
  while (!left.empty()) {
    const std::string_view one = left.substr(0, left.find(','));
    left.remove_prefix(std::min(left.size(), one.size() + 1));
    const std::string_view name = one.substr(0, one.find(':'));
    std::uint64_t nth = 1;
    if (name.size() < one.size()) {
      std::from_chars(one.data() + name.size() + 1, one.data() + one.size(), nth);
    }
    armed[std::string{name}].nths.insert(nth);
  }
  return armed;
}

bool strikes(std::string_view name) {
  static auto armed = read_environment();
  if (armed.empty()) return false;
  const auto found = armed.find(name);
  if (found == armed.end() || !found->second.nths.contains(++found->second.passed)) return false;
  std::fprintf(stderr, "event=fault_point name=%.*s\n", static_cast<int>(name.size()), name.data());
  return true;
}

}  // namespace

void crash_point(CrashPoint point) {
  if (strikes(crash_names.at(static_cast<std::size_t>(point)))) std::raise(SIGKILL);
}

bool loss_point(LossPoint point) { return strikes(loss_names.at(static_cast<std::size_t>(point))); }

std::vector<std::string_view> crash_point_names() {
  return {crash_names.begin(), crash_names.end()};
}
std::vector<std::string_view> loss_point_names() { return {loss_names.begin(), loss_names.end()}; }

}  // namespace parley

#endif
