// PostgreSQL as the worker sees it: connections that come and go, jobs that are carried out one
// after the other in any order between connections, also after their connection is gone, and the
// worker's statements by name, with the meaning that their SQL has.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "tests/sim/random.hpp"
#include "worker/pg_link.hpp"

namespace parley::sim {

using JobResult = Result<std::vector<PgRows>, PgFault>;

/// The client's end of a connection. Called from outside its loop.
struct Connection {
  std::function<void(JobResult)> answer;
  std::function<void()> lost;
};

struct Row {
  Seq seq = 0;
  std::int64_t sender = 0;
  std::int64_t received_at_pg = 0;  // as it came over the wire
  std::uint64_t spool_id = 0;
  IngestNo ingest_no = 0;
  std::string key;
  std::string hash;
  std::string id;
  std::string kind;
  std::string text;
  std::int64_t month = 0;  // in which it was stored: the partition
};

struct ConversationTable {
  bool is_room = false;
  std::string name;
  std::vector<std::int64_t> members;
  std::vector<Row> rows;  // seq 1 …
};

class Database {
 public:
  explicit Database(Random& random) : random_{random} {}

  // ---- what is there ----
  void add_user(std::int64_t id, const std::string& name) { users_[name] = id; }
  std::int64_t add_room(const std::string& name, std::vector<std::int64_t> members);
  const std::map<std::int64_t, ConversationTable>& conversations() const { return conversations_; }
  /// What of a conversation a user calls it by; empty if he is not in it.
  std::string conv_name(std::int64_t conversation, std::int64_t user) const;
  const Row* by_origin(std::uint64_t spool_id, IngestNo ingest_no) const;
  const Row* by_id(std::int64_t sender, const std::string& id) const;
  const Row* by_text(std::string_view text) const;
  std::int64_t conversation_of(const Row& row) const;
  bool parked(std::uint64_t spool_id, IngestNo ingest_no) const {
    return parked_.contains({spool_id, ingest_no});
  }
  /// A cursor; nothing is 0.
  Seq device_mark(std::int64_t user, const std::string& device, std::int64_t conversation) const;
  Seq first_device_mark(std::int64_t user, const std::string& device,
                        std::int64_t conversation) const;
  Seq user_mark(std::int64_t user, std::int64_t conversation) const;
  /// Whether a device is known to say `got`.
  bool confirms(std::int64_t user, const std::string& device) const;
  std::int64_t claim(std::uint32_t lanes);

  // ---- connections ----
  bool up = true;
  std::uint64_t connect(Connection connection);
  void close(std::uint64_t connection);
  void send(std::uint64_t connection, std::vector<PgQuery> queries);
  /// Carries out one job of some connection; its answer is on the way then.
  /// @return false if there is none
  bool work();
  /// Hands one answer over to its link. @return false if there is none
  bool answer();
  [[nodiscard]] bool idle() const;
  /// Ends every connection: jobs that were sent are carried out or not, and nobody hears of it.
  void cut_all();
  void cut_one();

  /// Of 1,000 jobs: how many fail with a serialization error.
  std::uint64_t serialization_permille = 0;
  /// Of 1,000 conversations that are written to: how many are found otherwise than the lane
  /// thought.
  std::uint64_t moved_permille = 0;
  /// Of 1,000 jobs: how many are carried out, and the connection ends before the answer.
  std::uint64_t lost_answer_permille = 0;
  std::uint64_t lost_answers = 0;
  /// So many jobs more are sent, the others are not; negative: all are.
  int words_left = -1;

 private:
  struct Link {
    Connection connection;
    std::deque<std::vector<PgQuery>> jobs;
    std::deque<JobResult> answers;
  };
  using MarkKey =
      std::tuple<std::int64_t, std::string, std::int64_t>;  // user, device, conversation
  struct UserMarks {
    Seq got = 0;
    Seq read = 0;
  };

  JobResult run(const std::vector<PgQuery>& queries);
  PgRows execute(const PgQuery& query);
  std::int64_t direct_of(std::int64_t one, std::int64_t other) const;
  PgRows make_direct(const PgQuery& query);
  PgRows resolve(const PgQuery& query);
  PgRows lock_heads(const PgQuery& query);
  PgRows store_messages(const PgQuery& query);
  PgRows append_messages(const PgQuery& query);
  bool repeats_in(const std::vector<PgQuery>& queries) const;
  void add_row(std::int64_t conversation, Row row);
  PgRows members_of_stale(const PgQuery& query);
  PgRows raise_user_marks(const PgQuery& query);
  PgRows raise_device_marks(const PgQuery& query);
  PgRows set_confirms(const PgQuery& query);
  PgRows add_device(const PgQuery& query);
  PgRows session_kind(const PgQuery& query);
  PgRows behind(const PgQuery& query);
  PgRows message_range(const PgQuery& query);
  Seq last_seq(std::int64_t conversation) const;
  bool is_member(std::int64_t conversation, std::int64_t user) const;
  void cut(std::uint64_t connection);

  Random& random_;
  std::map<std::string, std::int64_t> users_;
  std::map<std::string, std::int64_t> rooms_;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> pairs_;
  std::map<std::int64_t, ConversationTable> conversations_;
  std::map<std::tuple<std::int64_t, std::int64_t, std::string>, Seq> keys_;  // of messages
  std::map<std::pair<std::uint64_t, IngestNo>, std::pair<std::int64_t, Seq>> origins_;
  std::map<std::string, std::pair<std::int64_t, Seq>, std::less<>> texts_;
  std::map<std::pair<std::int64_t, std::string>, bool> devices_;  // confirms
  std::map<MarkKey, Seq> device_marks_;
  std::map<MarkKey, Seq> first_marks_;
  std::map<std::pair<std::int64_t, std::int64_t>, UserMarks> user_marks_;
  std::map<std::int64_t, std::int64_t> lanes_;
  std::set<std::pair<std::uint64_t, IngestNo>> parked_;
  std::int64_t epoch_ = 0;
  std::int64_t next_conversation_ = 100;
  std::map<std::uint64_t, Link> links_;
  std::deque<std::vector<PgQuery>> orphans_;  // sent, and their connection is gone
  std::uint64_t connections_ = 0;
};

/// The one that the worker's links connect to; null between seeds.
Database*& the_database();

/// Texts that begin so are an error of the data, and of something else, each time.
inline constexpr std::string_view poison_data = "poison22 ";
inline constexpr std::string_view poison_other = "poisonXX ";

}  // namespace parley::sim
