// Users who were away, all of whom come back at once: what was written to them meanwhile must come
// to each of them once, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/load/client.hpp"
#include "tools/load/exchange.hpp"
#include "tools/load/histogram.hpp"
#include "tools/load/tally.hpp"

namespace parley::load {

struct StormPlan {
  struct Sender {
    Credentials login;
    std::string ack_prefix;  // of the topics on which acks come: this, and the message's id
  };
  struct Conversation {
    std::size_t sender = 0;
    std::size_t user = 0;
    std::string send_topic;  // without the id
    std::string got_topic;
  };
  struct User {
    Credentials login;
    std::vector<std::string> filters;
  };
  Endpoint where;
  std::size_t bytes = 100;
  std::uint32_t run = 0;
  std::vector<Sender> senders;
  std::vector<User> users;
  std::vector<Conversation> conversations;  // ordered by user
};

struct CameBack {
  double seconds = 0;       // from the first login until everybody had everything
  Histogram up_to_date_ns;  // of each: from when the login was due until everything was there
  Histogram login_ns;       // of each: until the subscription stood
};

class Storm {
 public:
  explicit Storm(StormPlan plan);
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;
  ~Storm();

  /// Writes so many messages into each conversation, while its user is away, and waits until all
  /// are stored.
  /// @throw Error if one is refused, or nothing moves for 30 s
  void fill(unsigned each, const std::function<void(const Progress&)>& progress);
  /// Lets them come back, evenly within that time, and waits until everybody has everything and has
  /// said so.
  /// @throw Error likewise
  CameBack come_back(double within_s, const std::function<void(const Progress&)>& progress);
  [[nodiscard]] Counters ack_counters() const;
  [[nodiscard]] Counters delivery_counters() const;
  [[nodiscard]] const std::string& first_complaint() const { return complaint_; }

 private:
  class Sender;
  class User;
  struct Conversation;

  void send_more();
  void stored(std::string_view id, std::string_view payload);
  void delivered(User& user, const PublishView& message);
  void complain(std::string what);
  void admit(std::int64_t now);
  void watch_logins(std::int64_t now);
  [[nodiscard]] std::string missing() const;

  StormPlan plan_;
  Poller poller_;
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<std::unique_ptr<User>> users_;
  std::vector<Conversation> conversations_;
  std::string complaint_;
  std::uint64_t refused_ = 0;

  unsigned each_ = 0;
  std::uint64_t acked_ = 0;
  std::uint64_t to_send_ = 0;
  std::size_t next_conversation_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t moves_ = 0;

  CameBack came_back_;
  std::int64_t began_ = 0;
  double gap_ns_ = 0;
  std::size_t admitted_ = 0;
  std::size_t complete_ = 0;
  std::vector<User*> coming_;  // not subscribed yet
};

}  // namespace parley::load
