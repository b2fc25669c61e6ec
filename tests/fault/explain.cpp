// The history of one message, for people.
#include <cstdio>

#include "tests/fault/checker.hpp"

namespace parley::fault {

namespace {

std::string at(Micros time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f s", static_cast<double>(time) / 1e6);
  return text;
}

std::string line(Micros time, const std::string& what) {
  return "    " + at(time) + "  " + what + "\n";
}

std::string connection(int number) { return "connection " + std::to_string(number); }

std::string explain_send(const Round& round, const Send& send) {
  std::string text = "    sent by " + send.user + ", client " + std::to_string(send.client) +
                     ", to " + send.to + ", id \"" + send.id + "\", QoS " +
                     std::to_string(send.qos) + ", " + to_string(send.format) +
                     (send.refusal.empty() ? "" : ", due: " + send.refusal) + "\n";
  for (const Transmission& sent : send.transmissions) {
    text += line(sent.at, "PUBLISH on " + connection(sent.connection));
  }
  for (const Answer& answer : send.answers) {
    text += line(answer.at, "PUBACK or PUBREC " + std::to_string(answer.reason) + " on " +
                                connection(answer.connection));
  }
  for (const SessionLog& session : round.sessions) {
    for (const Transmission& sent : send.transmissions) {
      if (session.connection != sent.connection) continue;
      text += line(session.connected_at, connection(session.connection) + " began" +
                                             (session.session_present ? ", session present" : ""));
      if (session.ended_at != 0) {
        text +=
            line(session.ended_at, connection(session.connection) + " ended: " + session.ended_by);
      }
      break;
    }
  }
  for (const AckSeen& ack : round.acks) {
    const bool mine = (!ack.id.empty() && ack.user == send.user && ack.id == send.id) ||
                      (!ack.correlation.empty() && ack.correlation == send.correlation);
    if (!mine) continue;
    text += line(ack.at,
                 "ack on " + connection(ack.connection) + ": " +
                     (ack.seq > 0 ? "stored " + std::to_string(ack.seq) : "refused " + ack.code));
  }
  return text;
}

}  // namespace

std::string explain(const Round& round, const Archive& archive, const std::string& text) {
  std::string out = "    message \"" + text.substr(0, 80) + "\"\n";
  for (const Send& send : round.sends) {
    if (send.text == text) out += explain_send(round, send);
  }
  for (const Row* row : archive.with_text(text)) {
    out += "    row " + row->conversation + " " + std::to_string(row->seq) + " from " +
           row->sender + ", id \"" + row->request_id + "\"\n";
  }
  for (const SessionLog& session : round.sessions) {
    for (const Delivery& delivery : session.deliveries) {
      if (delivery.text != text) continue;
      std::string who = "client " + std::to_string(session.client);
      for (const Reader& reader : round.readers) {
        if (reader.client == session.client) who = reader.client_id;
      }
      out += line(delivery.at, "delivered to " + who + " on " + connection(session.connection) +
                                   ", " + to_string(delivery.feed) + "." +
                                   to_string(delivery.format) + ", as " + delivery.conversation +
                                   " " + std::to_string(delivery.seq));
    }
  }
  return out;
}

}  // namespace parley::fault
