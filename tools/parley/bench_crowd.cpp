// Crowds: many who log in and stay, and many who come back at once.
#include <algorithm>

#include "tools/load/storm.hpp"
#include "tools/parley/bench.hpp"

namespace parley::cli {
namespace {

constexpr std::size_t at_once = 64;
constexpr double us_per_s = 1e6;

/// Clients who only log in and listen.
class Crowd {
 public:
  Crowd(load::Poller& poller, std::size_t size) : poller_{poller} {
    for (std::size_t i = 0; i < size; ++i) {
      owned_.push_back(std::make_unique<load::Client>(poller));
      clients_.push_back(owned_.back().get());
    }
  }
  double log_in(const load::Endpoint& where, std::size_t first_number,
                const std::function<load::Credentials(std::size_t)>& credentials) {
    return load::log_in_all(poller_, clients_, {where, at_once, first_number}, credentials);
  }
  void subscribe(const std::function<std::vector<std::string>(std::size_t)>& filters) {
    load::subscribe_all(poller_, clients_, at_once, filters);
  }
  void leave() { load::leave_all(poller_, clients_); }

 private:
  load::Poller& poller_;
  std::vector<std::unique_ptr<load::Client>> owned_;
  std::vector<load::Client*> clients_;
};

struct Sort {
  std::string name;  // of its figures
  load::Endpoint where;
  pid_t broker = 0;
  std::function<load::Credentials(std::size_t)> login;
  std::function<std::string(std::size_t)> filter;
};

/// Bytes of the broker's memory for each of them, who stay.
std::optional<double> settle(const Bench& bench, Crowd& crowd, const Sort& sort,
                             std::size_t first_number) {
  const auto before = load::resident_bytes(sort.broker);
  crowd.log_in(sort.where, first_number, sort.login);
  crowd.subscribe([&](std::size_t i) { return std::vector<std::string>{sort.filter(i)}; });
  const auto after = load::resident_bytes(sort.broker);
  if (!before || !after) return std::nullopt;
  return (static_cast<double>(*after) - static_cast<double>(*before)) / bench.options().connections;
}

/// First those who are not ours. At the same broker they stay meanwhile: it would use their memory
/// again, and nothing could be seen.
void measure_memory(const Bench& bench, load::Poller& poller, const std::vector<Sort>& sorts,
                    Figures& figures) {
  const std::size_t count = bench.options().connections;
  const bool one_broker = bench.options().bare_port == 0;
  load::allow_files((one_broker ? count * sorts.size() : count) + 256);
  std::vector<std::unique_ptr<Crowd>> crowds;
  std::vector<double> bytes;
  for (const Sort& sort : sorts) {
    bench.say(std::to_string(count) + " connections of " + sort.name + "s");
    crowds.push_back(std::make_unique<Crowd>(poller, count));
    const auto each = settle(bench, *crowds.back(), sort, count * bytes.size());
    bytes.push_back(each.value_or(0));
    if (!one_broker) crowds.back()->leave();
    // Later on the broker uses again what it has freed, and nothing can be seen.
    if (each && bench.first_round()) {
      figures.add(sort.name + "_broker_rss_bytes_per_connection", *each);
    }
  }
  if (bytes.size() == 2 && bytes[0] > 0 && bench.first_round()) {
    figures.add("rss_per_connection_user_to_other", bytes[1] / bytes[0]);
  }
  if (!one_broker) return;
  for (const auto& crowd : crowds) crowd->leave();
}

void measure_logins(const Bench& bench, load::Poller& poller, const std::vector<Sort>& sorts,
                    Figures& figures) {
  std::vector<double> rates;
  for (const Sort& sort : sorts) {
    bench.say("logins of " + sort.name + "s");
    const double count = bench.options().logins;
    load::allow_files(bench.options().logins + 256);
    // Made before the clock runs.
    std::vector<load::Credentials> credentials;
    for (unsigned i = 0; i < bench.options().logins; ++i) credentials.push_back(sort.login(i));
    Crowd warm_up{poller, credentials.size() / 10 + 1};
    warm_up.log_in(sort.where, 0, [&](std::size_t i) { return credentials[i]; });
    warm_up.leave();
    Crowd crowd{poller, credentials.size()};
    const load::Server broker{.broker = sort.broker};
    const auto before = load::cpu_times(broker);
    const double seconds =
        crowd.log_in(sort.where, 0, [&](std::size_t i) { return credentials[i]; });
    const auto used = load::cpu_times(broker) - before;
    rates.push_back(count / seconds);
    figures.add(sort.name + "_logins_per_s", rates.back());
    if (used.broker) {
      figures.add(sort.name + "_broker_cpu_us_per_login", *used.broker * us_per_s / count);
    }
    crowd.leave();
  }
  if (rates.size() == 2) figures.add("logins_user_to_other", rates[1] / rates[0]);
}

bool others_may_log_in(load::Poller& poller, const Sort& sort) {
  Crowd one{poller, 1};
  try {
    one.log_in(sort.where, 0, sort.login);
    one.subscribe([&](std::size_t i) { return std::vector<std::string>{sort.filter(i)}; });
  } catch (const load::Error&) {
    return false;
  }
  one.leave();
  return true;
}

/// Who writes to whom: each user has a few conversations, each with another sender.
load::StormPlan storm_plan(Bench& bench, const std::vector<User>& users,
                           const std::vector<User>& senders, std::size_t conversations) {
  load::StormPlan plan;
  plan.where = bench.where();
  plan.bytes = bench.options().bytes;
  plan.run = bench.next_run();
  for (const User& sender : senders) {
    plan.senders.push_back({bench.login(sender), bench.topic(sender, "ack/")});
  }
  for (std::size_t i = 0; i < users.size(); ++i) {
    const User& user = users[i];
    plan.users.push_back({bench.login(user, "bench"), {bench.topic(user, "inbox/+")}});
    for (std::size_t k = 0; k < conversations; ++k) {
      const std::size_t sender = (i + k) % senders.size();
      plan.conversations.push_back({sender, i, bench.topic(senders[sender], "send/" + user.name),
                                    bench.topic(user, "got/" + senders[sender].name)});
    }
  }
  return plan;
}

/// The greatest number up to 4 that divides `unread`.
std::size_t conversations_of(unsigned unread) {
  std::size_t count = 4;
  while (unread % count != 0) --count;
  return count;
}

}  // namespace

Outcome<Figures> bench_connect(Bench& bench) {
  const auto users =
      bench.users("m", std::max(bench.options().connections, bench.options().logins));
  if (!users) return failed(users.error());
  // What the broker keeps of a client grows with what the client says of itself, and above all with
  // the levels of its filter that nobody else has. So without the plugin it is told the very same.
  const bool same_clients = bench.options().bare_port != 0 && bench.options().relay_user.empty();
  const auto other_login = [&](std::size_t i) {
    const auto as_user = bench.login((*users)[i]);
    return same_clients ? as_user : bench.foreign_login("other-" + (*users)[i].name);
  };
  const auto other_filter = [&](std::size_t i) {
    return same_clients ? bench.topic((*users)[i], "inbox/+")
                        : "bench/" + (*users)[i].name + "/inbox/+";
  };
  const Sort other{"other", bench.bare_where(), bench.bare_broker(), other_login, other_filter};
  const Sort user{"user", bench.where(), bench.server().broker,
                  [&](std::size_t i) { return bench.login((*users)[i]); },
                  [&](std::size_t i) { return bench.topic((*users)[i], "inbox/+"); }};
  load::Poller poller;
  std::vector<Sort> sorts{user};
  if (others_may_log_in(poller, other)) sorts.insert(sorts.begin(), other);
  Figures figures;
  measure_memory(bench, poller, sorts, figures);
  measure_logins(bench, poller, sorts, figures);
  return figures;
}

Outcome<Figures> bench_sync(Bench& bench) {
  constexpr std::size_t publishes_max = 10'000;  // of a sender: within the usual burst
  const BenchOptions& options = bench.options();
  const std::size_t total = std::size_t{options.users} * options.unread;
  const std::size_t conversations = conversations_of(options.unread);
  const auto users = bench.users("u", options.users);
  if (!users) return failed(users.error());
  const auto senders = bench.users("s", static_cast<unsigned>(total / publishes_max + 4));
  if (!senders) return failed(senders.error());
  load::Storm storm{storm_plan(bench, *users, *senders, conversations)};
  bench.say("writing to those who are away");
  storm.fill(static_cast<unsigned>(options.unread / conversations), bench.progress());
  Figures figures;
  // The index and the like come to rest first.
  CpuMeter{bench}.finish(figures, "message_written", static_cast<double>(total));
  figures = {};
  const CpuMeter cpu{bench};
  const load::CameBack back = storm.come_back(options.within, bench.progress());
  figures.add("users", options.users);
  figures.add("seconds_until_all_up_to_date", back.seconds);
  figures.add("deliveries_per_s", static_cast<double>(total) / back.seconds);
  add_latencies(figures, "login", back.login_ns);
  add_latencies(figures, "up_to_date", back.up_to_date_ns);
  cpu.finish(figures, "user", options.users);
  if (const auto bytes = load::resident_bytes(bench.server().broker)) {
    figures.add("broker_rss_mib", static_cast<double>(*bytes) / (1024 * 1024));
  }
  figures.acks = storm.ack_counters();
  figures.deliveries = storm.delivery_counters();
  figures.complaint = storm.first_complaint();
  return figures;
}

}  // namespace parley::cli
