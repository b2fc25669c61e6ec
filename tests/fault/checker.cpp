#include "tests/fault/checker.hpp"

#include <algorithm>

namespace parley::fault {

namespace {

std::string place(const std::string& conversation, Seq seq) {
  return conversation + " " + std::to_string(seq);
}

std::string request_key(const std::string& user, const std::string& id) { return user + '/' + id; }

bool taken(const Send& send) {
  return std::any_of(send.answers.begin(), send.answers.end(),
                     [](const Answer& answer) { return answer.reason < failure_reason; });
}

/// Whether every single packet of it was answered with a failure.
bool turned_away(const Send& send) {
  return !send.answers.empty() && send.answers.size() >= send.transmissions.size() && !taken(send);
}

}  // namespace

const char* to_string(Format format) {
  switch (format) {
    case Format::text:
      return "text";
    case Format::json:
      return "json";
    case Format::protobuf:
      return "pb";
  }
  return "?";
}

const char* to_string(Feed feed) { return feed == Feed::inbox ? "inbox" : "sent"; }

std::string Membership::conversation_of(const std::string& me, const std::string& conv) const {
  if (rooms.contains(conv)) return "#" + conv;
  return me < conv ? me + "|" + conv : conv + "|" + me;
}

bool Membership::is_member(const std::string& user, const std::string& conversation) const {
  if (conversation.starts_with('#')) {
    const auto room = rooms.find(conversation.substr(1));
    return room != rooms.end() && room->second.contains(user);
  }
  const auto bar = conversation.find('|');
  return conversation.substr(0, bar) == user || conversation.substr(bar + 1) == user;
}

// ---- Archive ----

void Archive::add(const Row& row) {
  rows_[row.conversation].push_back(row);
  by_text_[row.text].emplace_back(row.conversation, row.seq);
}

const Row* Archive::at(const std::string& conversation, Seq seq) const {
  const auto rows = rows_.find(conversation);
  if (rows == rows_.end() || seq < 1 || seq > static_cast<Seq>(rows->second.size())) {
    return nullptr;
  }
  return &rows->second[static_cast<std::size_t>(seq - 1)];
}

std::vector<const Row*> Archive::with_text(const std::string& text) const {
  std::vector<const Row*> rows;
  const auto places = by_text_.find(text);
  if (places == by_text_.end()) return rows;
  for (const auto& [conversation, seq] : places->second) {
    if (const Row* row = at(conversation, seq)) rows.push_back(row);
  }
  return rows;
}

Seq Archive::last(const std::string& conversation) const {
  const auto rows = rows_.find(conversation);
  return rows == rows_.end() ? 0 : static_cast<Seq>(rows->second.size());
}

Seq Archive::next(const std::string& conversation, const std::string& user, Feed feed,
                  Seq seq) const {
  for (Seq candidate = seq + 1; candidate <= last(conversation); ++candidate) {
    if ((at(conversation, candidate)->sender == user) == (feed == Feed::sent)) return candidate;
  }
  return 0;
}

Seq Archive::newest(const std::string& conversation, const std::string& user, Feed feed) const {
  for (Seq candidate = last(conversation); candidate > 0; --candidate) {
    if ((at(conversation, candidate)->sender == user) == (feed == Feed::sent)) return candidate;
  }
  return 0;
}

std::vector<std::string> Archive::conversations() const {
  std::vector<std::string> names;
  for (const auto& [name, rows] : rows_) names.push_back(name);
  return names;
}

Counts& Counts::operator+=(const Counts& more) {
  sent += more.sent;
  published += more.published;
  taken += more.taken;
  acked += more.acked;
  stored += more.stored;
  delivered += more.delivered;
  redelivered += more.redelivered;
  refused += more.refused;
  return *this;
}

// ---- Checker ----

void Checker::fail(const std::string& check, const std::string& what, const std::string& text) {
  violations_.push_back({check, what, text});
}

std::vector<Violation> Checker::check(const Round& round) {
  violations_.clear();
  counts_ = {};
  learn(round);
  check_numbering(round);
  check_database(round);
  for (const Row& row : round.rows) check_row_known(row);
  check_how_often(round);
  check_sends(round);
  check_acks(round);
  check_sending_order(round);
  std::map<int, const Reader*> readers;
  for (const Reader& reader : round.readers) readers[reader.client] = &reader;
  for (const SessionLog& session : round.sessions) {
    const auto reader = readers.find(session.client);
    if (reader != readers.end()) check_session(round, session, *reader->second);
  }
  check_complete(round);
  check_marks(round);
  check_foreign(round);
  for (const std::string& what : round.stuck) fail("stuck", what);
  for (const std::string& what : round.failures) fail("nonsense", what);
  return violations_;
}

void Checker::learn(const Round& round) {
  for (const Send& send : round.sends) {
    const auto [known, fresh] = known_.try_emplace(send.text, send);
    if (fresh) continue;
    auto& sent = known->second.transmissions;
    sent.insert(sent.end(), send.transmissions.begin(), send.transmissions.end());
    auto& answers = known->second.answers;
    answers.insert(answers.end(), send.answers.begin(), send.answers.end());
  }
}

void Checker::check_numbering(const Round& round) {
  std::map<std::string, Seq> revs;
  for (const Row& row : round.rows) {
    const Seq due = archive_.last(row.conversation) + 1;
    if (row.seq != due) {
      fail("numbering",
           place(row.conversation, row.seq) + " where seq " + std::to_string(due) + " was due",
           row.text);
      if (row.seq < due) continue;
      for (Seq gap = due; gap < row.seq; ++gap) {  // so that indexes stay right
        archive_.add({.conversation = row.conversation, .seq = gap, .rev = 0, .sender = "nobody"});
      }
    }
    const Row* before = archive_.at(row.conversation, row.seq - 1);
    if (before != nullptr && row.rev <= before->rev) {
      fail("numbering",
           place(row.conversation, row.seq) + " has rev " + std::to_string(row.rev) + " after " +
               std::to_string(before->rev),
           row.text);
    }
    archive_.add(row);
    ++counts_.stored;
  }
}

void Checker::check_database(const Round& round) {
  for (const Head& head : round.heads) {
    if (head.last_seq != head.rows || head.last_seq != head.seq_max ||
        head.last_rev < head.rev_max) {
      fail("database", head.conversation + ": last_seq " + std::to_string(head.last_seq) +
                           ", rows " + std::to_string(head.rows) + ", max(seq) " +
                           std::to_string(head.seq_max) + ", last_rev " +
                           std::to_string(head.last_rev) + ", max(rev) " +
                           std::to_string(head.rev_max));
    }
    if (head.last_seq != archive_.last(head.conversation)) {
      fail("database", head.conversation + ": rows were read up to " +
                           std::to_string(archive_.last(head.conversation)) + ", last_seq is " +
                           std::to_string(head.last_seq));
    }
  }
  for (const Cursor& cursor : round.cursors) {
    const Seq last = archive_.last(cursor.conversation);
    if (cursor.got > last || cursor.read > last) {
      fail("database", cursor.user + " has got " + std::to_string(cursor.got) + " and read " +
                           std::to_string(cursor.read) + " of " + place(cursor.conversation, last));
    }
    if (!membership_.is_member(cursor.user, cursor.conversation)) {
      fail("database", cursor.user + " became a member of " + cursor.conversation);
    }
  }
  for (const auto& [what, count] : round.orphans) {
    if (count != 0) fail("database", std::to_string(count) + " " + what);
  }
}

void Checker::check_row_known(const Row& row) {
  const auto known = known_.find(row.text);
  if (known == known_.end()) {
    return fail("unknown", place(row.conversation, row.seq) + " holds what nobody sent", row.text);
  }
  const Send& send = known->second;
  if (row.sender != send.user || row.conversation != send.conversation ||
      row.request_id != send.id) {
    fail("altered",
         place(row.conversation, row.seq) + " is from " + row.sender + " with id \"" +
             row.request_id + "\"; it was sent by " + send.user + " to " + send.conversation +
             " with id \"" + send.id + "\"",
         row.text);
  }
}

/// Each message once that was sent or stored in this round: a row may be one too many though the
/// message is of an earlier round.
void Checker::check_how_often(const Round& round) {
  std::set<std::string> texts;
  for (const Send& send : round.sends) texts.insert(send.text);
  for (const Row& row : round.rows) texts.insert(row.text);
  for (const std::string& text : texts) {
    const auto known = known_.find(text);
    if (known != known_.end()) check_rows_of(known->second);
  }
}

/// @param send  with everything that all rounds know of it
void Checker::check_rows_of(const Send& send) {
  const std::size_t rows = archive_.with_text(send.text).size();
  if (send.will != WillDue::no_will) return check_will(send, rows);
  if (!send.refusal.empty()) {
    if (rows > 0) fail("refused", "stored although " + send.refusal + " was due", send.text);
    return;
  }
  if (!send.id.empty() && rows > 1) {
    fail("twice", "with an id, and yet in " + std::to_string(rows) + " rows", send.text);
  }
  if (send.id.empty() && rows > send.transmissions.size()) {
    fail("twice",
         std::to_string(rows) + " rows of " + std::to_string(send.transmissions.size()) +
             " publishes",
         send.text);
  }
  if (turned_away(send) && rows > 0) {
    fail("turned away", "every PUBLISH was answered with a failure, and yet it is stored",
         send.text);
  }
}

void Checker::check_sends(const Round& round) {
  for (const Send& send : round.sends) {
    ++counts_.sent;
    counts_.published += static_cast<std::int64_t>(send.transmissions.size());
    if (taken(send)) ++counts_.taken;
    check_send(send, round);
  }
}

void Checker::check_will(const Send& send, std::size_t rows) {
  if (send.will == WillDue::must && rows == 0) fail("will", "was not reported", send.text);
  if (send.will == WillDue::must_not && rows > 0) {
    fail("will", "was reported although nobody had died", send.text);
  }
  if (rows > 1) fail("will", "was reported more than once", send.text);
}

void Checker::check_send(const Send& send, const Round& round) {
  if (send.will != WillDue::no_will || !send.refusal.empty()) return;
  const bool void_now =
      std::any_of(send.answers.begin(), send.answers.end(),
                  [&](const Answer& answer) { return answer.at < round.void_until; });
  if (taken(send) && archive_.with_text(send.text).empty() && !void_now) {
    fail("taken", "PUBACKed, and neither stored nor refused", send.text);
  }
}

void Checker::check_acks(const Round& round) {
  std::unordered_map<std::string, const Send*> by_correlation;
  std::unordered_map<std::string, std::vector<const Send*>> by_request;
  for (const Send& send : round.sends) {
    if (!send.correlation.empty()) by_correlation[send.correlation] = &send;
    if (!send.id.empty()) by_request[request_key(send.user, send.id)].push_back(&send);
  }
  for (const AckSeen& ack : round.acks) {
    ++(ack.seq > 0 ? counts_.acked : counts_.refused);
    const Send* send = nullptr;
    if (!ack.correlation.empty()) {
      const auto found = by_correlation.find(ack.correlation);
      if (found != by_correlation.end()) send = found->second;
    } else if (!ack.id.empty()) {
      // The same id with another content is a send of its own.
      for (const Send* candidate : by_request[request_key(ack.user, ack.id)]) {
        const bool fits = ack.seq > 0 ? candidate->refusal.empty() : candidate->refusal == ack.code;
        if (send == nullptr || fits) send = candidate;
      }
    }
    check_ack(ack, send);
  }
}

void Checker::check_ack(const AckSeen& ack, const Send* send) {
  if (ack.seq > 0) return check_stored_ack(ack, send);
  if (send != nullptr && send->refusal != ack.code) {
    fail("ack",
         "refused " + ack.code + " where " +
             (send->refusal.empty() ? "nothing was to be refused" : send->refusal + " was due"),
         send->text);
  }
  if (send == nullptr && ack.id.empty()) {
    const bool due = std::any_of(known_.begin(), known_.end(), [&](const auto& entry) {
      return entry.second.user == ack.user && entry.second.refusal == ack.code;
    });
    if (!due) fail("ack", ack.user + " was refused " + ack.code + " and had done nothing for it");
  }
}

void Checker::check_stored_ack(const AckSeen& ack, const Send* send) {
  if (send == nullptr) {
    if (!ack.conversation.empty()) {
      const Row* row = archive_.at(ack.conversation, ack.seq);
      if (row == nullptr || row->sender != ack.user) {
        fail("ack",
             ack.user + " was told that " + place(ack.conversation, ack.seq) +
                 " is stored, which is not so",
             row == nullptr ? "" : row->text);
      }
    }
    return;
  }
  if (!send->refusal.empty()) {
    return fail("ack", "stored where " + send->refusal + " was due", send->text);
  }
  const Row* row = archive_.at(send->conversation, ack.seq);
  if (row == nullptr || row->text != send->text) {
    fail("ack",
         "acked as " + place(send->conversation, ack.seq) + ", where " +
             (row == nullptr ? std::string("nothing is") : "\"" + row->text + "\" is"),
         send->text);
  }
}

// ---- The order of publishing ----

namespace {

/// Whether the broker must have received `x` before it first received `y`: on each connection that
/// carried y, x went first. MQTT keeps the order of a connection, and a broker closes the former
/// connection of a client id before it serves the next; between two ids nothing is promised.
bool must_precede(const Send& x, const Send& y, bool same_id) {
  std::set<int> connections;
  for (const Transmission& sent : y.transmissions) {
    connections.insert(sent.connection);
    const bool first = std::any_of(
        x.transmissions.begin(), x.transmissions.end(),
        [&](const Transmission& t) { return t.connection == sent.connection && t.at < sent.at; });
    if (!first) return false;
  }
  for (const Transmission& sent : x.transmissions) connections.insert(sent.connection);
  return same_id || connections.size() == 1;
}

}  // namespace

void Checker::check_order_of(const std::vector<const Send*>& sends, const Reader& reader) {
  struct Placed {
    const Send* send;
    Seq seq;
  };
  std::vector<Placed> placed;
  for (const Send* send : sends) {
    const auto rows = archive_.with_text(send->text);
    if (!rows.empty()) placed.push_back({send, rows.front()->seq});
  }
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.seq < b.seq; });
  for (std::size_t later = 1; later < placed.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!must_precede(*placed[later].send, *placed[earlier].send, reader.same_id)) continue;
      fail("order",
           "published before \"" + placed[earlier].send->text + "\" and stored after it, as " +
               std::to_string(placed[later].seq) + " after " + std::to_string(placed[earlier].seq),
           placed[later].send->text);
    }
  }
}

void Checker::check_sending_order(const Round& round) {
  std::map<std::pair<int, std::string>, std::vector<const Send*>> lines;
  for (const Send& send : round.sends) {
    const bool failed_once =
        std::any_of(send.answers.begin(), send.answers.end(),
                    [](const Answer& answer) { return answer.reason >= failure_reason; });
    // A repeat of what an earlier round stored, a will, and what was turned away say nothing.
    if (send.will != WillDue::no_will || failed_once || !send.refusal.empty()) continue;
    if (known_.at(send.text).transmissions.size() != send.transmissions.size()) continue;
    lines[{send.client, send.conversation}].push_back(&send);
  }
  std::map<int, const Reader*> readers;
  for (const Reader& reader : round.readers) readers[reader.client] = &reader;
  for (const auto& [line, sends] : lines) {
    const auto reader = readers.find(line.first);
    if (reader != readers.end()) check_order_of(sends, *reader->second);
  }
}

}  // namespace parley::fault
