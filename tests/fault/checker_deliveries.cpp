// The checker's part about what clients received.
#include <algorithm>
#include <utility>

#include "tests/fault/checker.hpp"

namespace parley::fault {

namespace {

std::string where(const SessionLog& session, const Reader& reader, FeedFormat feed) {
  return reader.client_id + " (connection " + std::to_string(session.connection) + ", " +
         to_string(feed.first) + "." + to_string(feed.second) + ")";
}

}  // namespace

Checker::Position& Checker::position(const Reader& reader, const SessionLog& session,
                                     FeedFormat feed, const std::string& conversation) {
  // What an observer holds ends with its connection, and what a device holds stays.
  const bool lasting = reader.kind == ReaderKind::device || reader.kind == ReaderKind::sole;
  const std::string who = lasting ? "client " + std::to_string(reader.client)
                                  : "connection " + std::to_string(session.connection);
  Position& position = positions_[{who, feed, conversation}];
  if (lasting) position.begun = true;
  return position;
}

/// @param high, last  what came next may be what follows one of them: the same text may be in
///                    several rows, and the format may not say which one it is
Seq Checker::resolve(const Delivery& delivery, Seq high, Seq last, const std::string& user) const {
  if (delivery.seq != 0) return delivery.seq;
  const auto next = [&](Seq from) {
    return archive_.next(delivery.conversation, user, delivery.feed, from);
  };
  Seq found = 0;
  for (const Row* row : archive_.with_text(delivery.text)) {
    if (row->conversation != delivery.conversation) continue;
    if (found == 0 || row->seq == next(high) || row->seq == next(last)) found = row->seq;
  }
  return found;
}

void Checker::find_live(const Round& round, const SessionLog& session) {
  due_live_.clear();
  // Live begins some time after the SUBACK, at the latest with the first delivery. Of what was
  // published before, nobody can say whether it was stored before that.
  if (!session.deliveries.empty()) {
    live_since_.try_emplace(session.connection, session.deliveries.front().at);
  }
  const auto begun = live_since_.find(session.connection);
  const Micros live_since =
      begun != live_since_.end() ? begun->second : session.subscribed_at + live_within;
  if (session.subscribed_at == 0) return;
  std::map<std::string, Micros> first_sent;
  for (const Send& send : round.sends) {
    if (send.transmissions.empty()) continue;
    const Micros at = send.transmissions.front().at;
    const auto [entry, fresh] = first_sent.try_emplace(send.text, at);
    if (!fresh) entry->second = std::min(entry->second, at);
  }
  for (const auto& [text, at] : first_sent) {
    if (at > live_since) due_live_.insert(text);
  }
}

void Checker::check_session(const Round& round, const SessionLog& session, const Reader& reader) {
  for (const std::string& topic : session.strange_topics) {
    fail("foreign", reader.client_id + " was given a publication on " + topic);
  }
  if (reader.kind == ReaderKind::observer) find_live(round, session);
  auto truncation = session.truncations.begin();
  auto mark = session.marks.begin();
  const auto say = [&] {
    Seq& highest = said_[{reader.client, mark->conversation}];
    highest = std::max(highest, mark->seq);
  };
  for (const Delivery& delivery : session.deliveries) {
    for (; mark != session.marks.end() && mark->at <= delivery.at; ++mark) say();
    for (; truncation != session.truncations.end() && truncation->at <= delivery.at; ++truncation) {
      truncate(reader, session, *truncation);
    }
    ++counts_.delivered;
    check_delivery(session, reader, delivery);
  }
  for (; truncation != session.truncations.end(); ++truncation) {
    truncate(reader, session, *truncation);
  }
  for (; mark != session.marks.end(); ++mark) say();
  if (reader.kind == ReaderKind::observer) check_observer_complete(round, session, reader);
}

void Checker::truncate(const Reader& reader, const SessionLog& session, const Mark& truncation) {
  for (const FeedFormat& feed : reader.feeds) {
    Position& held = position(reader, session, feed, truncation.conversation);
    held.high = std::max(held.high, truncation.seq - 1);
    held.cut_off = std::max(held.cut_off, truncation.seq - 1);
  }
}

void Checker::check_delivery(const SessionLog& session, const Reader& reader,
                             const Delivery& delivery) {
  const FeedFormat feed{delivery.feed, delivery.format};
  const std::string at = where(session, reader, feed);
  if (!membership_.is_member(reader.user, delivery.conversation)) {
    return fail("foreign", at + " was given a message of " + delivery.conversation, delivery.text);
  }
  if (!reader.feeds.contains(feed)) {
    return fail("foreign", at + " never subscribed that", delivery.text);
  }
  const Position& held = position(reader, session, feed, delivery.conversation);
  const Seq last = held.connection == session.connection ? held.last : held.high;
  const Seq seq = resolve(delivery, held.high, last, reader.user);
  const Row* row = archive_.at(delivery.conversation, seq);
  if (row == nullptr) {
    return fail("content",
                at + " was given what is not stored, as " + delivery.conversation + " " +
                    std::to_string(delivery.seq),
                delivery.text);
  }
  if (row->text != delivery.text || (!delivery.from.empty() && delivery.from != row->sender)) {
    return fail("content",
                at + " was given another content as " + delivery.conversation + " " +
                    std::to_string(seq) + ", where \"" + row->text + "\" of " + row->sender + " is",
                delivery.text);
  }
  if ((row->sender == reader.user) != (delivery.feed == Feed::sent)) {
    return fail("feed", at + " was given a message of " + row->sender, delivery.text);
  }
  advance(session, reader, delivery, seq);
}

void Checker::advance(const SessionLog& session, const Reader& reader, const Delivery& delivery,
                      Seq seq) {
  const FeedFormat feed{delivery.feed, delivery.format};
  Position& held = position(reader, session, feed, delivery.conversation);
  if (!held.begun) {
    held.begun = true;
    held.high = held.last = held.high_now = seq;
    held.connection = session.connection;
    return;
  }
  check_repeat(session, reader, delivery, seq);
  if (seq <= held.high) {
    ++counts_.redelivered;
    return;
  }
  Seq next = archive_.next(delivery.conversation, reader.user, delivery.feed, held.high);
  // An observer may see a replay of what was stored before it came, and is due what came after it.
  while (reader.kind == ReaderKind::observer && next < seq &&
         !due_live_.contains(archive_.at(delivery.conversation, next)->text)) {
    next = archive_.next(delivery.conversation, reader.user, delivery.feed, next);
  }
  if (seq > next) {
    fail("gap",
         where(session, reader, feed) + " was given " + delivery.conversation + " " +
             std::to_string(seq) + " and had not got " + std::to_string(next),
         archive_.at(delivery.conversation, next)->text);
  }
  held.high = seq;
}

/// A repeat begins where the client stands, and then goes on in order.
void Checker::check_repeat(const SessionLog& session, const Reader& reader,
                           const Delivery& delivery, Seq seq) {
  const FeedFormat feed{delivery.feed, delivery.format};
  Position& held = position(reader, session, feed, delivery.conversation);
  const bool first = std::exchange(held.connection, session.connection) != session.connection;
  const Seq before = std::exchange(held.last, seq);
  const Seq high_before = first ? 0 : held.high_now;
  held.high_now = std::max(high_before, seq);
  if (reader.kind == ReaderKind::observer) return;
  const auto skipped = [&](Seq due) {
    fail("gap",
         where(session, reader, feed) + " was given " + delivery.conversation + " " +
             std::to_string(seq) + " once more behind " +
             std::to_string(first ? high_before : before),
         archive_.at(delivery.conversation, due)->text);
  };
  const auto next = [&](Seq from) {
    return archive_.next(delivery.conversation, reader.user, delivery.feed, from);
  };
  if (seq <= high_before) {
    const Seq due = next(before);
    if (seq > before && seq > due) skipped(due);
    return;
  }
  // What the broker kept for a session that is still there comes as it was left. (After a broker's
  // crash that may be a late repeat of what it got before.) Where one begins that confirms nothing,
  // only the server knows.
  if (session.session_present || (first && !reader.confirms)) return;
  const Seq stands = std::max(said(reader.client, delivery.conversation), held.cut_off);
  const Seq due = next(std::max(high_before, stands));
  if (due != 0 && due < seq && due <= held.high) skipped(due);
}

Seq Checker::said(int client, const std::string& conversation) const {
  const auto highest = said_.find({client, conversation});
  return highest == said_.end() ? 0 : highest->second;
}

/// The highest seq that the user's `got` may be at: who confirms has said it, or has sent from
/// a session that gets messages, which says that he has read what came before.
Seq Checker::accounted_for(const Round& round, const std::string& user,
                           const std::string& conversation) const {
  Seq highest = 0;
  std::set<int> senders;
  for (const Reader& reader : round.readers) {
    if (reader.user != user) continue;
    highest = std::max(highest, said(reader.client, conversation));
    if (reader.kind != ReaderKind::none) senders.insert(reader.client);
  }
  for (Seq seq = archive_.last(conversation); seq > highest; --seq) {
    const Row& row = *archive_.at(conversation, seq);
    const auto send = known_.find(row.text);
    if (row.sender != user || send == known_.end()) continue;
    if (senders.contains(send->second.client)) return seq;
  }
  return highest;
}

void Checker::check_marks(const Round& round) {
  std::map<std::string, const Reader*> devices;  // by client id
  std::set<std::string> unsaid;  // users for whom the server may count what nobody has said
  for (const Reader& reader : round.readers) {
    if (reader.kind == ReaderKind::device) devices[reader.client_id] = &reader;
    const bool silent = reader.kind == ReaderKind::device && !reader.confirms;
    if (silent || reader.kind == ReaderKind::sole) unsaid.insert(reader.user);
  }
  for (const DeviceMark& mark : round.device_marks) {
    const auto reader = devices.find(mark.client_id);
    if (reader == devices.end() || !reader->second->confirms) continue;
    const Seq highest = said(reader->second->client, mark.conversation);
    if (mark.got <= highest) continue;
    fail("got", mark.client_id + " is believed to hold " + mark.conversation + " up to " +
                    std::to_string(mark.got) + " and has said " + std::to_string(highest));
  }
  for (const Cursor& cursor : round.cursors) {
    if (unsaid.contains(cursor.user)) continue;
    const Seq highest = accounted_for(round, cursor.user, cursor.conversation);
    if (cursor.got <= highest && cursor.read <= highest) continue;
    fail("got", cursor.user + " is believed to have got " + std::to_string(cursor.got) +
                    " and read " + std::to_string(cursor.read) + " of " + cursor.conversation +
                    ", and his devices account for " + std::to_string(highest));
  }
}

void Checker::check_observer_complete(const Round& round, const SessionLog& session,
                                      const Reader& reader) {
  std::map<std::pair<FeedFormat, std::string>, std::pair<Seq, Seq>> seen;  // first, last
  for (const Delivery& delivery : session.deliveries) {
    const FeedFormat feed{delivery.feed, delivery.format};
    const Seq seq = resolve(delivery, 0, 0, reader.user);
    const auto [entry, fresh] = seen.try_emplace({feed, delivery.conversation}, seq, seq);
    entry->second.first = std::min(entry->second.first, seq);
    entry->second.second = std::max(entry->second.second, seq);
  }
  for (const Row& row : round.rows) {
    if (!due_live_.contains(row.text) || !membership_.is_member(reader.user, row.conversation)) {
      continue;
    }
    const Feed feed = row.sender == reader.user ? Feed::sent : Feed::inbox;
    for (const FeedFormat& entitled : reader.feeds) {
      if (entitled.first != feed) continue;
      const auto range = seen.find({entitled, row.conversation});
      const bool before = range != seen.end() && row.seq < range->second.first;
      const bool after =
          session.ended_at == 0 && (range == seen.end() || row.seq > range->second.second);
      if (before || after) {
        fail("live",
             where(session, reader, entitled) + " was up and did not get " + row.conversation +
                 " " + std::to_string(row.seq),
             row.text);
      }
    }
  }
}

void Checker::check_complete(const Round& round) {
  for (const Reader& reader : round.readers) {
    if (reader.kind != ReaderKind::device && reader.kind != ReaderKind::sole) continue;
    for (const std::string& conversation : archive_.conversations()) {
      if (!membership_.is_member(reader.user, conversation)) continue;
      for (const FeedFormat& feed : reader.feeds) {
        const Seq due = archive_.newest(conversation, reader.user, feed.first);
        const auto held =
            positions_.find({"client " + std::to_string(reader.client), feed, conversation});
        const Seq high = held == positions_.end() ? 0 : held->second.high;
        if (high >= due) continue;
        const Seq missing = archive_.next(conversation, reader.user, feed.first, high);
        fail("complete",
             reader.client_id + " never got " + conversation + " " + std::to_string(missing) +
                 " up to " + std::to_string(due) + " on " + to_string(feed.first) + "." +
                 to_string(feed.second),
             archive_.at(conversation, missing)->text);
      }
    }
  }
}

void Checker::check_foreign(const Round& round) {
  for (const ForeignLog& log : round.foreign) {
    const std::set<std::int64_t> received(log.received.begin(), log.received.end());
    const std::int64_t last = log.received.empty() ? 0 : log.received.back();
    for (const std::int64_t number : log.taken) {
      if (received.contains(number) || (number > last && !log.ended_in_order)) continue;
      fail("coexistence", "publish " + std::to_string(number) +
                              " of a foreign device on connection " +
                              std::to_string(log.connection) + " was PUBACKed and did not arrive");
    }
  }
}

}  // namespace parley::fault
