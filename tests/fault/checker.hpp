// Judges a round: whether the promises of docs/protocol.md ("What is guaranteed") were kept. Pure:
// no clock, no file, no connection.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "tests/fault/history.hpp"

namespace parley::fault {

struct Violation {
  std::string check;  // which promise
  std::string what;
  std::string text{};  // of the message in question; empty: none
};

/// Everything that is stored, over all rounds.
class Archive {
 public:
  void add(const Row& row);
  /// Nothing if there is no such row.
  [[nodiscard]] const Row* at(const std::string& conversation, Seq seq) const;
  /// All rows with that text, in order of adding.
  [[nodiscard]] std::vector<const Row*> with_text(const std::string& text) const;
  [[nodiscard]] Seq last(const std::string& conversation) const;
  /// The first seq after `seq` that comes to `user` on that feed; 0 if there is none yet.
  [[nodiscard]] Seq next(const std::string& conversation, const std::string& user, Feed feed,
                         Seq seq) const;
  /// The last seq that comes to `user` on that feed; 0 if there is none.
  [[nodiscard]] Seq newest(const std::string& conversation, const std::string& user,
                           Feed feed) const;
  [[nodiscard]] std::vector<std::string> conversations() const;

 private:
  std::map<std::string, std::vector<Row>> rows_;  // index: seq - 1
  std::unordered_map<std::string, std::vector<std::pair<std::string, Seq>>> by_text_;
};

struct Counts {
  std::int64_t sent = 0;
  std::int64_t published = 0;  // packets, repeats too
  std::int64_t taken = 0;      // PUBACKed
  std::int64_t acked = 0;
  std::int64_t stored = 0;
  std::int64_t delivered = 0;
  std::int64_t redelivered = 0;
  std::int64_t refused = 0;
  Counts& operator+=(const Counts& more);
};

class Checker {
 public:
  explicit Checker(Membership membership) : membership_{std::move(membership)} {}

  /// Judges one round. Rounds must come in order: what readers hold is remembered.
  std::vector<Violation> check(const Round& round);
  /// Of the last round.
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] const Archive& archive() const { return archive_; }

 private:
  struct Position {
    Seq high = 0;        // everything up to here was seen
    Seq last = 0;        // the last one that came; below `high` while something is repeated
    bool begun = false;  // observers begin anywhere
    int connection = 0;  // that `last` came on
    Seq high_now = 0;    // `high` of that connection alone
    Seq cut_off = 0;     // up to here it was told that nothing comes
  };
  using PositionKey = std::tuple<std::string, FeedFormat, std::string>;

  void fail(const std::string& check, const std::string& what, const std::string& text = {});
  void check_numbering(const Round& round);
  void check_database(const Round& round);
  void learn(const Round& round);
  void check_sends(const Round& round);
  void check_send(const Send& send, const Round& round);
  void check_will(const Send& send, std::size_t rows);
  void check_row_known(const Row& row);
  void check_how_often(const Round& round);
  void check_rows_of(const Send& send);
  void check_acks(const Round& round);
  void check_ack(const AckSeen& ack, const Send* send);
  void check_stored_ack(const AckSeen& ack, const Send* send);
  void check_sending_order(const Round& round);
  void check_order_of(const std::vector<const Send*>& sends, const Reader& reader);
  void find_live(const Round& round, const SessionLog& session);
  void check_session(const Round& round, const SessionLog& session, const Reader& reader);
  void check_delivery(const SessionLog& session, const Reader& reader, const Delivery& delivery);
  void advance(const SessionLog& session, const Reader& reader, const Delivery& delivery, Seq seq);
  void check_repeat(const SessionLog& session, const Reader& reader, const Delivery& delivery,
                    Seq seq);
  void truncate(const Reader& reader, const SessionLog& session, const Mark& truncation);
  void check_complete(const Round& round);
  void check_observer_complete(const Round& round, const SessionLog& session, const Reader& reader);
  void check_marks(const Round& round);
  [[nodiscard]] Seq said(int client, const std::string& conversation) const;
  [[nodiscard]] Seq accounted_for(const Round& round, const std::string& user,
                                  const std::string& conversation) const;
  void check_foreign(const Round& round);
  [[nodiscard]] Seq resolve(const Delivery& delivery, Seq high, Seq last,
                            const std::string& user) const;
  Position& position(const Reader& reader, const SessionLog& session, FeedFormat feed,
                     const std::string& conversation);

  Membership membership_;
  Archive archive_;
  std::unordered_map<std::string, Send> known_;      // by text: what was ever sent
  std::map<std::pair<int, std::string>, Seq> said_;  // by client, conversation: its highest mark
  std::map<PositionKey, Position> positions_;
  std::map<int, Micros> live_since_;  // by connection, of observers
  std::set<std::string> due_live_;    // what the observer that is looked at has to get, by text
  std::vector<Violation> violations_;
  Counts counts_;
};

/// Everything that the round tells about one message, line by line.
std::string explain(const Round& round, const Archive& archive, const std::string& text);

const char* to_string(Format format);
const char* to_string(Feed feed);

}  // namespace parley::fault
