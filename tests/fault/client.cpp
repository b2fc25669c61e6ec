#include "tests/fault/client.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>

namespace parley::fault {

namespace {

/// Another number for each connection of the run.
int next_connection() {
  static std::atomic<int> last{0};
  return ++last;
}

constexpr Micros ms = 1'000;
constexpr Micros reconnect_after = 30 * ms;
constexpr Micros connack_within = 3'000 * ms;
constexpr Micros ping_every = 500 * ms;
constexpr Micros answer_within = 4'000 * ms;  // of anything, once pinged: else it is half-open
constexpr int poll_ms_max = 10;
constexpr std::size_t read_bytes = 65'536;
constexpr std::size_t slow_read_bytes = 400;
constexpr int slow_poll_ms = 20;

}  // namespace

Micros now_micros() {
  static const auto begun = std::chrono::steady_clock::now();
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               begun)
      .count();
}

Client::Client(ClientSpec spec, const Membership& membership, std::uint16_t port,
               std::uint64_t seed)
    : spec_{std::move(spec)},
      membership_{membership},
      port_{port},
      base_{"im/u/" + spec_.reader.user + "/"},
      random_{seed} {
  thread_ = std::thread{[this] { run(); }};
}

Client::~Client() {
  stop_ = true;
  thread_.join();
}

void Client::run() {
  while (!stop_) {
    {
      const std::lock_guard lock{mutex_};
      guarded_step();
    }
    wait_for_events();
  }
  const std::lock_guard lock{mutex_};
  if (connection_ && accepted_)
    connection_->write(test::encode_empty(test::PacketType::disconnect));
}

/// What it cannot make sense of is a finding, and the end of this connection only.
void Client::guarded_step() {
  try {
    step();
  } catch (const std::exception& error) {
    failures_.push_back(spec_.reader.client_id + ": " + error.what());
    if (connection_) end_connection("failed");
  }
}

void Client::wait_for_events() {
  // Nobody else replaces the connection: only this thread does.
  pollfd waiting{-1, POLLIN, 0};
  int timeout_ms = poll_ms_max;
  const Micros now = now_micros();
  if (connection_ && connection_->open()) {
    waiting.fd = connection_->fd();
    if (now < stalled_until_) waiting.events = 0;
    if (now < slow_until_) {
      waiting.events = 0;
      timeout_ms = slow_poll_ms;
    }
    if (connection_->wants_write()) waiting.events |= POLLOUT;
    if (waiting.events == 0) waiting.fd = -1;
  }
  ::poll(&waiting, 1, timeout_ms);
}

void Client::step() {
  const Micros now = now_micros();
  leave_if_asked();
  if (leaving_since_ != 0) return part();
  if (!connection_) {
    settled_ = false;
    if (now >= retry_at_) begin_connection();
    return;
  }
  connection_->flush();
  if (now >= stalled_until_) connection_->read(now < slow_until_ ? slow_read_bytes : read_bytes);
  while (const auto packet = connection_->next()) {
    heard_at_ = now_micros();
    handle(*packet);
    if (!connection_) return;
  }
  if (!connection_->open()) return end_connection("the broker hung up");
  keep_alive();
  if (!connection_ || !accepted_) return;
  const Phase phase = phase_;
  if (phase == Phase::traffic) make_new_sends();
  if (phase != Phase::idle) resend_overdue();
  drop_done();
  confirm(phase != Phase::traffic);
  evaluate();
  settled_ = subacks_open_ == 0 && pending_.empty() && now >= stalled_until_;
}

// ---- The connection ----

void Client::begin_connection() {
  connection_.emplace(port_);
  accepted_ = false;
  subacks_open_ = 0;
  begun_at_ = heard_at_ = pinged_at_ = now_micros();
  test::ConnectOptions options{.client_id = spec_.reader.client_id,
                               .username = spec_.reader.user,
                               .password = spec_.token,
                               .version = spec_.version,
                               .clean = spec_.clean,
                               .keepalive_s = spec_.keepalive_s};
  const int number = next_connection();
  if (!spec_.reader.same_id) options.client_id += "-" + std::to_string(number);
  if (spec_.version == 5 && !spec_.clean) options.session_expiry_s = 3600;
  if (spec_.armed_will) {
    will_text_ = "will." + std::to_string(spec_.reader.client) + "." + std::to_string(number);
    options.will = test::Will{.topic = base_ + "will/" + spec_.will_to, .payload = will_text_};
  }
  SessionLog& session = sessions_.emplace_back();
  session.client = spec_.reader.client;
  session.connection = number;
  connection_->write(test::encode_connect(options));
}

void Client::on_connack(const test::Packet& packet) {
  const test::Connack connack = test::decode_connack(packet);
  if (connack.code != 0) return end_connection("refused " + std::to_string(connack.code));
  accepted_ = true;
  session_present_ = connack.session_present;
  SessionLog& session = sessions_.back();
  session.connected_at = now_micros();
  session.session_present = session_present_;
  subscribe();
  resume_after_connect();
  had_session_ = true;
}

void Client::subscribe() {
  // Good clients with a session that is still there do without; half of them subscribe anyway.
  if (session_present_ && random_() % 2 == 0) {
    sessions_.back().subscribed_at = now_micros();
    return;
  }
  std::vector<test::Subscription> filters;
  for (const std::string& filter : spec_.filters) filters.push_back({base_ + filter, 1});
  if (filters.empty()) return;
  ++subacks_open_;
  connection_->write(test::encode_subscribe(next_packet_id(), filters, spec_.version));
}

void Client::end_connection(const std::string& why) {
  SessionLog& session = sessions_.back();
  if (spec_.armed_will) {
    Send will{.client = spec_.reader.client,
              .user = spec_.reader.user,
              .conversation = membership_.conversation_of(spec_.reader.user, spec_.will_to),
              .to = spec_.will_to,
              .text = will_text_,
              .will = will_due_};
    if (why == "left politely") will.will = WillDue::must_not;
    // A broker that was too slow with its CONNACK may have taken the will nevertheless.
    if (!accepted_) will.will = WillDue::unknown;
    will.transmissions.push_back({session.connection, begun_at_});
    sends_.push_back(std::move(will));
  }
  if (accepted_) {
    session.ended_at = now_micros();
    session.ended_by = why;
  } else {
    sessions_.pop_back();  // never was one
  }
  connection_.reset();
  accepted_ = false;
  settled_ = false;
  live_since_ = leaving_since_ = 0;
  // What an observer is due ends with its connection.
  if (spec_.reader.kind == ReaderKind::observer) targets_.clear();
  retry_at_ = now_micros() + reconnect_after;
  if (spec_.clean) {
    // Without a session nobody remembers packet ids. What had no id has an unknown outcome now.
    for (Pending& pending : pending_) pending.wait = Wait::nothing;
    std::erase_if(pending_, [&](const Pending& pending) { return !pending.needs_ack; });
  }
}

void Client::leave_if_asked() {
  const Leave how = leave_.exchange(Leave::no);
  if (how == Leave::no || !connection_ || leaving_since_ != 0) return;
  if (how != Leave::politely || !accepted_) return end_connection("dropped");
  connection_->write(test::encode_empty(test::PacketType::disconnect));
  leaving_since_ = now_micros();
  part();
}

/// Until the broker has hung up: who closes before, with something unread, resets the connection,
/// and a broker that had not read the DISCONNECT yet reports the will.
void Client::part() {
  settled_ = false;
  connection_->flush();
  connection_->read(read_bytes);
  while (connection_->next()) {
  }
  if (!connection_->open()) return end_connection("left politely");
  if (now_micros() - leaving_since_ > answer_within) end_connection("left unheard");
}

void Client::keep_alive() {
  const Micros now = now_micros();
  if (!accepted_) {
    if (now - begun_at_ > connack_within) end_connection("no CONNACK");
    return;
  }
  if (now < stalled_until_) {
    heard_at_ = now;  // it does not listen
    return;
  }
  if (now - heard_at_ > answer_within && pinged_at_ > heard_at_) {
    return end_connection("no answer");
  }
  if (now - pinged_at_ > ping_every) {
    pinged_at_ = now;
    connection_->write(test::encode_empty(test::PacketType::pingreq));
  }
}

// ---- For the driver ----

void Client::add_first_sent(std::map<std::string, Micros>& all) {
  const std::lock_guard lock{mutex_};
  for (const Send& send : sends_) {
    if (!send.transmissions.empty()) all.try_emplace(send.text, send.transmissions.front().at);
  }
}

Micros Client::live_since() {
  const std::lock_guard lock{mutex_};
  if (live_since_ != 0) return live_since_;
  const bool listens = !sessions_.empty() && sessions_.back().subscribed_at != 0;
  return (listens ? sessions_.back().subscribed_at : now_micros()) + live_within;
}

void Client::expect(std::vector<Target> targets) {
  const std::lock_guard lock{mutex_};
  targets_ = std::move(targets);
  evaluate();
}

std::string Client::lacks() {
  const std::lock_guard lock{mutex_};
  return lacks_;
}

void Client::evaluate() {
  lacks_.clear();
  for (const Target& target : targets_) {
    const auto seen = seen_.find({target.feed, target.conversation});
    const bool has =
        (seen != seen_.end() && seen->second >= target.seq) || seen_texts_.contains(target.text);
    if (has) continue;
    lacks_ =
        spec_.reader.client_id + " lacks " + target.conversation + " " + std::to_string(target.seq);
    return;
  }
}

void Client::hand_over(Round& round) {
  const std::lock_guard lock{mutex_};
  round.readers.push_back(spec_.reader);
  // What is still open stays unknown.
  for (const Pending& pending : pending_) {
    round.stuck.push_back(spec_.reader.client_id + " has no answer to \"" +
                          sends_[pending.send].text + "\"");
  }
  pending_.clear();
  for (Send& send : sends_) round.sends.push_back(std::move(send));
  sends_.clear();
  round.acks.insert(round.acks.end(), acks_.begin(), acks_.end());
  acks_.clear();
  round.failures.insert(round.failures.end(), failures_.begin(), failures_.end());
  failures_.clear();
  std::vector<SessionLog> next;
  if (accepted_ && !sessions_.empty()) {
    SessionLog goes_on = sessions_.back();
    goes_on.deliveries.clear();
    goes_on.marks.clear();
    goes_on.truncations.clear();
    goes_on.strange_topics.clear();
    next.push_back(std::move(goes_on));
  } else if (connection_) {
    next.push_back(sessions_.back());
    sessions_.pop_back();
  }
  for (SessionLog& session : sessions_) round.sessions.push_back(std::move(session));
  sessions_ = std::move(next);
  seen_texts_.clear();
  targets_.clear();
}

}  // namespace parley::fault
