#include "worker/lanes.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>
#include <variant>

#include "core/fault_point.hpp"
#include "core/request.hpp"
#include "worker/heads.hpp"
#include "worker/log.hpp"
#include "worker/loop.hpp"

namespace parley {
namespace {

constexpr std::size_t batch_max = 256;
constexpr std::size_t batch_bytes_max = 4 * 1024 * 1024;
constexpr int retry_delay_ms_max = 1'000;
constexpr std::int64_t park_after_ms = 60'000;
constexpr int conflicts_max = 3;
constexpr std::int64_t day_ms = 86'400'000;
constexpr std::int64_t probe_back_ms = 8 * day_ms;  // a week, and a day for clocks that disagree

/// What an error of the database means for a batch.
enum class Verdict {
  again,   // the world failed: the same batch again, later
  divide,  // one of its messages may be guilty: halves, then each alone
};

Verdict judge(const PgFault& fault) {
  if (fault.kind == PgFault::Kind::in_doubt) return Verdict::again;
  // Serialization, resources, operator's doing, system errors, lock not available.
  for (const char* const family : {"08", "40", "53", "55", "57", "58"}) {
    if (fault.sqlstate.starts_with(family)) return Verdict::again;
  }
  // 23505: lost a race against ourselves, the repeat probe will see it. 23514: no partition for
  // now.
  if (fault.sqlstate == "23505" || fault.sqlstate == "23514") return Verdict::again;
  return Verdict::divide;
}

/// When it began (UTC).
UnixMillis month_of(UnixMillis time) {
  namespace chrono = std::chrono;
  const auto day = chrono::floor<chrono::days>(
      chrono::sys_time<chrono::milliseconds>{chrono::milliseconds{time.value}});
  const chrono::year_month_day date{day};
  const chrono::sys_days first{date.year() / date.month() / chrono::day{1}};
  return {chrono::duration_cast<chrono::milliseconds>(first.time_since_epoch()).count()};
}

UnixMillis oldest_of(const std::vector<PendingSend>& items) {
  auto oldest = wall_now();
  for (const auto& item : items) oldest = std::min(oldest, item.record.received_at);
  return oldest;
}

RequestKey request_key_of(const PendingSend& pending) {
  return pending.send.id.empty()
             ? request_key_of_origin(pending.origin.spool_id, pending.origin.ingest_no)
             : request_key_of_id(pending.send.id);
}

/// What the database is told; good as long as these items.
std::vector<sql::NewMessage> messages_of(const std::vector<PendingSend>& items) {
  std::vector<sql::NewMessage> messages;
  messages.reserve(items.size());
  for (const auto& pending : items) {
    const auto& send = pending.send;
    auto& message = messages.emplace_back();
    message.conversation = pending.conversation;
    message.sender = pending.record.user_id;
    message.received_at = pending.record.received_at;
    message.spool_id = pending.origin.spool_id;
    message.ingest_no = pending.origin.ingest_no;
    message.request_key = request_key_of(pending);
    message.request_hash = request_hash(send.content, send.ttl_s);
    message.request_id = send.id;
    message.kind = send.content.kind;
    message.text = send.content.text;
    message.extra = encode_content_rest(send.content);
    if (send.ttl_s != 0) {
      message.expires_at = UnixMillis{message.received_at.value + std::int64_t{send.ttl_s} * 1000};
    }
  }
  return messages;
}

}  // namespace

UnixMillis repeat_probe_from(UnixMillis now, UnixMillis oldest) {
  return month_of({std::min(now.value - probe_back_ms, oldest.value - day_ms)});
}

bool repeats_are_refused(UnixMillis now, UnixMillis oldest) {
  // A day more, for a database whose clock is ahead of ours.
  return repeat_probe_from(now, oldest) == month_of({now.value + day_ms});
}

class Lanes::Lane {
 public:
  Lane(asio::io_context& loop, const std::string& uri, std::uint32_t lane, std::uint64_t epoch,
       MembersCache& members, const Handlers& handlers)
      : lane_{lane},
        epoch_{epoch},
        members_{members},
        handlers_{handlers},
        timer_{loop},
        database_{loop, "lane " + std::to_string(lane), uri},
        random_{static_cast<std::minstd_rand::result_type>(epoch * 31 + lane + 1)} {
    database_.on_ready([this] {
      handlers_.connected();
      pump();
    });
    database_.on_lost([this] { handlers_.lost(); });
  }

  void start() { database_.start(); }
  void push(std::variant<PendingSend, PendingChange> pending) {
    waiting_.push_back(std::move(pending));
  }
  [[nodiscard]] std::size_t waiting() const {
    return waiting_.size() + (busy_ ? batch_.items.size() + (batch_.change ? 1 : 0) : 0);
  }
  void pump();
  void after_in_flight(const std::function<void()>& fn) { after_.push_back(fn); }
  /// Whether there is a batch that may be committed and not settled.
  [[nodiscard]] bool in_flight() const { return busy_ && !rolled_back_; }
  [[nodiscard]] bool no_partition() const { return no_partition_; }

 private:
  /// Messages, or one change. Repeated unchanged until the
  /// database has answered.
  struct Batch {
    std::vector<PendingSend> items;
    std::optional<PendingChange> change;
    bool carried_out = false;                                       // … and not only looked for
    std::unordered_map<ConversationId, MembersCache::Entry> known;  // what the database was told
    std::optional<sql::Append> append;                              // where they were sent to
    bool ask = false;                  // first where they go: something is not as the lane knew it
    std::int64_t first_failed_ms = 0;  // 0: has not failed
    int conflicts = 0;
    bool in_doubt = false;  // an earlier try may have been committed
  };
  Batch next_batch();
  void send();
  [[nodiscard]] std::optional<sql::Append> plan_append(
      const std::vector<sql::NewMessage>& messages) const;
  void answered(Result<std::vector<PgRows>, PgFault> result);
  void appended(const std::vector<ConversationId>& conversations);
  void ask_first();
  void add_change(std::vector<PgQuery>& queries);
  void settle_change(const std::vector<PgRows>& results);
  void settle(const std::vector<sql::StoreOutcome>& outcomes, const PgRows& members);
  void failed(const PgFault& fault);
  void divide();
  void give_up(const PgFault& fault);
  void retry();
  void finished();
  void tell_waiting();

  const std::uint32_t lane_;
  const std::uint64_t epoch_;
  MembersCache& members_;
  const Handlers& handlers_;
  asio::steady_timer timer_;
  PgLink database_;
  std::minstd_rand random_;  // jitter only
  // Bounded by the credit that the plugin has.
  std::deque<std::variant<PendingSend, PendingChange>> waiting_;
  std::deque<Batch> divided_;  // halves of a batch that failed: before anything newer
  Batch batch_;
  Heads heads_;
  bool busy_ = false;
  bool retry_due_ = false;     // it may be tried again now
  bool rolled_back_ = false;   // nothing of the batch is in the database; it is tried again
  bool no_partition_ = false;  // said the last failure
  int retry_delay_ms_ = 0;
  std::vector<std::function<void()>> after_;
};

void Lanes::Lane::pump() {
  if (busy_ ? !retry_due_ : waiting_.empty() && divided_.empty()) return;
  // A repeated batch, too, is not to wait in the link: it would be sent to whatever comes back.
  if (!handlers_.may_start() || !database_.ready()) return;  // on_ready calls again
  if (std::exchange(retry_due_, false)) {
    send();
    return;
  }
  if (divided_.empty()) {
    batch_ = next_batch();
  } else {
    batch_ = std::move(divided_.front());
    divided_.pop_front();
  }
  busy_ = true;
  send();
}

Lanes::Lane::Batch Lanes::Lane::next_batch() {
  Batch batch;
  if (auto* const change = std::get_if<PendingChange>(&waiting_.front())) {
    batch.change = std::move(*change);
    waiting_.pop_front();
    return batch;
  }
  struct Key {
    ConversationId conversation;
    UserId sender;
    RequestKey key;
    bool operator==(const Key&) const = default;
  };
  std::vector<Key> keys;  // of those that a client has given an id
  std::size_t bytes = 0;
  while (!waiting_.empty() && batch.items.size() < batch_max && bytes < batch_bytes_max) {
    auto* const pending = std::get_if<PendingSend>(&waiting_.front());
    if (pending == nullptr) break;
    if (!pending->send.id.empty()) {
      // Two of one request in a batch would not see each other.
      const Key key{pending->conversation, pending->record.user_id, request_key_of(*pending)};
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) break;
      keys.push_back(key);
    }
    bytes += pending->record.payload.size() + 128;
    batch.items.push_back(std::move(*pending));
    waiting_.pop_front();
  }
  return batch;
}

void Lanes::Lane::send() {
  rolled_back_ = false;
  std::set<ConversationId> conversations;
  for (const auto& item : batch_.items) conversations.insert(item.conversation);
  if (batch_.change && batch_.change->conversation.value != 0) {
    conversations.insert(batch_.change->conversation);
  }
  std::vector<sql::KnownVersion> known;
  batch_.known.clear();
  for (const auto conversation : conversations) {
    auto entry = members_.find(conversation);
    known.push_back({conversation, entry ? entry->members_version : 0});
    batch_.known[conversation] = std::move(entry);
  }
  std::vector<PgQuery> queries;
  const auto messages = messages_of(batch_.items);
  batch_.append = plan_append(messages);
  if (batch_.append) {
    queries.push_back(sql::append_messages(lane_, epoch_, messages, *batch_.append));
  } else {
    queries.push_back(sql::lock_heads(lane_, epoch_, {conversations.begin(), conversations.end()}));
    if (batch_.change) {
      add_change(queries);
    } else {
      const auto probe_from = repeat_probe_from(wall_now(), oldest_of(batch_.items));
      queries.push_back(sql::store_messages(lane_, epoch_, probe_from, messages));
    }
    queries.push_back(sql::members_of_stale(known));
  }
  crash_point(CrashPoint::worker_before_store);
  database_.submit(std::move(queries), [this](auto result) { answered(std::move(result)); });
}

/// Where the batch goes, if it is its first try and no repeat can be in it that nobody would
/// notice.
std::optional<sql::Append> Lanes::Lane::plan_append(
    const std::vector<sql::NewMessage>& messages) const {
  if (batch_.change || batch_.ask || batch_.first_failed_ms != 0) return std::nullopt;
  if (!repeats_are_refused(wall_now(), oldest_of(batch_.items))) {
    const bool all_new =
        std::all_of(batch_.items.begin(), batch_.items.end(), [this](const PendingSend& item) {
          return item.send.id.empty() && handlers_.is_new(item.origin);
        });
    if (!all_new) return std::nullopt;
  }
  return heads_.plan(messages, [this](ConversationId conversation) {
    return batch_.known.at(conversation).get();
  });
}

void Lanes::Lane::add_change(std::vector<PgQuery>& queries) {
  auto& change = *batch_.change;
  batch_.carried_out = change.wanted();
  if (batch_.carried_out) {
    queries.push_back(sql::carry_out(sql::InLane{lane_, epoch_}, change.method, change.asker,
                                     change.conversation, change.request));
  }
  queries.push_back(sql::changes_of(change.asker.origin));
  queries.push_back(sql::invitations_of(change.asker.origin));
  // One that makes its conversation does not know it before.
  queries.push_back(sql::members_of_changed(change.asker.origin, change.conversation));
}

void Lanes::Lane::settle_change(const std::vector<PgRows>& results) {
  auto rows = results.begin() + 1;
  Changed changed;
  if (batch_.carried_out) changed.outcome = sql::outcome_of(*rows++);
  changed.changes = sql::changes_of(*rows++);
  changed.invitations = sql::invitations_of(*rows++);
  members_.update(sql::members_of(*rows++));
  members_.update(sql::members_of(*rows));
  heads_.forget(batch_.change->conversation);
  for (const auto& one : changed.changes) {
    heads_.forget(one.conversation);
    const auto now_known = members_.find(one.conversation);
    changed.conversations[one.conversation] =
        now_known ? now_known : batch_.known[one.conversation];
  }
  for (const auto& [conversation, entry] : changed.conversations) handlers_.touched(conversation);
  batch_.change->done(changed);
}

void Lanes::Lane::answered(Result<std::vector<PgRows>, PgFault> result) {
  if (!result) {
    failed(result.error());
    return;
  }
  if (batch_.append) {
    appended(sql::appended_of(result->at(0)));
    return;
  }
  if (!sql::owns_lane(result->at(0))) {
    handlers_.superseded();
    return;
  }
  std::vector<sql::StoreOutcome> outcomes;
  if (!batch_.change) outcomes = sql::outcomes_of(result->at(1));
  const bool not_owned = batch_.carried_out && result->at(1).count() == 0;
  if (outcomes.size() != batch_.items.size() || not_owned) {
    // The lane changed hands between the two statements (the next try will say so), or a
    // conversation has lost its head: then the guilty message is found by dividing. The others are
    // committed; one that is alone is not there.
    batch_.in_doubt = batch_.items.size() > 1;
    failed({PgFault::Kind::error, "", "outcomes are missing"});
    return;
  }
  if (batch_.first_failed_ms != 0) log::info("event=ingest_back lane={}", lane_);
  retry_delay_ms_ = 0;
  no_partition_ = false;
  crash_point(CrashPoint::worker_after_commit);
  if (batch_.change) {
    settle_change(*result);
  } else {
    settle(outcomes, result->at(2));
    for (const auto& [conversation, entry] : batch_.known) handlers_.touched(conversation);
  }
  finished();
}

void Lanes::Lane::settle(const std::vector<sql::StoreOutcome>& outcomes, const PgRows& members) {
  members_.update(sql::members_of(members));
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    auto& item = batch_.items[i];
    const auto now_known = members_.find(item.conversation);
    const auto& conversation = now_known ? now_known : batch_.known[item.conversation];
    // The head was locked: the last one that was stored is the newest.
    if (outcomes[i].status == sql::StoreStatus::stored) {
      heads_.learn(item.conversation, {outcomes[i].seq, outcomes[i].rev});
    }
    handlers_.settled(item, outcomes[i], conversation.get());
  }
}

/// @param conversations  those whose messages are stored; the others were not as the lane knew them
void Lanes::Lane::appended(const std::vector<ConversationId>& conversations) {
  if (conversations.empty()) {  // perhaps the lane is another's by now: asking tells
    ask_first();
    return;
  }
  retry_delay_ms_ = 0;
  no_partition_ = false;
  crash_point(CrashPoint::worker_after_commit);
  const std::set<ConversationId> stored{conversations.begin(), conversations.end()};
  Batch rest;
  for (std::size_t i = 0; i < batch_.items.size(); ++i) {
    auto& item = batch_.items[i];
    if (!stored.contains(item.conversation)) {
      heads_.forget(item.conversation);
      rest.items.push_back(std::move(item));
      continue;
    }
    const auto& place = batch_.append->places[i];
    heads_.learn(item.conversation, place);
    handlers_.settled(item,
                      {sql::StoreStatus::stored, place.seq, place.rev, item.record.received_at},
                      batch_.known[item.conversation].get());
  }
  for (const auto conversation : stored) handlers_.touched(conversation);
  if (!rest.items.empty()) {
    rest.ask = true;
    divided_.push_front(std::move(rest));
  }
  finished();
}

/// Nothing of the batch is stored: once more, the careful way.
void Lanes::Lane::ask_first() {
  for (const auto& item : batch_.items) heads_.forget(item.conversation);
  batch_.ask = true;
  send();
}

void Lanes::Lane::failed(const PgFault& fault) {
  if (batch_.append && fault.kind == PgFault::Kind::error && fault.sqlstate == "23505") {
    ask_first();  // a repeat, or somebody else has stored something
    return;
  }
  for (const auto& item : batch_.items) heads_.forget(item.conversation);
  const auto now = mono_now().value;
  if (fault.kind == PgFault::Kind::in_doubt) batch_.in_doubt = true;
  if (!batch_.in_doubt) {
    // A message that fails for a minute must not keep sessions from catching up.
    rolled_back_ = true;
    tell_waiting();
  }
  if (batch_.first_failed_ms == 0) {
    log::warn("event=ingest_failed lane={} messages={} sqlstate={} err={}", lane_,
              batch_.items.size(), fault.sqlstate, log::quoted(fault.what));
    batch_.first_failed_ms = now;
  }
  no_partition_ = fault.sqlstate == "23514";
  if (no_partition_) handlers_.partition_missing();
  if (fault.sqlstate == "23505") ++batch_.conflicts;
  if (judge(fault) == Verdict::again && batch_.conflicts < conflicts_max) return retry();
  if (batch_.change) {
    auto told = fault;
    if (batch_.in_doubt) told.kind = PgFault::Kind::in_doubt;
    batch_.change->done(parley::failed(std::move(told)));
    finished();
    return;
  }
  if (batch_.items.size() > 1) return divide();
  if (fault.sqlstate.starts_with("22")) {  // a data error: this message itself
    handlers_.refused(batch_.items.front(), Code::bad_payload, "cannot be stored");
    finished();
  } else if (now - batch_.first_failed_ms > park_after_ms) {
    give_up(fault);
  } else {
    retry();
  }
}

void Lanes::Lane::divide() {
  const auto middle = static_cast<std::ptrdiff_t>(batch_.items.size() / 2);
  for (const bool first : {false, true}) {
    Batch half;
    half.first_failed_ms = batch_.first_failed_ms;
    half.in_doubt = batch_.in_doubt;
    half.ask = true;
    for (std::size_t i = 0; i < batch_.items.size(); ++i) {
      if ((static_cast<std::ptrdiff_t>(i) < middle) != first) continue;
      half.items.push_back(std::move(batch_.items[i]));
    }
    divided_.push_front(std::move(half));
  }
  batch_ = {};
  finished();
}

void Lanes::Lane::give_up(const PgFault& fault) {
  const auto& item = batch_.items.front();
  log::error("event=parked lane={} ingest_no={} sqlstate={} err={}", lane_, item.origin.ingest_no,
             fault.sqlstate, log::quoted(fault.what));
  std::vector<PgQuery> queries;
  queries.push_back(sql::park(item.origin.spool_id, item.origin.ingest_no, fault.what,
                              link::encode(item.record)));
  database_.submit(std::move(queries), [this](auto result) {
    if (!result) {
      retry();
      return;
    }
    handlers_.refused(batch_.items.front(), Code::unavailable, "kept for the operator");
    finished();
  });
}

void Lanes::Lane::retry() {
  retry_delay_ms_ = std::min(retry_delay_ms_ == 0 ? 20 : retry_delay_ms_ * 2, retry_delay_ms_max);
  const int jitter = static_cast<int>(random_() % static_cast<unsigned>(retry_delay_ms_ / 2 + 1));
  timer_.expires_after(std::chrono::milliseconds{retry_delay_ms_ + jitter});
  timer_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    retry_due_ = true;
    pump();
  });
}

void Lanes::Lane::finished() {
  busy_ = false;
  batch_ = {};
  tell_waiting();
  pump();
}

void Lanes::Lane::tell_waiting() {
  for (const auto& fn : std::exchange(after_, {})) fn();
}

Lanes::Lanes(asio::io_context& loop, const std::string& uri, std::uint32_t lanes,
             std::uint64_t epoch, MembersCache& members, Handlers handlers)
    : handlers_{std::move(handlers)} {
  for (std::uint32_t lane = 0; lane < lanes; ++lane) {
    lanes_.push_back(std::make_unique<Lane>(loop, uri, lane, epoch, members, handlers_));
  }
}

Lanes::~Lanes() = default;

void Lanes::start() {
  for (const auto& lane : lanes_) lane->start();
}

void Lanes::push(PendingSend pending) {
  const auto lane = static_cast<std::size_t>(pending.conversation.value) % lanes_.size();
  lanes_[lane]->push(std::move(pending));
}

void Lanes::push(PendingChange change) {
  const auto lane = static_cast<std::size_t>(change.conversation.value) % lanes_.size();
  lanes_[lane]->push(std::move(change));
}

void Lanes::pump() {
  for (const auto& lane : lanes_) lane->pump();
}

void Lanes::after_in_flight(std::function<void()> fn) {
  auto busy = std::make_shared<std::size_t>(0);
  for (const auto& lane : lanes_) *busy += lane->in_flight() ? 1 : 0;
  if (*busy == 0) {
    fn();
    return;
  }
  for (const auto& lane : lanes_) {
    if (!lane->in_flight()) continue;
    lane->after_in_flight([busy, fn] {
      if (--*busy == 0) fn();
    });
  }
}

bool Lanes::no_partition() const {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [](const auto& lane) { return lane->no_partition(); });
}

std::size_t Lanes::waiting() const {
  std::size_t waiting = 0;
  for (const auto& lane : lanes_) waiting += lane->waiting();
  return waiting;
}

}  // namespace parley
