// One MQTT client under test, with a thread of its own: connects again and again, publishes,
// resends what has no answer, confirms what it got, and writes down everything.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "tests/fault/connection.hpp"
#include "tests/fault/history.hpp"

namespace parley::fault {

/// Microseconds since the program began.
Micros now_micros();

struct ClientSpec {
  Reader reader{};
  std::string token{};
  int version = 4;  // or 5
  bool clean = true;
  std::uint16_t keepalive_s = 60;
  std::vector<std::string> filters{};  // after "im/u/<me>/"
  int confirm_every = 0;               // publishes got after that many messages; 0: never
  double sends_per_s = 0;
  std::vector<std::string> targets{};
  double id_share = 0.7;        // of the messages
  double odd_share = 0.03;      // of what is to be refused
  std::string stranger_room{};  // one that the user is no member of
  bool armed_will = false;
  std::string will_to{};
};

/// What happens now. In `traffic` new messages are sent; in `settle` only what has no answer yet.
enum class Phase : std::uint8_t { idle, traffic, settle };

/// The newest message that a client is to have seen.
struct Target {
  FeedFormat feed{};
  std::string conversation{};
  Seq seq = 0;
  std::string text{};
};

class Client {
 public:
  Client(ClientSpec spec, const Membership& membership, std::uint16_t port, std::uint64_t seed);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // From any thread:
  void enter(Phase phase) { phase_ = phase; }
  /// Stops reading for that long.
  void stall_for(Micros time) { stalled_until_ = now_micros() + time; }
  /// Reads slowly for that long.
  void slow_for(Micros time) { slow_until_ = now_micros() + time; }
  /// Loses what comes on its inbox for that long, and takes nothing behind that until it has come
  /// again, as one that cannot store it. Only if it confirms.
  void forget_for(Micros time) { forget_until_ = now_micros() + time; }
  enum class Leave : std::uint8_t { no, politely, abruptly };
  /// Ends the connection; it comes back at once.
  void leave(Leave how) { leave_ = how; }
  /// Whether it is connected and subscribed, and everything that it sent has its answer.
  [[nodiscard]] bool settled() const { return settled_; }
  /// When it first published each message since the last `hand_over`, by text.
  void add_first_sent(std::map<std::string, Micros>& all);
  /// An observer gets everything that is published after this: it has begun to get messages, or
  /// had more than enough time for it.
  Micros live_since();
  void expect(std::vector<Target> targets);
  /// What it still lacks; empty: nothing.
  std::string lacks();
  [[nodiscard]] const Reader& reader() const { return spec_.reader; }
  [[nodiscard]] bool armed_will() const { return spec_.armed_will; }
  /// Adds everything since the last time to `round`.
  void hand_over(Round& round);
  /// What the Last Wills of connections that end from now on must come to.
  void judge_wills(WillDue due) { will_due_ = due; }

 private:
  enum class Wait : std::uint8_t { nothing, puback, pubrec, pubcomp };
  /// A message that has not all its answers.
  struct Pending {
    std::size_t send = 0;  // index into sends_
    std::uint16_t packet_id = 0;
    Wait wait = Wait::nothing;
    bool needs_ack = false;
    Micros last_at = 0;
    Micros again_at = 0;  // not before
  };

  void run();
  void guarded_step();
  void step();
  void wait_for_events();
  // connection
  void begin_connection();
  void on_connack(const test::Packet& packet);
  void subscribe();
  void end_connection(const std::string& why);
  void leave_if_asked();
  void part();
  void keep_alive();
  // sending
  void make_new_sends();
  void make_one();
  Send draft();
  void make_odd(Send& send);
  void start(Send send);
  void transmit(Pending& pending);
  test::Publication publication_of(const Send& send);
  void resume_after_connect();
  void resend(Pending& pending, bool same_session);
  void resend_overdue();
  void settle_answer(std::uint16_t packet_id, Wait wait, int reason);
  void on_ack(AckSeen ack);
  void drop_done();
  std::uint16_t next_packet_id();
  // receiving
  void handle(const test::Packet& packet);
  void on_publication(const test::Publication& publication);
  void on_message(const std::string& verb, const std::string& conv,
                  const test::Publication& publication);
  void on_answer(const std::string& verb, const std::string& id,
                 const test::Publication& publication);
  void on_event(const std::string& payload);
  bool forgets(const Delivery& delivery);
  [[nodiscard]] Seq holds(const std::string& conversation) const;
  void confirm(bool all);
  void evaluate();

  const ClientSpec spec_;
  const Membership& membership_;
  const std::uint16_t port_;
  const std::string base_;  // "im/u/<me>/"
  std::mt19937_64 random_;

  std::atomic<bool> stop_{false};
  std::atomic<Phase> phase_{Phase::idle};
  std::atomic<Micros> stalled_until_{0};
  std::atomic<Micros> slow_until_{0};
  std::atomic<Micros> forget_until_{0};
  std::atomic<Leave> leave_{Leave::no};
  std::atomic<bool> settled_{false};
  std::atomic<WillDue> will_due_{WillDue::unknown};

  std::mutex mutex_;  // guards everything below, but for the wait for events
  std::optional<Connection> connection_;
  bool accepted_ = false;  // CONNACK came
  int subacks_open_ = 0;
  bool session_present_ = false;
  bool had_session_ = false;
  Micros begun_at_ = 0;
  Micros retry_at_ = 0;
  Micros heard_at_ = 0;
  Micros pinged_at_ = 0;
  Micros leaving_since_ = 0;  // said DISCONNECT; 0: has not
  Micros live_since_ = 0;     // of this connection; 0: nothing has come
  std::string will_text_;
  Micros next_send_at_ = 0;
  int sends_made_ = 0;
  std::uint16_t last_packet_id_ = 0;

  std::deque<Send> sends_;
  std::vector<AckSeen> acks_;
  std::vector<SessionLog> sessions_;  // the last one is the present one
  std::vector<Pending> pending_;
  std::deque<Send> stored_;  // some that were stored, to be repeated much later
  std::map<std::string, std::pair<Seq, Seq>> to_confirm_;  // conv -> newest, confirmed
  std::map<std::string, int> since_confirmed_;
  Micros confirmed_at_ = 0;
  std::map<std::pair<FeedFormat, std::string>, Seq> seen_;
  std::map<std::pair<FeedFormat, std::string>, Seq> forgot_;  // the first one
  std::unordered_set<std::string> seen_texts_;                // of formats without seq
  std::vector<Target> targets_;
  std::string lacks_;
  std::vector<std::string> failures_;  // see Round::failures

  std::thread thread_;
};

}  // namespace parley::fault
