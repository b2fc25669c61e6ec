// Clients that misbehave, and what happens to their Last Wills.
#include <poll.h>

#include <deque>

#include "tests/fault/connection.hpp"
#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

namespace {

/// Asks every third client, beginning with another one each time.
void some_clients(Arena& arena, const std::function<void(Client&)>& ask) {
  auto& clients = arena.clients();
  for (std::size_t i = arena.chance() % 3; i < clients.size(); i += 3) ask(*clients[i]);
}

void judge_wills(Arena& arena, WillDue due) {
  for (const auto& client : arena.clients()) client->judge_wills(due);
}

void add_readers(std::vector<Kind>& all) {
  constexpr Micros stall = 1'500'000;
  constexpr Micros forget = 300'000;
  all.push_back(simple(
      "stalled_readers", "a third of the clients stop reading", Part::clients,
      [](Arena& arena) { some_clients(arena, [](Client& c) { c.stall_for(stall); }); }, nothing));
  all.push_back(simple(
      "slow_readers", "a third of the clients read a few packets at a time", Part::clients,
      [](Arena& arena) { some_clients(arena, [](Client& c) { c.slow_for(stall); }); }, nothing));
  all.push_back(simple(
      "forgetful_readers", "devices that confirm lose what comes, and are sent it again",
      Part::clients,
      [](Arena& arena) {
        for (const auto& client : arena.clients()) client->forget_for(forget);
      },
      nothing));
  all.push_back(simple(
      "drop_clients", "a third of the clients lose their connection", Part::clients,
      [](Arena& arena) {
        some_clients(arena, [](Client& c) { c.leave(Client::Leave::abruptly); });
      },
      nothing));
}

void add_wills(std::vector<Kind>& all) {
  all.push_back(alone(simple(
      "stop_broker", "Mosquitto gets SIGTERM and is started again; no Last Will may be reported",
      Part::broker,
      [](Arena& arena) {
        judge_wills(arena, WillDue::must_not);
        arena.instance().broker().stop();
      },
      [](Arena& arena) {
        arena.instance().broker().start();
        judge_wills(arena, WillDue::unknown);
      })));
  all.push_back(alone(simple(
      "drop_wills", "clients with a Last Will lose their connection; each must be reported",
      Part::clients,
      [](Arena& arena) {
        judge_wills(arena, WillDue::must);
        for (const auto& client : arena.clients()) {
          if (client->armed_will()) client->leave(Client::Leave::abruptly);
        }
      },
      [](Arena& arena) { judge_wills(arena, WillDue::unknown); })));
}

/// Many logins at once, all of them good.
class Storm : public Fault {
 public:
  void strike(Arena& arena) override {
    const std::string token = arena.instance().token("ann");
    for (int i = 0; i < connects; ++i) {
      Connection& connection = storm_.emplace_back(arena.instance().port());
      connection.write(test::encode_connect(
          {.client_id = "storm-" + std::to_string(i), .username = "ann", .password = token}));
      connection.write(test::encode_subscribe(1, {{"im/u/ann/inbox/+", 1}}, 4));
    }
    if (!wait_until(accepted_within, [&] { return all_accepted(); })) {
      arena.complain("storm", "only " + std::to_string(accepted_) + " of " +
                                  std::to_string(connects) + " were accepted");
    }
  }
  void heal(Arena&) override { storm_.clear(); }

 private:
  static constexpr int connects = 200;
  static constexpr test::Milliseconds accepted_within{10'000};

  bool all_accepted() {
    for (Connection& connection : storm_) {
      connection.flush();
      connection.read(4'096);
      while (const auto packet = connection.next()) {
        if (packet->type == test::PacketType::suback) ++accepted_;
      }
    }
    return accepted_ == connects;
  }

  std::deque<Connection> storm_;
  int accepted_ = 0;
};

}  // namespace

void add_client_kinds(std::vector<Kind>& all) {
  add_readers(all);
  add_wills(all);
  all.push_back({.name = "connect_storm",
                 .what = "200 clients connect and subscribe at once",
                 .part = Part::clients,
                 .pairs = false,
                 .make = [] { return std::make_unique<Storm>(); }});
}

}  // namespace parley::fault
