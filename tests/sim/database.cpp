#include "tests/sim/database.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "tests/sim/pg_values.hpp"
#include "worker/loop.hpp"

namespace parley::sim {
namespace {

std::int64_t month_now() {
  namespace chrono = std::chrono;
  const auto day = chrono::floor<chrono::days>(
      chrono::sys_time<chrono::milliseconds>{chrono::milliseconds{wall_now().value}});
  const chrono::year_month_day date{day};
  return 12 * static_cast<int>(date.year()) + static_cast<unsigned>(date.month());
}

PgRows nothing() { return PgRows{PQmakeEmptyPGresult(nullptr, PGRES_COMMAND_OK)}; }

/// What a data error does to a job: it fails as a whole, before anything of it has happened.
std::optional<PgFault> poison_of(const std::vector<PgQuery>& queries) {
  for (const auto& query : queries) {
    const std::string_view name = query.statement->name;
    if (name != "store_messages" && name != "append_messages") continue;
    for (const auto& text : Args{query}.texts(name == "store_messages" ? 12 : 18)) {
      if (text.starts_with(poison_data)) return PgFault{PgFault::Kind::error, "22021", "data"};
      if (text.starts_with(poison_other)) return PgFault{PgFault::Kind::error, "XX000", "other"};
    }
  }
  return std::nullopt;
}

}  // namespace

Database*& the_database() {
  static Database* database = nullptr;
  return database;
}

// ---- connections ----

std::uint64_t Database::connect(Connection connection) {
  links_[++connections_].connection = std::move(connection);
  return connections_;
}

void Database::close(std::uint64_t connection) {
  const auto found = links_.find(connection);
  if (found == links_.end()) return;
  // The server reads on for a while: some of what was sent is still carried out.
  auto& jobs = found->second.jobs;
  const std::size_t kept = random_.below(jobs.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) orphans_.push_back(std::move(jobs[i]));
  links_.erase(found);
}

void Database::send(std::uint64_t connection, std::vector<PgQuery> queries) {
  if (words_left == 0) return;
  if (words_left > 0) --words_left;
  const auto found = links_.find(connection);
  if (found != links_.end()) found->second.jobs.push_back(std::move(queries));
}

void Database::cut(std::uint64_t connection) {
  const auto lost = links_.at(connection).connection.lost;
  close(connection);
  lost();
}

void Database::cut_all() {
  while (!links_.empty()) cut(links_.begin()->first);
}

void Database::cut_one() {
  if (links_.empty()) return;
  auto at = links_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(random_.below(links_.size())));
  cut(at->first);
}

bool Database::work() {
  if (!up) return false;
  if (!orphans_.empty() && random_.percent(50)) {
    run(orphans_.front());
    orphans_.pop_front();
    return true;
  }
  std::vector<std::uint64_t> busy;
  for (const auto& [connection, link] : links_) {
    if (!link.jobs.empty()) busy.push_back(connection);
  }
  if (busy.empty()) return !orphans_.empty();
  const auto connection = busy[random_.below(busy.size())];
  auto& link = links_.at(connection);
  const auto queries = std::move(link.jobs.front());
  link.jobs.pop_front();
  auto result = run(queries);
  if (random_.permille(lost_answer_permille)) {
    ++lost_answers;
    cut(connection);
    return true;
  }
  link.answers.push_back(std::move(result));
  return true;
}

bool Database::answer() {
  std::vector<std::uint64_t> busy;
  for (const auto& [connection, link] : links_) {
    if (!link.answers.empty()) busy.push_back(connection);
  }
  if (busy.empty()) return false;
  auto& link = links_.at(busy[random_.below(busy.size())]);
  link.connection.answer(std::move(link.answers.front()));
  link.answers.pop_front();
  return true;
}

bool Database::idle() const {
  return orphans_.empty() && std::all_of(links_.begin(), links_.end(), [](const auto& entry) {
           return entry.second.jobs.empty() && entry.second.answers.empty();
         });
}

JobResult Database::run(const std::vector<PgQuery>& queries) {
  if (auto fault = poison_of(queries)) return failed(std::move(*fault));
  if (random_.permille(serialization_permille)) {
    return failed(PgFault{PgFault::Kind::error, "40001", "serialization"});
  }
  if (repeats_in(queries)) return failed(PgFault{PgFault::Kind::error, "23505", "repeat"});
  std::vector<PgRows> results;
  for (const auto& query : queries) results.push_back(execute(query));
  return results;
}

PgRows Database::execute(const PgQuery& query) {
  using Statement = PgRows (Database::*)(const PgQuery&);
  static const std::map<std::string_view, Statement> known = {
      {"make_direct", &Database::make_direct},
      {"resolve", &Database::resolve},
      {"lock_heads", &Database::lock_heads},
      {"store_messages", &Database::store_messages},
      {"append_messages", &Database::append_messages},
      {"members_of_stale", &Database::members_of_stale},
      {"raise_user_marks", &Database::raise_user_marks},
      {"raise_device_marks", &Database::raise_device_marks},
      {"set_confirms", &Database::set_confirms},
      {"add_device", &Database::add_device},
      {"session_kind", &Database::session_kind},
      {"behind", &Database::behind},
      {"first_messages", &Database::message_range},
  };
  const std::string_view name = query.statement->name;
  const auto found = known.find(name);
  if (found != known.end()) return (this->*found->second)(query);
  if (name == "generations_page") return Rows{4}.done();  // nobody is revoked
  if (name == "user_last_seen" || name == "device_last_seen") return nothing();
  if (name == "expire_messages") return Rows{1}.done();
  if (name == "lock_new_pairs") return Rows{1}.row().int8(0).done();  // one job after the other
  if (name == "presence_audience") return Rows{2}.done();
  // Nothing of it is searched.
  if (name == "heads_behind" || name == "index_next") return Rows{2}.done();
  // Nobody is erased, and nothing is too old.
  if (name == "erasure_room") return Rows{3}.done();
  if (name == "erase_contents") return Rows{2}.row().boolean(false).null().done();
  if (name == "retention_step") return Rows{2}.row().int8(-1).null().done();
  if (name == "limit_chores" || name == "postpone_erasure") return nothing();
  if (name == "limit_indexing" || name == "forget_plans") return nothing();
  if (name == "newest_message") return Rows{1}.row().null().done();  // no clock here runs wrong
  if (name == "database_clock") {
    constexpr std::int64_t pg_epoch_ms = 946'684'800'000;
    return Rows{1}.row().int8((wall_now().value - pg_epoch_ms) * 1'000).done();
  }
  if (name == "make_partitions" || name == "listen_users" || name == "limit_statements")
    return nothing();
  if (name == "park") {
    const Args args{query};
    parked_.insert({static_cast<std::uint64_t>(args.int8(0)), static_cast<IngestNo>(args.int8(1))});
    return nothing();
  }
  throw std::logic_error{"tests/sim/database.cpp does not know the statement " + std::string{name}};
}

// ---- looking ----

std::int64_t Database::add_room(const std::string& name, std::vector<std::int64_t> members) {
  const auto id = next_conversation_++;
  rooms_[name] = id;
  std::sort(members.begin(), members.end());
  conversations_[id] = {true, name, std::move(members), {}};
  return id;
}

std::int64_t Database::claim(std::uint32_t lanes) {
  ++epoch_;
  for (auto& [lane, owner] : lanes_) owner = epoch_;
  for (std::uint32_t lane = 0; lane < lanes; ++lane) lanes_[lane] = epoch_;
  return epoch_;
}

std::string Database::conv_name(std::int64_t conversation, std::int64_t user) const {
  const auto& table = conversations_.at(conversation);
  if (!is_member(conversation, user)) return "";
  if (table.is_room) return table.name;
  const auto other = table.members.front() == user ? table.members.back() : table.members.front();
  for (const auto& [name, id] : users_) {
    if (id == other) return name;
  }
  return "";
}

const Row* Database::by_origin(std::uint64_t spool_id, IngestNo ingest_no) const {
  const auto found = origins_.find({spool_id, ingest_no});
  if (found == origins_.end()) return nullptr;
  return &conversations_.at(found->second.first).rows[found->second.second - 1];
}

const Row* Database::by_id(std::int64_t sender, const std::string& id) const {
  for (const auto& [conversation, table] : conversations_) {
    for (const auto& row : table.rows) {
      if (row.sender == sender && row.id == id) return &row;
    }
  }
  return nullptr;
}

const Row* Database::by_text(std::string_view text) const {
  const auto found = texts_.find(text);
  if (found == texts_.end()) return nullptr;
  return &conversations_.at(found->second.first).rows[found->second.second - 1];
}

std::int64_t Database::conversation_of(const Row& row) const {
  return origins_.at({row.spool_id, row.ingest_no}).first;
}

Seq Database::device_mark(std::int64_t user, const std::string& device,
                          std::int64_t conversation) const {
  const auto found = device_marks_.find({user, device, conversation});
  return found == device_marks_.end() ? 0 : found->second;
}

Seq Database::first_device_mark(std::int64_t user, const std::string& device,
                                std::int64_t conversation) const {
  const auto found = first_marks_.find({user, device, conversation});
  return found == first_marks_.end() ? 0 : found->second;
}

Seq Database::user_mark(std::int64_t user, std::int64_t conversation) const {
  const auto found = user_marks_.find({user, conversation});
  return found == user_marks_.end() ? 0 : found->second.got;
}

bool Database::confirms(std::int64_t user, const std::string& device) const {
  const auto found = devices_.find({user, device});
  return found != devices_.end() && found->second;
}

Seq Database::last_seq(std::int64_t conversation) const {
  return static_cast<Seq>(conversations_.at(conversation).rows.size());
}

bool Database::is_member(std::int64_t conversation, std::int64_t user) const {
  const auto& members = conversations_.at(conversation).members;
  return std::find(members.begin(), members.end(), user) != members.end();
}

// ---- statements: what their SQL says, row by row ----

std::int64_t Database::direct_of(std::int64_t one, std::int64_t other) const {
  const auto found = pairs_.find({std::min(one, other), std::max(one, other)});
  return found == pairs_.end() ? 0 : found->second;
}

PgRows Database::make_direct(const PgQuery& query) {
  const Args args{query};
  const auto senders = args.int8s(0);
  const auto targets = args.texts(1);
  for (std::size_t i = 0; i < senders.size(); ++i) {
    const auto target = users_.find(targets[i]);
    if (target == users_.end() || direct_of(senders[i], target->second) != 0) continue;
    const auto low = std::min(senders[i], target->second);
    const auto high = std::max(senders[i], target->second);
    const auto id = next_conversation_++;
    pairs_[{low, high}] = id;
    conversations_[id].members = low == high ? std::vector{low} : std::vector{low, high};
  }
  return nothing();
}

PgRows Database::resolve(const PgQuery& query) {
  const Args args{query};
  const auto senders = args.int8s(0);
  const auto targets = args.texts(1);
  Rows rows{4};
  for (std::size_t i = 0; i < senders.size(); ++i) {
    rows.row();
    std::int64_t conversation = 0;
    if (const auto room = rooms_.find(targets[i]); room != rooms_.end()) {
      conversation = room->second;
      rows.text("room").int8(conversation);
    } else if (const auto user = users_.find(targets[i]); user != users_.end()) {
      conversation = direct_of(senders[i], user->second);
      rows.text("direct");
      conversation == 0 ? rows.null() : rows.int8(conversation);
    } else {
      rows.text("").null();
    }
    const bool known = std::any_of(users_.begin(), users_.end(),
                                   [&](const auto& entry) { return entry.second == senders[i]; });
    rows.boolean(known).boolean(conversation != 0 && is_member(conversation, senders[i]));
  }
  return rows.done();
}

PgRows Database::lock_heads(const PgQuery& query) {
  const Args args{query};
  const auto lane = lanes_.find(args.int8(0));
  const bool mine = lane != lanes_.end() && lane->second == args.int8(1);
  return Rows{2}.row().boolean(mine).int8(static_cast<std::int64_t>(args.int8s(2).size())).done();
}

PgRows Database::store_messages(const PgQuery& query) {
  const Args args{query};
  Rows rows{4};
  const auto lane = lanes_.find(args.int8(0));
  if (lane == lanes_.end() || lane->second != args.int8(1)) return rows.done();
  const auto conversations = args.int8s(3);
  const auto senders = args.int8s(4);
  const auto received = args.int8s(5);
  const auto spools = args.int8s(6);
  const auto ingest_nos = args.int8s(7);
  const auto keys = args.texts(8);
  const auto hashes = args.texts(9);
  const auto ids = args.texts(10);
  const auto kinds = args.texts(11);
  const auto texts = args.texts(12);
  // One snapshot for all: two of one key in a batch do not see each other (the table then refuses
  // the second one).
  const auto before = keys_;
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    const auto id = conversations[i];
    auto& table = conversations_.at(id);
    const auto spool_id = static_cast<std::uint64_t>(spools[i]);
    const auto ingest_no = static_cast<IngestNo>(ingest_nos[i]);
    const auto key = std::make_tuple(id, senders[i], keys[i]);
    const auto old = before.find(key);
    rows.row();
    if (old != before.end()) {
      const Row& row = table.rows[old->second - 1];
      const bool same_origin = row.spool_id == spool_id && row.ingest_no == ingest_no;
      const char* const same = row.hash == hashes[i] ? "repeated" : "id_conflict";
      rows.text(same_origin ? "replayed" : same)
          .int8(row.seq)
          .int8(row.seq)
          .int8(row.received_at_pg);
      continue;
    }
    if (!is_member(id, senders[i])) {
      rows.text("not_member").null().null().int8(received[i]);
      continue;
    }
    if (keys_.contains(key)) throw std::logic_error{"a batch holds one request twice"};
    const auto seq = static_cast<Seq>(table.rows.size() + 1);
    add_row(id, {seq, senders[i], received[i], spool_id, ingest_no, keys[i], hashes[i], ids[i],
                 kinds[i], texts[i]});
    rows.text("stored").int8(seq).int8(seq).int8(received[i]);
  }
  return rows.done();
}

void Database::add_row(std::int64_t conversation, Row row) {
  row.month = month_now();
  if (keys_.contains(std::make_tuple(conversation, row.sender, row.key))) {
    throw std::logic_error{"a request is stored twice"};
  }
  keys_[std::make_tuple(conversation, row.sender, row.key)] = row.seq;
  origins_[{row.spool_id, row.ingest_no}] = {conversation, row.seq};
  texts_[row.text] = {conversation, row.seq};
  conversations_.at(conversation).rows.push_back(std::move(row));
}

/// Whether the index of the month would refuse what is to be appended, and so the whole statement.
bool Database::repeats_in(const std::vector<PgQuery>& queries) const {
  for (const auto& query : queries) {
    if (std::string_view{query.statement->name} != "append_messages") continue;
    const Args args{query};
    const auto conversations = args.int8s(9);
    const auto senders = args.int8s(10);
    const auto keys = args.texts(14);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto found = keys_.find(std::make_tuple(conversations[i], senders[i], keys[i]));
      if (found == keys_.end()) continue;
      const auto& rows = conversations_.at(conversations[i]).rows;
      if (rows[found->second - 1].month == month_now()) return true;
    }
  }
  return false;
}

PgRows Database::append_messages(const PgQuery& query) {
  const Args args{query};
  Rows rows{1};
  const auto lane = lanes_.find(args.int8(0));
  if (lane == lanes_.end() || lane->second != args.int8(1)) return rows.done();
  const auto heads = args.int8s(2);
  const auto last_seqs = args.int8s(3);
  const auto versions = args.int8s(5);
  std::set<std::int64_t> moved;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    if (last_seqs[i] != last_seq(heads[i]) || versions[i] != 1) continue;
    if (random_.permille(moved_permille)) continue;
    moved.insert(heads[i]);
    rows.row().int8(heads[i]);
  }
  const auto seqs = args.int8s(7);
  const auto conversations = args.int8s(9);
  const auto senders = args.int8s(10);
  const auto received = args.int8s(11);
  const auto spools = args.int8s(12);
  const auto ingest_nos = args.int8s(13);
  const auto keys = args.texts(14);
  const auto hashes = args.texts(15);
  const auto ids = args.texts(16);
  const auto kinds = args.texts(17);
  const auto texts = args.texts(18);
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    if (!moved.contains(conversations[i])) continue;
    if (seqs[i] != last_seq(conversations[i]) + 1) throw std::logic_error{"a seq leaves a gap"};
    add_row(
        conversations[i],
        {static_cast<Seq>(seqs[i]), senders[i], received[i], static_cast<std::uint64_t>(spools[i]),
         static_cast<IngestNo>(ingest_nos[i]), keys[i], hashes[i], ids[i], kinds[i], texts[i]});
  }
  return rows.done();
}

PgRows Database::members_of_stale(const PgQuery& query) {
  const Args args{query};
  const auto conversations = args.int8s(0);
  const auto versions = args.int8s(1);
  Rows rows{7};
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    const auto& table = conversations_.at(conversations[i]);
    if (versions[i] == 1) continue;  // members do not change here
    for (const auto member : table.members) {
      const auto user = std::find_if(users_.begin(), users_.end(),
                                     [&](const auto& entry) { return entry.second == member; });
      rows.row()
          .int8(conversations[i])
          .int8(1)
          .boolean(table.is_room)
          .text(table.name)
          .int8(member)
          .text(user->first)
          .boolean(true);
    }
  }
  return rows.done();
}

PgRows Database::raise_user_marks(const PgQuery& query) {
  const Args args{query};
  const auto users = args.int8s(0);
  const auto devices = args.texts(1);
  const auto conversations = args.int8s(2);
  const auto got = args.int8s(3);
  const auto read = args.int8s(4);
  const auto published = args.texts(5);
  const auto said = args.int8s(6);
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (!is_member(conversations[i], users[i])) continue;
    const bool has_device = std::any_of(devices_.begin(), devices_.end(), [&](const auto& entry) {
      return entry.first.first == users[i];
    });
    if (published[i] != std::string(1, '\1') && devices[i].empty() && has_device) continue;
    const std::int64_t last = last_seq(conversations[i]);
    auto& marks = user_marks_[{users[i], conversations[i]}];
    marks.got = std::max(marks.got, static_cast<Seq>(std::min(std::max(got[i], read[i]), last)));
    marks.read = std::max(marks.read, static_cast<Seq>(std::min(std::max(read[i], said[i]), last)));
  }
  return Rows{6}.done();  // nobody has subscribed events
}

PgRows Database::raise_device_marks(const PgQuery& query) {
  const Args args{query};
  const auto users = args.int8s(0);
  const auto devices = args.texts(1);
  const auto conversations = args.int8s(2);
  const auto got = args.int8s(3);
  const auto read = args.int8s(4);
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (devices[i].empty() || !is_member(conversations[i], users[i])) continue;
    const std::int64_t last = last_seq(conversations[i]);
    auto& mark = device_marks_[{users[i], devices[i], conversations[i]}];
    mark = std::max(mark, static_cast<Seq>(std::min(std::max(got[i], read[i]), last)));
  }
  return nothing();
}

PgRows Database::set_confirms(const PgQuery& query) {
  const Args args{query};
  const auto users = args.int8s(0);
  const auto devices = args.texts(1);
  for (std::size_t i = 0; i < users.size(); ++i) {
    const auto found = devices_.find({users[i], devices[i]});
    if (found != devices_.end()) found->second = true;
  }
  return nothing();
}

PgRows Database::add_device(const PgQuery& query) {
  const Args args{query};
  const auto user = args.int8(0);
  const auto device = args.text(1);
  if (!devices_.try_emplace({user, device}, false).second) return nothing();
  for (const auto& [id, table] : conversations_) {
    if (!is_member(id, user)) continue;
    device_marks_.try_emplace({user, device, id}, user_mark(user, id));
    first_marks_.try_emplace({user, device, id}, user_mark(user, id));
  }
  return nothing();
}

PgRows Database::session_kind(const PgQuery& query) {
  const Args args{query};
  const auto user = args.int8(0);
  const auto device = args.text(1);
  const bool has_device = std::any_of(devices_.begin(), devices_.end(),
                                      [&](const auto& entry) { return entry.first.first == user; });
  const auto known = devices_.find({user, device});
  return Rows{2}
      .row()
      .boolean(device.empty() && has_device)
      .boolean(known != devices_.end() && known->second)
      .done();
}

PgRows Database::behind(const PgQuery& query) {
  const Args args{query};
  const auto user = args.int8(0);
  const auto device = args.text(1);
  Rows rows{8};
  for (const auto& [id, table] : conversations_) {
    if (!is_member(id, user)) continue;
    const Seq got = device.empty() ? user_mark(user, id) : device_mark(user, device, id);
    if (last_seq(id) <= got) continue;
    rows.row()
        .int8(id)
        .text(conv_name(id, user))
        .boolean(table.is_room)
        .int8(got)
        .int8(last_seq(id))
        .int8(last_seq(id))
        .int8(last_seq(id))
        .boolean(false);
  }
  return rows.done();
}

PgRows Database::message_range(const PgQuery& query) {
  const Args args{query};
  const auto& table = conversations_.at(args.int8(0));
  Rows rows{12};
  std::int64_t left = args.int8(4);
  for (const auto& row : table.rows) {
    if (row.seq <= args.int8(2) || row.seq >= args.int8(3) || left-- <= 0) continue;
    std::string sender;
    for (const auto& [name, id] : users_) {
      if (id == row.sender) sender = name;
    }
    rows.row().int8(row.seq).int8(row.seq).int8(row.sender).text(sender).int8(row.received_at_pg);
    rows.text(row.id).text(row.kind).text(row.text).null().null().null().boolean(false);
  }
  return rows.done();
}

}  // namespace parley::sim
