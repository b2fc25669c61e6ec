// What clients did and saw, and what the database holds: everything that the checker judges.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace parley::fault {

/// Steady clock, microseconds since the program began.
using Micros = std::int64_t;
using Seq = std::int64_t;

/// How long it may take until a session gets live messages: the worker may have been away.
inline constexpr Micros live_within = 10'000'000;

enum class Format : std::uint8_t { text, json, protobuf };
/// Others' messages come on inbox, one's own on sent.
enum class Feed : std::uint8_t { inbox, sent };
using FeedFormat = std::pair<Feed, Format>;

/// One PUBLISH packet of a message. `connection` is unique in the whole run.
struct Transmission {
  int connection = 0;
  Micros at = 0;
};

/// PUBACK, or PUBREC of QoS 2: the broker took the message over, or said why not.
struct Answer {
  int connection = 0;
  Micros at = 0;
  int reason = 0;
};

/// MQTT 5: reason codes from here on say no.
inline constexpr int failure_reason = 0x80;

/// What a Last Will must have come to.
enum class WillDue : std::uint8_t { no_will, unknown, must, must_not };

/// One message that a client meant to send, however often it published it.
struct Send {
  int client = 0;
  std::string user{};
  std::string conversation{};  // see conversation_of
  std::string to{};
  std::string id{};    // empty: none
  std::string text{};  // unique in the run; a repeat of an id has the text of the first
  int qos = 1;
  Format format = Format::text;
  std::string refusal{};  // the code that is due; empty: it has to be stored
  WillDue will = WillDue::no_will;
  std::string correlation{};  // MQTT 5: the answer carries it; empty: none
  std::vector<Transmission> transmissions{};
  std::vector<Answer> answers{};
};

/// An answer of Parley: an ack on any of the topics for it.
struct AckSeen {
  int client = 0;
  int connection = 0;
  Micros at = 0;
  std::string user{};
  std::string id{};            // empty: the request had none
  std::string correlation{};   // empty: none
  std::string conversation{};  // empty: the format does not say
  Seq seq = 0;                 // 0: refused
  std::string code{};          // of the refusal
};

struct Delivery {
  Feed feed = Feed::inbox;
  Format format = Format::text;
  std::string conversation{};
  std::string from{};  // empty: the format does not say
  Seq seq = 0;         // 0: the format does not say
  std::string text{};
  Micros at = 0;
};

struct Mark {
  std::string conversation{};
  Seq seq = 0;
  Micros at = 0;
};

/// One CONNECT that was accepted.
struct SessionLog {
  int client = 0;
  int connection = 0;
  Micros connected_at = 0;
  Micros subscribed_at = 0;  // every SUBACK was there; 0: never
  Micros ended_at = 0;       // 0: it is still up
  std::string ended_by{};
  bool session_present = false;
  std::vector<Delivery> deliveries{};
  std::vector<Mark> marks{};                  // got and read, as published
  std::vector<Mark> truncations{};            // `truncated`: the first seq that follows
  std::vector<std::string> strange_topics{};  // of publications that are not below "im/u/<me>/"
};

/// What one client is entitled to.
enum class ReaderKind : std::uint8_t {
  none,      // subscribes no inbox
  observer,  // an unnamed session beside named devices: live messages only
  device,    // a named device
  sole,      // the only reader of a user without named devices
};

struct Reader {
  int client = 0;
  std::string user{};
  std::string client_id{};
  ReaderKind kind = ReaderKind::none;
  bool confirms = false;
  bool same_id = false;  // it always connects with this client id
  std::set<FeedFormat> feeds{};
};

struct Row {
  std::string conversation{};
  Seq seq = 0;
  Seq rev = 0;
  std::string sender{};
  std::string request_id{};
  std::string text{};
};

/// conversation_heads beside what is stored.
struct Head {
  std::string conversation{};
  Seq last_seq = 0;
  Seq last_rev = 0;
  Seq rows = 0;
  Seq seq_max = 0;
  Seq rev_max = 0;
};

struct Cursor {
  std::string conversation{};
  std::string user{};
  Seq got = 0;
  Seq read = 0;
};

/// Up to where the server believes that a named device holds a conversation.
struct DeviceMark {
  std::string conversation{};
  std::string client_id{};
  Seq got = 0;
};

/// A publish of somebody who has nothing to do with Parley, and what its subscriber saw.
struct ForeignLog {
  int connection = 0;
  std::vector<std::int64_t> taken{};     // numbers whose PUBACK came
  std::vector<std::int64_t> received{};  // on the same connection
  bool ended_in_order = false;           // a PINGRESP came after everything
};

/// One round: what happened since the last one was settled.
struct Round {
  std::vector<Reader> readers{};
  std::vector<Send> sends{};
  std::vector<AckSeen> acks{};
  std::vector<SessionLog> sessions{};
  std::vector<ForeignLog> foreign{};
  std::vector<Row> rows{};  // new ones, by conversation and seq
  std::vector<Head> heads{};
  std::vector<Cursor> cursors{};
  std::vector<DeviceMark> device_marks{};
  std::vector<std::pair<std::string, std::int64_t>> orphans{};  // what, how many
  /// What the broker had taken until then and had not been stored may be gone (a spool was
  /// destroyed). 0: nothing was destroyed.
  Micros void_until = 0;
  /// Clients that did not come to rest before the deadline: what each still waited for.
  std::vector<std::string> stuck{};
  /// What clients could not make sense of: who, and why.
  std::vector<std::string> failures{};
};

/// Who is in which conversation. 1:1 conversations hold the two in their name.
struct Membership {
  std::map<std::string, std::set<std::string>> rooms{};

  /// How the conversation is called here: "ann|ben", or "#room".
  [[nodiscard]] std::string conversation_of(const std::string& me, const std::string& conv) const;
  [[nodiscard]] bool is_member(const std::string& user, const std::string& conversation) const;
};

}  // namespace parley::fault
