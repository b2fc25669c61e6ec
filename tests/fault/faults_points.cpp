// The named points in worker and plugin (core/fault_point.hpp): a process dies at one, or loses a
// frame.
#include <csignal>
#include <map>
#include <string_view>

#include "core/fault_point.hpp"
#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

#ifdef PARLEY_FAULT_POINTS

namespace {

/// How long an armed process may take to come to its point.
constexpr test::Milliseconds strikes_within{2'500};

/// What is passed once per message, batch or frame: any of the first ones may be hit. All else
/// happens rarely, and the first time counts.
std::uint64_t often(std::string_view point) {
  static const std::map<std::string_view, std::uint64_t> all{
      {"worker_before_store", 20},        {"worker_rows_without_sync", 20},
      {"worker_after_commit", 20},        {"worker_between_frames", 1},
      {"worker_after_flush", 20},         {"worker_after_marks", 4},
      {"plugin_spool_payload", 50},       {"plugin_after_append", 50},
      {"plugin_after_inbound_batch", 20}, {"plugin_half_outbound_batch", 20},
      {"plugin_after_expand", 20},        {"plugin_released_without_mark", 20},
      {"worker_outbound_batch", 20},      {"worker_commit", 4},
      {"plugin_inbound_batch", 20},       {"plugin_applied", 4}};
  const auto found = all.find(point);
  return found == all.end() ? 1 : found->second;
}

/// What has to be lost first, so that there is something to ask for again.
std::string before(std::string_view point) {
  if (point == "worker_resume") return "plugin_inbound_batch:3";
  if (point == "plugin_resume") return "worker_outbound_batch:3";
  return {};
}

class AtPoint : public Fault {
 public:
  enum class Does : std::uint8_t { dies, loses };
  AtPoint(std::string point, Does does) : point_{std::move(point)}, does_{does} {}

  void strike(Arena& arena) override {
    const std::string armed = point_ + ":" + std::to_string(1 + arena.chance() % often(point_));
    const bool syncs = point_ == "worker_between_pages" || point_ == "worker_before_sync_done";
    arm(arena, of_worker() ? armed : before(point_), of_worker() ? before(point_) : armed);
    if (!syncs) return;
    for (const auto& client : arena.clients()) client->leave(Client::Leave::politely);
  }

  void heal(Arena& arena) override {
    if (point_ == "plugin_after_cleanup") arena.instance().broker().process().signal(SIGTERM);
    happened_ = wait_until(strikes_within, [&] { return struck(arena); });
    // One that never came to its point must not die in a later round.
    if (!happened_ || does_ == Does::dies) return arm(arena, "", "");
    test::Worker& worker = arena.instance().worker();
    worker.set_environment(with(worker.environment(), ""));
    arena.instance().broker().set_environment(arena.broker_environment());
  }

  [[nodiscard]] bool happened() const override { return happened_; }

 private:
  using Environment = test::Worker::Environment;

  [[nodiscard]] bool of_worker() const { return point_.starts_with("worker_"); }

  /// Starts again with these points whatever has or had some.
  void arm(Arena& arena, const std::string& worker_points, const std::string& broker_points) {
    log_at_ = log(arena).size();
    test::Worker& worker = arena.instance().worker();
    if (!of_worker() || !before(point_).empty()) {
      test::Broker& broker = arena.instance().broker();
      broker.kill();
      broker.set_environment(with(arena.broker_environment(), broker_points));
      broker.start();
    }
    const Environment environment = with(worker.environment(), worker_points);
    if (of_worker() || !before(point_).empty()) {
      worker.kill();
      worker.set_environment(environment);
      worker.start();
    }
  }

  [[nodiscard]] std::string log(Arena& arena) const {
    return of_worker() ? arena.instance().worker().log() : arena.instance().broker().log();
  }

  [[nodiscard]] bool struck(Arena& arena) const {
    return log(arena).find("event=fault_point name=" + point_ + "\n", log_at_) != std::string::npos;
  }

  static Environment with(Environment environment, const std::string& points) {
    std::erase_if(environment, [](const auto& entry) { return entry.first == "PARLEY_FAULT"; });
    if (!points.empty()) environment.emplace_back("PARLEY_FAULT", points);
    return environment;
  }

  std::string point_;
  Does does_;
  std::size_t log_at_ = 0;
  bool happened_ = false;
};

Kind at_point(std::string_view point, AtPoint::Does does) {
  Kind kind;
  const std::string name{point};
  const bool dies = does == AtPoint::Does::dies;
  kind.name = (dies ? "crash_" : "lose_") + name;
  kind.what = (name.starts_with("worker_") ? "parleyd" : "Mosquitto") +
              std::string(dies ? " dies at the point " : " loses the frame ") + name;
  kind.part = name.starts_with("worker_") ? Part::worker : Part::broker;
  kind.pairs = before(point).empty();  // else it starts both programs again
  kind.make = [name, does] { return std::make_unique<AtPoint>(name, does); };
  return kind;
}

}  // namespace

void add_point_kinds(std::vector<Kind>& all) {
  for (const auto point : crash_point_names()) {
    all.push_back(at_point(point, AtPoint::Does::dies));
  }
  for (const auto point : loss_point_names()) {
    all.push_back(at_point(point, AtPoint::Does::loses));
  }
}

#else

void add_point_kinds(std::vector<Kind>&) {}

#endif

}  // namespace parley::fault
