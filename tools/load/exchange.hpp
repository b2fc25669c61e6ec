// Writers and readers: messages in numbers, each of which must be acknowledged once and come to
// each of its readers once, in order. What it took, and what went wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tools/load/client.hpp"
#include "tools/load/histogram.hpp"
#include "tools/load/tally.hpp"

namespace parley::load {

/// What says that a message has been taken.
enum class AckKind {
  puback,  // the broker's word
  stored,  // the text "stored <seq>" on a topic of its own
};

/// Writers and those who read all of them.
struct Group {
  struct Member {
    Credentials login;
    std::vector<std::string> filters;  // empty: none
    std::string read_topic{};          // where it says what it has read; empty: nowhere
  };
  std::vector<Member> writers;
  std::vector<std::string> topics;  // of each writer
  std::vector<Member> readers;
  /// Nobody else writes into the conversation, so that the numbers of its acks have no gaps.
  bool alone = true;
  unsigned window = 0;  // of each writer; 0: the load's
};

struct ExchangePlan {
  Endpoint where;
  AckKind acks = AckKind::stored;
  std::size_t bytes = 100;  // of a text
  std::uint32_t run = 0;    // tells our messages from those of earlier runs
  std::uint64_t seed = 1;
  std::vector<Group> groups;
};

/// One measurement. It ends sending at whichever comes first.
struct Load {
  std::uint64_t messages_max = 1'000'000'000;
  double seconds_max = 86'400;
  unsigned window = 16;  // of each writer: messages that are not acknowledged and delivered yet
  double rate = 0;       // messages per second of all writers together, as independent writers send
                         // them; 0: as many as go
};

struct Progress {
  std::uint64_t messages = 0;  // complete
  std::uint64_t deliveries = 0;
  double seconds = 0;
  double share = 0;  // of the measurement that is over, 0 … 1
};

struct Measured {
  std::uint64_t messages = 0;  // acknowledged, and delivered to everybody
  std::uint64_t deliveries = 0;
  double seconds = 0;     // from the first publish to the last arrival
  Histogram ack_ns;       // from publish (with a rate: from when it was due) to the ack
  Histogram delivery_ns;  // … to each delivery
};

class Exchange {
 public:
  explicit Exchange(ExchangePlan plan);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange();

  /// Logs everybody in. @throw Error if one is refused
  void connect();
  /// Sends and waits until everything has come, then returns.
  /// @param progress  called some times a second
  /// @throw Error if somebody is disconnected, or nothing moves for 30 s: then it says what is
  /// missing
  Measured run(const Load& load, const std::function<void(const Progress&)>& progress);
  /// Lets everybody say goodbye, and waits until the broker has closed all connections.
  void leave();
  /// Of all runs so far: acks and deliveries.
  [[nodiscard]] Counters ack_counters() const;
  [[nodiscard]] Counters delivery_counters() const;

  /// What readers do beside reading, in all runs from now on: everybody marks as read what he has
  /// got after so many messages, and some connect anew.
  struct Habits {
    unsigned read_every = 0;      // messages; 0: never
    double reconnects_per_s = 0;  // of all readers together
  };
  void set_habits(const Habits& habits) { habits_ = habits; }
  [[nodiscard]] std::uint64_t reads() const { return reads_; }
  [[nodiscard]] std::uint64_t reconnects() const { return reconnects_; }
  /// The first thing that the server refused, or that is not as it should be; empty if nothing is
  /// wrong.
  [[nodiscard]] const std::string& first_complaint() const { return complaint_; }

  Poller& poller() { return poller_; }

 private:
  class Writer;
  class Reader;
  struct Sent;

  void arrange(const Group& group);
  void begin(const Load& load);
  [[nodiscard]] std::int64_t next_turn(std::int64_t now) const;
  [[nodiscard]] Progress so_far(std::int64_t now) const;
  void send_due(std::int64_t now);
  void fill_window(Writer& writer);
  void acknowledged(Writer& writer, std::uint32_t number);
  void delivered(Reader& reader, const PublishView& message);
  void complete_one(Writer& writer, Sent& sent);
  void complain(std::string what);
  void plan_next();
  void mark_read(Reader& reader);
  void read_all();
  void reconnect_some(std::int64_t now);
  void continue_reconnects();
  [[nodiscard]] bool may_send(std::int64_t now) const;
  [[nodiscard]] std::string missing() const;
  [[nodiscard]] std::vector<Client*> everybody() const;

  ExchangePlan plan_;
  Poller poller_;
  std::vector<std::unique_ptr<Writer>> writers_;
  std::vector<std::unique_ptr<Reader>> readers_;
  std::mt19937_64 chance_;
  std::string complaint_;
  std::uint64_t refused_ = 0;
  bool leaving_ = false;

  // of the run that is going on
  Measured measured_;
  Load load_;
  std::int64_t began_ = 0;
  std::int64_t last_arrival_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t moves_ = 0;  // anything that arrived
  std::int64_t due_ = 0;     // of the next message, with a rate
  std::size_t due_writer_ = 0;

  Habits habits_;
  std::int64_t reconnect_due_ = 0;
  std::vector<Reader*> reconnecting_;
  std::uint64_t reads_ = 0;
  std::uint64_t reconnects_ = 0;
};

}  // namespace parley::load
