// Rounds for tests of the fault rounds' judge.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/fault/checker.hpp"

namespace parley::fault {

inline constexpr FeedFormat inbox_json{Feed::inbox, Format::json};
inline constexpr FeedFormat inbox_text{Feed::inbox, Format::text};
inline constexpr FeedFormat sent_json{Feed::sent, Format::json};

inline constexpr int ann_client = 1;
inline constexpr int ben_client = 2;
inline constexpr int view_client = 3;

inline Membership membership() { return {.rooms = {{"ops", {"ann", "ben"}}, {"den", {"cat"}}}}; }

inline Delivery delivery(FeedFormat feed, Seq seq, const std::string& text) {
  return {.feed = feed.first,
          .format = feed.second,
          .conversation = "ann|ben",
          .from = "ann",
          .seq = seq,
          .text = text,
          .at = 10 * seq + 2};
}

/// Ann sends m1, m2, m3 to Ben, who gets them on a named device and watches with a second session.
/// m2 has no id and is QoS 2. Nothing is wrong with it.
inline Round good_round() {
  Round round;
  round.readers = {{.client = ann_client,
                    .user = "ann",
                    .client_id = "ann.pc",
                    .kind = ReaderKind::device,
                    .same_id = true,
                    .feeds = {sent_json}},
                   {.client = ben_client,
                    .user = "ben",
                    .client_id = "ben.phone",
                    .kind = ReaderKind::device,
                    .confirms = true,
                    .same_id = true,
                    .feeds = {inbox_json}},
                   {.client = view_client,
                    .user = "ben",
                    .client_id = "ben-view",
                    .kind = ReaderKind::observer,
                    .feeds = {inbox_text}}};
  SessionLog ann{.client = ann_client, .connection = 1, .connected_at = 1, .subscribed_at = 2};
  SessionLog ben{.client = ben_client, .connection = 2, .connected_at = 1, .subscribed_at = 2};
  SessionLog view{.client = view_client, .connection = 3, .connected_at = 1, .subscribed_at = 2};
  for (Seq seq = 1; seq <= 3; ++seq) {
    const std::string text = "m" + std::to_string(seq);
    const std::string id = seq == 2 ? "" : "id" + std::to_string(seq);
    round.sends.push_back({.client = ann_client,
                           .user = "ann",
                           .conversation = "ann|ben",
                           .to = "ben",
                           .id = id,
                           .text = text,
                           .qos = seq == 2 ? 2 : 1,
                           .transmissions = {{1, 10 * seq}},
                           .answers = {{1, 10 * seq + 1, 0}}});
    round.acks.push_back({.client = ann_client,
                          .connection = 1,
                          .at = 10 * seq + 5,
                          .user = "ann",
                          .id = id,
                          .conversation = "ann|ben",
                          .seq = seq});
    round.rows.push_back({.conversation = "ann|ben",
                          .seq = seq,
                          .rev = seq,
                          .sender = "ann",
                          .request_id = id,
                          .text = text});
    ann.deliveries.push_back(delivery(sent_json, seq, text));
    ben.deliveries.push_back(delivery(inbox_json, seq, text));
    view.deliveries.push_back(delivery(inbox_text, seq, text));
    view.deliveries.back().seq = 0;  // MQTT 3.1.1: the text alone
  }
  ben.marks = {{"ann|ben", 3, 35}};
  round.device_marks = {{.conversation = "ann|ben", .client_id = "ben.phone", .got = 3}};
  round.sessions = {ann, ben, view};
  round.heads = {{.conversation = "ann|ben",
                  .last_seq = 3,
                  .last_rev = 3,
                  .rows = 3,
                  .seq_max = 3,
                  .rev_max = 3}};
  round.cursors = {{.conversation = "ann|ben", .user = "ben", .got = 3, .read = 1}};
  round.orphans = {{"messages of nobody", 0}};
  round.foreign = {{.connection = 9, .taken = {1, 2}, .received = {1, 2}, .ended_in_order = true}};
  return round;
}

/// What a fresh checker finds, as the names of the checks, each once.
inline std::set<std::string> found(const Round& round) {
  Checker checker{membership()};
  std::set<std::string> names;
  for (const Violation& violation : checker.check(round)) names.insert(violation.check);
  return names;
}

using Names = std::set<std::string>;

inline Delivery& ben_gets(Round& round, std::size_t index) {
  return round.sessions[1].deliveries[index];
}

template <class Items>
void erase_at(Items& items, std::size_t index) {
  items.erase(items.begin() + static_cast<std::ptrdiff_t>(index));
}

}  // namespace parley::fault
