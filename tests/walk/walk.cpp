#include "tests/walk/walk.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>

namespace parley::walk {

using Json = nlohmann::json;

namespace {

constexpr int at_once = 10;    // operations under way together
constexpr int look_every = 3;  // rounds
constexpr int failures_max = 5;
constexpr test::Milliseconds quiet_within{40'000};

using Operation = bool (Walk::*)();

}  // namespace

Walk::Walk(const Options& options) : options_{options}, random_{options.seed} {
  for (int i = 0; i < options_.users; ++i) {
    instance_.user(user(i));
    const auto ask_as = user(i);
    auto login = instance_.login(ask_as);
    login.keepalive_s = keepalive_s;
    askers_[ask_as] = std::make_unique<test::Person>(instance_.connected(ask_as, login));
    askers_[ask_as]->listen({"re.json/+"});
    devices_.push_back(std::make_unique<Device>(instance_, ask_as, "phone", Habit::syncs));
    devices_.push_back(std::make_unique<Device>(
        instance_, ask_as, "desk", i % 2 == 0 ? Habit::confirms : Habit::never_confirms));
  }
  for (const auto& device : devices_) {
    device->connect();
    device->subscribe();
  }
  test::MqttClient client = instance_.connect(instance_.login("watcher"));
  client.subscribe("im/s/info");
  epoch_ = Json::parse(client.expect_text("im/s/info")).at("epoch");
}

Sum Walk::run() {
  const auto began = std::chrono::steady_clock::now();
  std::cout << "seed " << options_.seed << ", " << options_.operations << " operations by "
            << options_.users << " users with two devices each" << std::endl;
  int quiet_at = options_.quiet_every;
  try {
    while (done_ < options_.operations && sum_.failed == 0) {
      round();
      if (done_ < quiet_at || done_ >= options_.operations) continue;
      quiet_at += options_.quiet_every;
      quiet_point(false);
    }
    if (sum_.failed == 0) quiet_point(true);
  } catch (const std::exception& error) {
    fail(error.what());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::cout << done_ << " operations in " << took.count() << " s:";
  for (const auto& [name, count] : counts_) std::cout << ' ' << name << ' ' << count;
  std::cout << std::endl;
  return sum_;
}

/// Some operations, in different conversations, at the same time.
void Walk::round() {
  for (int i = 0; i < at_once; ++i) operate();
  done_ += static_cast<int>(pending_.size());
  for (Pending& pending : pending_) await(pending);
  pending_.clear();
  for (Device* const device : leaving_) {
    if (chance(50)) {
      device->drop();
    } else {
      device->disconnect();
    }
  }
  leaving_.clear();
  static int rounds = 0;
  if (++rounds % look_every == 0) look_at_all();
}

void Walk::look_at_all() {
  for (const auto& device : devices_) {
    if (device->up()) device->look();
  }
}

void Walk::operate() {
  struct Choice {
    int weight;
    const char* name;
    Operation fn;
  };
  static const std::vector<Choice> choices{{400, "send", &Walk::send},
                                           {60, "burst", &Walk::burst},
                                           {15, "send_again", &Walk::send_again},
                                           {90, "read", &Walk::mark},
                                           {70, "edit", &Walk::edit},
                                           {40, "delete", &Walk::erase},
                                           {70, "react", &Walk::react},
                                           {30, "pin", &Walk::pin},
                                           {30, "history", &Walk::history},
                                           {12, "room.create", &Walk::create_room},
                                           {20, "room.join", &Walk::join},
                                           {12, "room.leave", &Walk::leave},
                                           {12, "room.kick", &Walk::kick},
                                           {25, "room.add", &Walk::add},
                                           {10, "room.role", &Walk::role},
                                           {8, "room.set", &Walk::title},
                                           {12, "block", &Walk::block},
                                           {8, "mute", &Walk::mute},
                                           {30, "disconnect", &Walk::go},
                                           {32, "connect", &Walk::come},
                                           {10, "sync", &Walk::sync}};
  static const int sum = [] {
    int all = 0;
    for (const Choice& choice : choices) all += choice.weight;
    return all;
  }();
  int at = below(sum);
  for (const Choice& choice : choices) {
    at -= choice.weight;
    if (at >= 0) continue;
    const std::size_t before = pending_.size();
    if ((this->*choice.fn)()) {
      counts_[choice.name] += std::max(1, static_cast<int>(pending_.size() - before));
      if (pending_.size() == before) ++done_;  // one without an answer
    }
    return;
  }
}

void Walk::await(Pending& pending) {
  std::string wrong;
  Json answer;
  try {
    answer = pending.is_send ? pending.device->ack(pending.id) : pending.device->reply(pending.id);
    wrong = pending.apply(answer);
  } catch (const std::exception& error) {
    wrong = std::string("no answer: ") + error.what();
  }
  if (pending.about != nullptr) pending.about->busy = false;
  if (!wrong.empty()) {
    fail(pending.device->client_id() + " " + pending.line + ": " + wrong + ", not " + answer.dump(),
         pending.about);
  }
}

void Walk::fail(std::string what, const Conversation* about) {
  ++sum_.failed;
  report({std::move(what), about});
}

void Walk::report(const Difference& difference) {
  std::cout << "DIFFERENT (seed " << options_.seed << ", operation " << done_
            << "): " << difference.what << '\n';
  if (difference.about == nullptr) return;
  const Conversation& about = *difference.about;
  std::cout << "  last operations in "
            << (about.room.empty() ? about.peers.first + " and " + about.peers.second : about.room)
            << ", now at seq " << about.last_seq() << " rev " << about.rev << ":\n";
  for (const auto& line : about.trace) std::cout << "    " << line << '\n';
  std::cout.flush();
}

void Walk::settle_on(const std::string& what, const std::function<Differences()>& compare) {
  // What is wrong somewhere is not waited for elsewhere.
  const test::Deadline deadline{sum_.failed > 0 ? test::Milliseconds{0}
                                                : test::slowed(quiet_within)};
  Differences found;
  const auto alike = [&] {
    look_at_all();
    found = compare();
    return found.empty();
  };
  if (test::comes_true(alike, deadline)) {
    ++sum_.passed;
    return;
  }
  std::cout << what << ": " << found.size() << " differences" << '\n';
  if (found.size() > failures_max) found.resize(failures_max);
  for (const Difference& one : found) fail(one.what, one.about);
}

void Walk::quiet_point(bool last) {
  for (const auto& [name, asker] : askers_) (void)asker->mqtt.drain();
  // At the end nobody is away; on the way some stay so for longer.
  for (const auto& device : devices_) {
    if (!device->up() && (last || chance(50))) bring_back(*device);
  }
  for (Pending& pending : pending_) await(pending);
  pending_.clear();
  for (const auto& device : devices_) {
    settle_on("what " + device->client_id() + " holds", [&] { return compare_device(*device); });
  }
  settle_on("unread", [this] {
    Differences found;
    compare_unread(found);
    return found;
  });
  // All of it at the end; on the way some, as it grows.
  for (int i = 0; i < options_.users; ++i) {
    const std::string who = user(i);
    Differences fresh;
    compare_fresh(who, fresh);
    if (fresh.empty()) ++sum_.passed;
    if (fresh.size() > failures_max) fresh.resize(failures_max);
    for (const Difference& one : fresh) fail(one.what, one.about);
    if (!last && !chance(30)) continue;
    settle_on("history of " + who, [&] {
      Differences found;
      compare_history(who, found);
      return found;
    });
  }
}

Device* Walk::any_device(const std::string& of) {
  std::vector<Device*> up;
  for (const auto& device : devices_) {
    if (device->user() == of && device->up() && !is_leaving(*device)) up.push_back(device.get());
  }
  return up.empty() ? nullptr : any(up);
}

Device* Walk::any_device_up() { return any_device(any_user()); }

bool Walk::is_leaving(const Device& device) const {
  return std::ranges::count(leaving_, &device) > 0;
}

bool Walk::is_blocked_in(const Conversation& about, const std::string& user) const {
  return about.room.empty() && model_.blocked(about.name_for(user), user);
}

bool Walk::may_write(const Conversation& about, const std::string& user) const {
  return about.has(user) && about.roles.at(user) != "readonly" && !is_blocked_in(about, user);
}

Conversation* Walk::any_conversation(const std::string& of) {
  std::vector<Conversation*> free;
  for (const auto& [name, one] : model_.of(of)) {
    if (!one->busy) free.push_back(one);
  }
  return free.empty() ? nullptr : any(free);
}

Conversation* Walk::any_room(const std::string& of) {
  std::vector<Conversation*> free;
  for (auto& [name, one] : model_.rooms()) {
    if (!one.busy && (of.empty() || one.has(of))) free.push_back(&one);
  }
  return free.empty() ? nullptr : any(free);
}

/// A message that he may see and that is there; 0 if none is found soon. Rather a new one.
Seq Walk::any_seq(const Conversation& in, const std::string& for_whom, bool own) {
  for (int attempt = 0; attempt < 20 && in.last_seq() > 0; ++attempt) {
    const Seq span = chance(80) ? std::min<Seq>(in.last_seq(), 10) : in.last_seq();
    const Seq seq = in.last_seq() - static_cast<Seq>(below(static_cast<int>(span)));
    const Said& said = in.at(seq);
    if (in.visible(for_whom, seq) && !said.deleted && said.kind != "system" &&
        (said.from == for_whom) == own) {
      return seq;
    }
  }
  return 0;
}

}  // namespace parley::walk
