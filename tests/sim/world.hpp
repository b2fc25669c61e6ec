// One seed: a broker with the plugin, workers, a database and clients in virtual time; what happens
// to them is chance. Afterwards everything is healed, and must come to rest with nothing missing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/keyring.hpp"
#include "tests/sim/broker.hpp"
#include "tests/sim/clock.hpp"
#include "tests/sim/database.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/random.hpp"
#include "worker/worker.hpp"

namespace parley::sim {

/// What does not change between seeds.
struct Surroundings {
  std::string folder;  // for the plugin's state
  std::string key_file;
  Keyring keys;
};

/// How often what happens; drawn from the seed.
struct Profile {
  int events = 0;
  std::uint64_t worker_kills = 0;  // of 1,000 events
  std::uint64_t broker_kills = 0;
  std::uint64_t torn_crashes = 0;
  std::uint64_t cuts = 0;
  std::uint64_t database_cuts = 0;
  std::uint64_t outages = 0;
  std::uint64_t second_workers = 0;
  std::uint64_t clock_steps = 0;
  std::uint64_t long_pauses = 0;
  std::uint64_t frames_lost = 0;
  std::uint64_t frames_repeated = 0;
  std::uint64_t serialization = 0;
  std::uint64_t answers_lost = 0;
  std::uint64_t poison = 0;  // of 1,000 publishes
  bool poison_that_parks = false;
  std::size_t text_bytes_max = 0;
  std::size_t publish_weight = 0;
  std::uint32_t lanes = 1;
  std::uint32_t credit_records = 0;
  std::uint32_t batches_window = LinkConfig{}.batches_window;
  std::uint32_t unconfirmed_max = 0;
  std::uint32_t redeliver_after_ms = 0;
  std::uint32_t credit_bytes = 0;
  std::uint64_t fences_refused = 0;
  bool queues_limited = false;  // the broker keeps no more than it has to
};

struct Client {
  std::string name;  // the client id
  std::string user;
  std::int64_t user_id = 0;
  std::string device;  // empty: not a named device
  bool clean = true;
  int protocol = 4;
  bool json = false;      // inbox.json and sent.json, else inbox
  bool confirms = false;  // publishes `got`
  bool slow = false;      // … takes one packet at a time, and says so as it goes
  bool observes = false;  // has a named device beside it: live messages only
  mosquitto* place = nullptr;
  std::uint64_t connection = 0;  // 0: not connected
  std::map<std::int64_t, Seq> seen;
  std::map<std::int64_t, Seq> confirmed;  // up to where it has said so
};

/// A publish that a client may do once more, as it has not heard what became of the first.
struct Send {
  std::size_t client = 0;
  std::string to;
  std::string id;
  std::string text;
  int qos = 1;
};

/// What the plugin has taken.
struct Accepted {
  std::int64_t user_id = 0;
  std::string device;
  bool is_mark = false;
  std::string conv;
  std::string text;
  std::string id;
  Seq mark = 0;
  bool parks = false;      // the database has another error with it, each time
  bool refusable = false;  // nobody has this name, or the database will not have it
};

struct Counts {
  std::uint64_t accepted = 0, stored = 0, delivered = 0, repeated = 0, acks = 0, busy = 0;
  std::uint64_t worker_kills = 0, broker_kills = 0, torn = 0, cuts = 0, outages = 0,
                lost_frames = 0, fences_refused = 0, dropped = 0;
  std::uint64_t lost_answers = 0, second_workers = 0;
  Counts& operator+=(const Counts& other);
};

class World {
 public:
  World(const Surroundings& surroundings, std::uint64_t seed);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  /// @return what was violated; nothing if all is well
  std::optional<std::string> run();
  [[nodiscard]] Counts counts() const;

 private:
  struct Running {
    std::unique_ptr<Worker> worker;
    std::uint64_t epoch = 0;
    Running() = default;
    Running(Running&&) = default;
    Running& operator=(Running&&) = default;
    ~Running();
  };

  void draw_profile();
  void make_clients();
  void step();
  void pump();       // everybody does a little
  void pump_some();  // somebody does
  void faults();
  void heal();
  [[nodiscard]] bool at_rest();
  void check_end();
  void check_rows();

  void start_broker();
  void start_worker();
  void kill_worker();
  void turn(Running& running);
  void kill_broker();
  void forget_boot();
  void torn_crash(const std::function<void()>& action);

  void connect(Client& client);
  void disconnect(Client& client);
  void receive(std::size_t index);
  void receive_message(Client& client, std::string_view conv, std::string_view payload);
  void receive_ack(Client& client, const std::string& id, std::string_view payload);
  void confirm(Client& client);
  void confirm(Client& client, std::int64_t conversation, Seq seq);
  void confirm_the_rest(Client& client);
  void publish();
  Published publish(const Send& send);
  void accept(const Client& client, IngestNo before, Accepted accepted);
  [[nodiscard]] bool visible(const Client& client, std::int64_t conversation, Seq seq) const;
  [[nodiscard]] Seq base_of(const Client& client, std::int64_t conversation, Seq seq) const;

  void look_at_spool();
  [[nodiscard]] bool still_in_spool(IngestNo ingest_no);
  bool covered(IngestNo ingest_no, const Accepted& mark);
  void check_outcome(IngestNo ingest_no, const Accepted& accepted);
  void on_link_packet(const Packet& packet);
  void before_broker(const Packet& packet);
  void trace_batch(const link::WorkerFrame& frame) const;
  void after_broker();
  void dump() const;
  void violated(const std::string& what);
  void trace(const std::string& what) const;

  const Surroundings& surroundings_;
  const std::uint64_t seed_;
  const std::string state_dir_;
  Random random_;
  Profile profile_;
  Database database_;
  Broker broker_;
  Network network_;
  std::vector<Running> workers_;
  std::map<std::string, std::string> tokens_;
  std::vector<std::string> targets_;
  std::vector<Client> clients_;
  std::vector<Send> repeats_;
  bool faulty_ = true;
  std::optional<std::string> violation_;
  Counts counts_;

  std::uint64_t texts_ = 0;
  std::map<std::pair<std::uint64_t, IngestNo>, Accepted> open_;  // not released yet
  std::set<IngestNo> sent_;                                      // to the obeyed worker
  std::uint64_t sent_epoch_ = 0;
  std::uint64_t broker_starts_ = 0;
  struct BatchInFlight {
    std::uint64_t epoch = 0;
    std::uint64_t batch_no = 0;
    std::uint64_t publishes = 0;
  };
  std::optional<BatchInFlight> batch_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> executed_;  // last batch_no
  /// The last batch that the plugin has said it carried out, by start of the broker and epoch.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> told_applied_;
};

}  // namespace parley::sim
