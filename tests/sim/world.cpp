#include "tests/sim/world.hpp"

#include <asio/post.hpp>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "core/token.hpp"
#include "worker/loop.hpp"

namespace parley::sim {
namespace {

constexpr std::int64_t rest_within_ms = 150'000;
constexpr int workers_max = 3;

}  // namespace

Counts& Counts::operator+=(const Counts& other) {
  accepted += other.accepted;
  stored += other.stored;
  delivered += other.delivered;
  repeated += other.repeated;
  acks += other.acks;
  busy += other.busy;
  worker_kills += other.worker_kills;
  broker_kills += other.broker_kills;
  torn += other.torn;
  cuts += other.cuts;
  outages += other.outages;
  lost_frames += other.lost_frames;
  lost_answers += other.lost_answers;
  second_workers += other.second_workers;
  fences_refused += other.fences_refused;
  dropped += other.dropped;
  return *this;
}

World::Running::~Running() = default;

World::World(const Surroundings& surroundings, std::uint64_t seed)
    : surroundings_{surroundings},
      seed_{seed},
      state_dir_{surroundings.folder + "/state"},
      random_{seed},
      database_{random_},
      broker_{random_, surroundings.key_file, state_dir_, 1},
      network_{random_, broker_} {
  clock::reset();
  std::filesystem::remove_all(state_dir_);
  the_database() = &database_;
  the_network() = &network_;
  broker_.on_link_packet = [this](const Packet& packet) { on_link_packet(packet); };
  network_.before_broker = [this](const Packet& packet) { before_broker(packet); };
  network_.after_broker = [this](const Packet&) { after_broker(); };
  draw_profile();
  make_clients();
}

World::~World() {
  workers_.clear();
  the_database() = nullptr;
  the_network() = nullptr;
}

void World::violated(const std::string& what) {
  if (!violation_) violation_ = what;
  trace("VIOLATION " + what);
}

void World::trace(const std::string& what) const {
  if (verbose()) {
    std::printf("%8lld %s\n", static_cast<long long>(clock::now_ms()), what.c_str());
  }
}

void World::draw_profile() {
  // Each sort of trouble is there or not, so that its effect is not drowned in that of others.
  const auto maybe = [this](std::uint64_t chance, std::int64_t low, std::int64_t high) {
    const auto value = static_cast<std::uint64_t>(random_.between(low, high));
    return random_.percent(chance) ? value : 0;
  };
  profile_.events = static_cast<int>(random_.between(40, 130));
  profile_.worker_kills = maybe(50, 3, 25);
  profile_.broker_kills = maybe(35, 3, 15);
  profile_.torn_crashes = maybe(25, 3, 12);
  profile_.cuts = maybe(40, 3, 25);
  profile_.database_cuts = maybe(40, 3, 30);
  profile_.outages = maybe(30, 3, 12);
  profile_.second_workers = maybe(15, 2, 8);
  profile_.clock_steps = maybe(15, 2, 8);
  profile_.long_pauses = maybe(15, 1, 6);
  profile_.frames_lost = maybe(40, 10, 150);
  profile_.frames_repeated = maybe(20, 10, 100);
  profile_.serialization = maybe(30, 10, 150);
  profile_.answers_lost = maybe(35, 10, 120);
  profile_.poison = maybe(25, 10, 60);
  profile_.poison_that_parks = random_.percent(15);
  profile_.text_bytes_max = random_.percent(6) ? 60'000 : 40;
  profile_.publish_weight = static_cast<std::size_t>(random_.between(10, 45));
  profile_.lanes = static_cast<std::uint32_t>(random_.between(1, 3));
  profile_.credit_records = static_cast<std::uint32_t>(
      random_.percent(60) ? random_.between(1, 12) : random_.between(20, 400));
  profile_.credit_bytes =
      static_cast<std::uint32_t>(random_.percent(30) ? random_.between(200, 4'000) : 1'000'000);
  // The usual one is never full here.
  if (seed_ % 2 != 0) profile_.batches_window = static_cast<std::uint32_t>(2 + seed_ / 2 % 11);
  profile_.unconfirmed_max =
      static_cast<std::uint32_t>(random_.percent(50) ? random_.between(3, 12) : 400);
  profile_.redeliver_after_ms =
      static_cast<std::uint32_t>(random_.percent(50) ? random_.between(300, 2'000) : 10'000);
  // By a chance of its own, so that what the others draw stays the same.
  Random more{seed_ + 1'000'000'007};
  profile_.fences_refused = more.percent(15) ? static_cast<std::uint64_t>(more.between(5, 60)) : 0;
  // A worker that dies does not tell the next one what the broker holds.
  profile_.queues_limited =
      profile_.worker_kills == 0 && profile_.second_workers == 0 && more.percent(60);
  if (profile_.queues_limited) profile_.long_pauses += more.percent(50) ? 20 : 0;
  // Over midnight of a month's last day: repeats may lie in the month before.
  constexpr std::int64_t september_ms = 1'788'220'800'000;
  if (more.percent(30))
    clock::step_wall(september_ms - wall_now().value - more.between(1, 60) * 1'000);
  broker_.fences_refused_permille = profile_.fences_refused;
  database_.serialization_permille = profile_.serialization;
  database_.moved_permille = 3 * profile_.serialization;
  database_.lost_answer_permille = profile_.answers_lost;
  network_.lost_permille = profile_.frames_lost;
  network_.repeated_permille = profile_.frames_repeated;
}

void World::make_clients() {
  static const std::vector<std::string> names = {"alice", "bob", "carol"};
  std::vector<std::int64_t> ids;
  const Key* const key = surroundings_.keys.newest(false);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto id = static_cast<std::int64_t>(i + 1);
    database_.add_user(id, names[i]);
    ids.push_back(id);
    TokenClaims claims;
    claims.key_id = key->key_id;
    claims.scope = scope::ordinary;
    claims.user_id = UserId{id};
    tokens_[names[i]] = mint_token(claims, {"im", names[i], ""}, key->secret);
  }
  database_.add_room("ops", ids);
  targets_ = names;
  targets_.insert(targets_.end(), {"ops", "ops", "nobody"});

  const auto add = [&](std::size_t user, const std::string& device) {
    Client client;
    client.user = names[user];
    client.user_id = ids[user];
    client.device = device;
    client.name = device.empty() ? "x" + names[user] : names[user] + "." + device;
    client.protocol = random_.percent(50) ? 5 : 4;
    client.clean = device.empty() || random_.percent(30);
    client.json = random_.percent(70);
    client.confirms = !device.empty() && random_.percent(60);
    client.slow = client.confirms && profile_.queues_limited;
    clients_.push_back(std::move(client));
  };
  // alice has devices, bob perhaps one and a session beside it, carol none.
  add(0, "phone");
  if (random_.percent(60)) add(0, "desk");
  const bool bob_has_device = random_.percent(50);
  if (bob_has_device) add(1, "tab");
  add(1, "");
  clients_.back().observes = bob_has_device;
  add(2, "");
}

// ---- starting and ending ----

void World::start_broker() {
  if (broker_.running()) return;
  trace("broker starts");
  if (!broker_.start()) return violated("the plugin did not start");
  ++broker_starts_;
  sent_.clear();
  broker_.tick();
  // What was taken must still be there.
  for (const auto& [origin, accepted] : open_) {
    if (origin.first != broker_.plugin().spool.spool_id()) {
      violated("the spool was replaced");
    } else if (!still_in_spool(origin.second)) {
      violated("record " + std::to_string(origin.second) + " is not in the spool after a crash");
    }
  }
}

void World::kill_broker() {
  if (!broker_.running()) return;
  trace("broker killed");
  ++counts_.broker_kills;
  broker_.crash();
  for (auto& client : clients_) client.connection = 0;
  if (random_.percent(15)) forget_boot();
}

void World::start_worker() {
  if (!database_.up || workers_.size() >= workers_max) return;
  Config config;
  config.broker.key_file = surroundings_.key_file;
  config.database.lanes = profile_.lanes;
  config.link.credit_records = profile_.credit_records;
  config.link.batches_window = profile_.batches_window;
  config.link.credit_bytes = profile_.credit_bytes;
  config.delivery.unconfirmed_max = profile_.unconfirmed_max;
  config.delivery.redeliver_after_ms = profile_.redeliver_after_ms;
  config.delivery.redeliver_max = 1'000;  // nobody stays behind only because he was unlucky often
  config.delivery.paced_per_s = profile_.unconfirmed_max;
  sql::Claim claim;
  claim.epoch = static_cast<std::uint64_t>(database_.claim(profile_.lanes));
  claim.server_epoch = "1";
  trace("worker " + std::to_string(claim.epoch) + " starts");
  Running running;
  running.epoch = claim.epoch;
  running.worker = std::make_unique<Worker>(config, claim);
  running.worker->start();
  workers_.push_back(std::move(running));
}

void World::turn(Running& running) { running.worker->loop().poll(); }

void World::kill_worker() {
  if (workers_.empty()) return;
  const auto index = random_.below(workers_.size());
  auto& running = workers_[index];
  trace("worker " + std::to_string(running.epoch) + " killed");
  ++counts_.worker_kills;
  // In the middle of a turn: what it says after so many words is not said any more.
  network_.words_left = database_.words_left = static_cast<int>(random_.below(4));
  for (std::size_t i = random_.below(4); i > 0; --i) running.worker->loop().poll_one();
  workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(index));
  network_.words_left = database_.words_left = -1;
}

// ---- what happens ----

std::optional<std::string> World::run() {
  trace("a window of " + std::to_string(profile_.unconfirmed_max) + ", once more after " +
        std::to_string(profile_.redeliver_after_ms) + " ms");
  start_broker();
  start_worker();
  for (auto& client : clients_) connect(client);
  for (int i = 0; i < profile_.events && !violation_; ++i) step();
  if (!violation_) heal();
  if (!violation_ && broker_.dropped > 0)
    violated("more was sent to a client than the broker keeps");
  if (!violation_) check_end();
  if (violation_ && verbose()) dump();
  workers_.clear();
  return violation_;
}

void World::dump() const {
  for (const auto& [id, table] : database_.conversations()) {
    for (const auto& row : table.rows) {
      trace("row " + (table.is_room ? table.name : std::to_string(id)) + "/" +
            std::to_string(row.seq) + " record " + std::to_string(row.ingest_no) + " sender " +
            std::to_string(row.sender) + " " + row.id + " " + row.text.substr(0, 10));
    }
  }
}

void World::step() {
  const auto choice = random_.below(100);
  if (choice < profile_.publish_weight) {
    for (std::size_t i = random_.below(4) + 1; i > 0; --i) publish();
  } else if (choice < profile_.publish_weight + 8) {
    auto& client = clients_[random_.below(clients_.size())];
    client.connection == 0 ? connect(client) : disconnect(client);
  } else if (choice < profile_.publish_weight + 14 && !repeats_.empty()) {
    const auto send = repeats_[random_.below(repeats_.size())];
    if (clients_[send.client].connection != 0) publish(send);
  } else if (choice < profile_.publish_weight + 22) {
    confirm(clients_[random_.below(clients_.size())]);
  }
  for (std::size_t i = random_.below(12) + 2; i > 0 && !violation_; --i) pump_some();
  const auto pace = random_.below(100);
  clock::advance(pace < 70   ? random_.between(0, 20)
                 : pace < 97 ? random_.between(20, 400)
                             : random_.between(400, 1'600));
  faults();
}

void World::pump_some() {
  switch (random_.below(8)) {
    case 0:
    case 1:
      broker_.tick();
      broker_.hand_out();
      break;
    case 2:
      network_.settle();
      break;
    case 3:
      for (std::size_t i = random_.below(4) + 1; i > 0; --i) network_.to_broker();
      break;
    case 4:
      for (std::size_t i = random_.below(4) + 1; i > 0; --i) network_.to_worker();
      break;
    case 5:
      if (!workers_.empty()) turn(workers_[random_.below(workers_.size())]);
      break;
    case 6:
      for (std::size_t i = random_.below(4) + 1; i > 0; --i) {
        random_.percent(50) ? database_.work() : database_.answer();
      }
      break;
    default:
      for (std::size_t i = random_.below(6) + 1; i > 0; --i)
        receive(random_.below(clients_.size()));
      break;
  }
  std::erase_if(workers_, [this](const Running& running) {
    const bool ended = running.worker->loop().stopped();
    if (ended) trace("worker " + std::to_string(running.epoch) + " has ended");
    return ended;
  });
}

void World::pump() {
  network_.settle();
  broker_.tick();
  broker_.hand_out();
  for (int i = 0; i < 200 && network_.to_broker(); ++i) {
  }
  for (int i = 0; i < 200 && network_.to_worker(); ++i) {
  }
  for (auto& running : workers_) turn(running);
  for (int i = 0; i < 20 && database_.work(); ++i) {
  }
  for (int i = 0; i < 20 && database_.answer(); ++i) {
  }
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i].slow) {
      receive(i);
      if (faulty_ && random_.percent(10)) confirm_the_rest(clients_[i]);
      continue;
    }
    while (clients_[i].connection != 0 &&
           broker_.connection_of(clients_[i].place) == clients_[i].connection &&
           !broker_.context(clients_[i].place).out.empty()) {
      receive(i);
    }
  }
  for (auto& running : workers_) turn(running);
  std::erase_if(workers_, [](const Running& running) { return running.worker->loop().stopped(); });
}

void World::faults() {
  if (random_.permille(profile_.worker_kills)) kill_worker();
  if (workers_.empty() && random_.percent(20)) start_worker();
  if (random_.permille(profile_.second_workers)) {
    ++counts_.second_workers;
    start_worker();
  }
  if (random_.permille(profile_.broker_kills)) kill_broker();
  if (!broker_.running() && random_.percent(25)) start_broker();
  if (random_.permille(profile_.torn_crashes) && broker_.running()) {
    random_.percent(60) ? torn_crash([this] { publish(); })
                        : torn_crash([this] { network_.to_broker(); });
  }
  if (random_.permille(profile_.cuts)) {
    ++counts_.cuts;
    network_.cut();
  }
  if (random_.permille(profile_.database_cuts)) database_.cut_one();
  if (random_.permille(profile_.outages) && database_.up) {
    trace("database down");
    ++counts_.outages;
    database_.up = false;
    database_.cut_all();
  } else if (!database_.up && random_.percent(15)) {
    trace("database up");
    database_.up = true;
  }
  if (random_.permille(profile_.clock_steps)) {
    clock::step_wall(random_.percent(50) ? 3'600'000 : -3'600'000);
  }
  if (random_.permille(profile_.long_pauses)) {
    trace("a long pause");
    for (int i = 0; i < 400 && !violation_; ++i) {
      clock::advance(250);
      pump();
    }
  }
}

void World::heal() {
  trace("healing");
  faulty_ = false;
  database_.serialization_permille = database_.moved_permille = database_.lost_answer_permille = 0;
  network_.lost_permille = network_.repeated_permille = 0;
  broker_.fences_refused_permille = 0;
  database_.up = true;
  start_broker();
  const std::int64_t until = clock::now_ms() + rest_within_ms;
  for (int i = 0; !violation_; ++i) {
    if (workers_.empty()) start_worker();
    if (i % 20 == 0) {
      for (auto& client : clients_) {
        if (client.connection == 0 || broker_.connection_of(client.place) != client.connection) {
          connect(client);
        }
      }
    }
    if (i % 4 == 0) {
      for (auto& client : clients_) confirm_the_rest(client);
    }
    pump();
    if (i % 4 == 3 && at_rest()) break;
    clock::advance(i < 200 ? 20 : 100);
    if (clock::now_ms() > until) return violated("it does not come to rest");
  }
  if (violation_) return;
  // Once more around: nothing may come of it.
  for (int i = 0; i < 8; ++i) {
    clock::advance(300);
    pump();
  }
}

Counts World::counts() const {
  Counts counts = counts_;
  counts.lost_frames = network_.lost;
  counts.fences_refused = broker_.fences_refused;
  counts.dropped = broker_.dropped;
  counts.lost_answers = database_.lost_answers;
  for (const auto& [id, table] : database_.conversations()) counts.stored += table.rows.size();
  return counts;
}

}  // namespace parley::sim
