#include "tests/fault/arena.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/fault/faults_parts.hpp"

namespace parley::fault {

namespace {

constexpr test::Milliseconds settle_within{20'000};
constexpr test::Milliseconds complete_at_once{700};
constexpr int redeliver_after_ms = 1'000;
/// Many times that: whoever confirms gets what he lacks within it, and need not come back.
constexpr test::Milliseconds complete_within{15 * redeliver_after_ms};
constexpr std::size_t database_disk_mib = 400;
constexpr std::size_t spool_disk_mib = 16;
constexpr std::chrono::hours begins_before_month_end{2};
constexpr const char* lamp_name = "lamp";
constexpr const char* lamp_password = "pw";

/// How conversations are called here, without those of the harness itself.
constexpr const char* named_sql =
    "WITH named AS (SELECT conversation_id, '#' || name AS name FROM conversations"
    " WHERE kind = 'room' UNION ALL"
    " SELECT d.conversation_id, least(a.name, b.name) || '|' || greatest(a.name, b.name)"
    " FROM direct_pairs d JOIN users a ON a.user_id = d.user_lo JOIN users b ON b.user_id = "
    "d.user_hi"
    " WHERE 'watcher' NOT IN (a.name, b.name)) ";

/// The first moment of the month after this one, UTC.
std::chrono::system_clock::time_point next_month() {
  namespace chrono = std::chrono;
  const chrono::year_month_day today{chrono::floor<chrono::days>(chrono::system_clock::now())};
  return chrono::sys_days{(today.year() / today.month() + chrono::months{1}) / 1};
}

bool lasting(const Reader& reader) {
  return reader.kind == ReaderKind::device || reader.kind == ReaderKind::sole;
}

}  // namespace

Arena::Arena(const ArenaOptions& options)
    : membership_{populate(options.sends_per_s).membership()},
      checker_{membership_},
      month_end_{next_month()},
      database_disk_{SmallDisk::Sort::disk, database_disk_mib},
      spool_disk_{SmallDisk::Sort::memory, spool_disk_mib} {
  const Population population = populate(options.sends_per_s);
  const auto ahead = month_end_ - begins_before_month_end - std::chrono::system_clock::now();
  clock_.set(ahead);
  database_clock_.set(ahead);
  postgres_ = std::make_unique<test::Postgres>(postgres_options());
  instance_ = std::make_unique<test::Instance>(instance_options());
  for (const std::string& user : population.users) instance_->user(user);
  for (const auto& [room, members] : population.rooms) instance_->room(room, members);
  connect_clients(population, options.seed);
  lamp_ = std::make_unique<ForeignDevice>(instance_->port(), lamp_name, lamp_password);
  if (!wait_until(settle_within, [&] {
        return std::all_of(clients_.begin(), clients_.end(),
                           [](const auto& client) { return client->settled(); });
      })) {
    throw std::runtime_error("the clients do not get their connections");
  }
}

Arena::~Arena() { clients_.clear(); }

test::PostgresOptions Arena::postgres_options() const {
  test::PostgresOptions options;
  options.settings = {"max_wal_size=64MB", "min_wal_size=32MB"};
  options.environment = database_clock_.environment();
  if (database_disk_.missing().empty()) options.folder = database_disk_.folder();
  return options;
}

test::InstanceOptions Arena::instance_options() {
  test::InstanceOptions options;
  options.postgres = postgres_.get();
  options.proxied = true;
  options.config = "[delivery]\nredeliver_after_ms = " + std::to_string(redeliver_after_ms) +
                   "\nredeliver_max = 100\n";
  options.worker_environment = clock_.environment();
  options.broker.environment = broker_environment();
  options.broker.plugin_options = {"spool_mib 4"};
  options.broker.acl_lines = {std::string("user ") + lamp_name, "topic readwrite home/#"};
  options.broker.passwords = {{lamp_name, lamp_password}};
  if (spool_disk_.missing().empty()) options.broker.state_dir = spool_disk_.folder();
  return options;
}

std::string Arena::spool_folder() const {
  return spool_disk_.missing().empty() ? spool_disk_.folder() : instance_->folder() + "/spool";
}

std::vector<Violation> Arena::check(const Round& round) {
  std::vector<Violation> violations = checker_.check(round);
  violations.insert(violations.end(), complaints_.begin(), complaints_.end());
  complaints_.clear();
  return violations;
}

void Arena::connect_clients(const Population& population, std::uint64_t seed) {
  for (std::size_t i = 0; i < population.clients.size(); ++i) {
    ClientSpec spec = population.clients[i];
    test::TokenOptions token;
    if (population.send_only[i]) token.scope = scope::send;
    spec.token = instance_->token(spec.reader.user, token);
    clients_.push_back(
        std::make_unique<Client>(spec, membership_, instance_->port(), seed * 1000 + i));
  }
}

void Arena::enter(Phase phase) {
  for (const auto& client : clients_) client->enter(phase);
}

Round Arena::finish_round() {
  Round round;
  round.void_until = void_until_;
  void_until_ = 0;
  wait_settled(round);
  read_rows(round);
  wait_complete(round);
  read_state(round);  // first: what clients say after this is not in it yet
  for (const auto& client : clients_) client->hand_over(round);
  lamp_->hand_over(round);
  enter(Phase::idle);
  return round;
}

void Arena::wait_settled(Round& round) {
  enter(Phase::settle);
  wait_until(settle_within, [&] {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& client) { return client->settled(); });
  });
  // Whatever the broker took without anybody waiting for the answer is stored after this.
  try {
    instance_->settle();
  } catch (const std::exception& error) {
    round.stuck.emplace_back(error.what());
  }
}

/// The newest message on one of a client's feeds that came in this round and that it has to get.
std::optional<Target> Arena::target(Client& client, const FeedFormat& feed,
                                    const std::string& conversation,
                                    const std::map<std::string, Micros>& first_sent) const {
  const Reader& reader = client.reader();
  for (Seq seq = rows_.last(conversation); seq > checker_.archive().last(conversation); --seq) {
    const Row& row = *rows_.at(conversation, seq);
    if ((row.sender == reader.user) != (feed.first == Feed::sent)) continue;
    const auto sent = first_sent.find(row.text);
    const bool due =
        lasting(reader) || (sent != first_sent.end() && sent->second > client.live_since());
    if (due) return Target{feed, conversation, seq, row.text};
  }
  return std::nullopt;
}

void Arena::give_targets() {
  std::map<std::string, Micros> first_sent;
  for (const auto& client : clients_) client->add_first_sent(first_sent);
  for (const auto& client : clients_) {
    std::vector<Target> targets;
    for (const std::string& conversation : rows_.conversations()) {
      if (!membership_.is_member(client->reader().user, conversation)) continue;
      for (const FeedFormat& feed : client->reader().feeds) {
        if (auto due = target(*client, feed, conversation, first_sent)) {
          targets.push_back(std::move(*due));
        }
      }
    }
    client->expect(std::move(targets));
  }
}

bool Arena::wait_all(test::Milliseconds time, const std::function<bool(const Reader&)>& which) {
  return wait_until(time, [&] {
    return std::all_of(clients_.begin(), clients_.end(), [&](const auto& client) {
      return !which(client->reader()) || client->lacks().empty();
    });
  });
}

void Arena::wait_complete(Round& round) {
  reconnected_ = 0;
  give_targets();
  if (!wait_all(complete_at_once, lasting)) {
    // Who never confirms is taken to have got it, and gets it when he comes back.
    for (const auto& client : clients_) {
      const Reader& reader = client->reader();
      if (lasting(reader) && !reader.confirms && !client->lacks().empty()) call_back(*client);
    }
  }
  // Observers, too; what they lack in the end is judged by the checker.
  if (!wait_all(complete_within, [](const Reader&) { return true; })) name_the_late(round);
}

void Arena::call_back(Client& client) {
  client.leave(Client::Leave::politely);
  ++reconnected_;
}

void Arena::name_the_late(Round& round) {
  std::vector<Client*> late;
  for (const auto& client : clients_) {
    const std::string lacks = client->lacks();
    if (!lasting(client->reader()) || lacks.empty()) continue;
    if (!client->reader().confirms) {
      round.stuck.push_back(lacks);
      continue;
    }
    complain("redelivery", lacks + ", confirms, and was not sent it again");
    call_back(*client);
    late.push_back(client.get());
  }
  wait_until(late.empty() ? test::Milliseconds{0} : complete_within, [&] {
    return std::all_of(late.begin(), late.end(), [](Client* one) { return one->lacks().empty(); });
  });
  for (Client* client : late) {
    if (const std::string lacks = client->lacks(); !lacks.empty()) round.stuck.push_back(lacks);
  }
}

void Arena::read_rows(Round& round) {
  nlohmann::json bases = nlohmann::json::object();
  for (const auto& [conversation, seq] : rows_read_) bases[conversation] = std::to_string(seq);
  const auto rows = instance_->database().query(
      std::string(named_sql) +
          "SELECT n.name, m.seq, m.rev, u.name, m.request_id, m.body FROM messages m"
          " JOIN named n USING (conversation_id) JOIN users u ON u.user_id = m.sender_id"
          " LEFT JOIN jsonb_each_text($1::jsonb) b ON b.key = n.name"
          " WHERE m.seq > coalesce(b.value::bigint, 0) ORDER BY n.name COLLATE \"C\", m.seq",
      {bases.dump()});
  for (const test::Row& cells : rows) {
    Row row{.conversation = cells[0],
            .seq = std::stoll(cells[1]),
            .rev = std::stoll(cells[2]),
            .sender = cells[3],
            .request_id = cells[4],
            .text = cells[5]};
    rows_.add(row);
    Seq& read = rows_read_[row.conversation];
    read = std::max(read, row.seq);
    round.rows.push_back(std::move(row));
  }
}

void Arena::read_state(Round& round) {
  test::Database& database = instance_->database();
  for (const test::Row& cells : database.query(
           std::string(named_sql) +
           "SELECT n.name, h.last_seq, h.last_rev, count(m.seq), coalesce(max(m.seq), 0),"
           " coalesce(max(m.rev), 0) FROM conversation_heads h JOIN named n USING"
           " (conversation_id) LEFT JOIN messages m USING (conversation_id)"
           " GROUP BY n.name, h.last_seq, h.last_rev")) {
    round.heads.push_back({cells[0], std::stoll(cells[1]), std::stoll(cells[2]),
                           std::stoll(cells[3]), std::stoll(cells[4]), std::stoll(cells[5])});
  }
  for (const test::Row& cells : database.query(
           std::string(named_sql) +
           "SELECT n.name, u.name, m.got_seq, m.read_seq FROM members m JOIN named n USING"
           " (conversation_id) JOIN users u USING (user_id)")) {
    round.cursors.push_back({cells[0], cells[1], std::stoll(cells[2]), std::stoll(cells[3])});
  }
  for (const test::Row& cells :
       database.query(std::string(named_sql) +
                      "SELECT n.name, u.name || '.' || d.device, d.got_seq FROM device_marks d"
                      " JOIN named n USING (conversation_id) JOIN users u USING (user_id)")) {
    round.device_marks.push_back({cells[0], cells[1], std::stoll(cells[2])});
  }
  const auto count = [&](const std::string& what, const std::string& sql) {
    round.orphans.emplace_back(what, database.number(sql));
  };
  count("messages without a conversation",
        "SELECT count(*) FROM messages m WHERE NOT EXISTS (SELECT FROM conversations c"
        " WHERE c.conversation_id = m.conversation_id)");
  count("conversations without a head",
        "SELECT count(*) FROM conversations c WHERE NOT EXISTS (SELECT FROM conversation_heads h"
        " WHERE h.conversation_id = c.conversation_id)");
  count("messages of nobody",
        "SELECT count(*) FROM messages m WHERE NOT EXISTS (SELECT FROM users u"
        " WHERE u.user_id = m.sender_id)");
  count("parked records", "SELECT count(*) FROM parked");
  count("marks of devices beyond the end",
        "SELECT count(*) FROM device_marks d JOIN conversation_heads h USING (conversation_id)"
        " WHERE d.got_seq > h.last_seq");
}

}  // namespace parley::fault
