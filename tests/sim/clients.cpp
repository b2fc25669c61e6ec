// The clients of tests/sim/world: what they do, and what they may see.

#include <algorithm>
#include <charconv>
#include <utility>

#include "tests/sim/world.hpp"

namespace parley::sim {
namespace {

/// The number behind `"name":` in a JSON text of ours.
Seq number_in(std::string_view json, std::string_view name) {
  const std::string key = "\"" + std::string{name} + "\":";
  const auto at = json.find(key);
  Seq value = 0;
  if (at != std::string_view::npos) {
    std::from_chars(json.data() + at + key.size(), json.data() + json.size(), value);
  }
  return value;
}

std::string_view text_in(std::string_view json) {
  constexpr std::string_view key = "\"text\":\"";
  const auto at = json.find(key);
  if (at == std::string_view::npos) return {};
  json.remove_prefix(at + key.size());
  return json.substr(0, json.find('"'));
}

}  // namespace

void World::connect(Client& client) {
  if (!broker_.running()) return;
  Login login;
  login.client_id = client.name;
  login.user = client.user;
  login.password = tokens_.at(client.user);
  login.clean = client.clean;
  login.protocol = client.protocol;
  client.place = broker_.connect(login);
  if (client.place == nullptr) return violated(client.name + " was refused");
  client.connection = broker_.connection_of(client.place);
  trace(client.name + " connects");
  // One that is not known to confirm has to keep up.
  if (client.slow && database_.confirms(client.user_id, client.device)) {
    broker_.keep_at_most(client.place, profile_.unconfirmed_max * 5 / 2);
  }
  // A session without a device begins at the user's `got` each time.
  if (client.device.empty()) client.seen.clear();
  const bool resumed = !broker_.context(client.place).filters.empty();
  if (resumed && random_.percent(50)) return;
  const std::string mine = "im/u/" + client.user + "/";
  const std::vector<std::string> wanted =
      client.json ? std::vector<std::string>{"inbox.json/#", "sent.json/#", "ack/+"}
                  : std::vector<std::string>{"inbox/+", "ack/+"};
  for (const auto& filter : wanted) {
    if (!broker_.subscribe(client.place, mine + filter)) violated("not subscribed: " + filter);
  }
}

void World::disconnect(Client& client) {
  if (client.connection == 0) return;
  trace(client.name + " disconnects");
  if (broker_.connection_of(client.place) == client.connection) broker_.disconnect(client.place);
  client.connection = 0;
}

void World::receive(std::size_t index) {
  Client& client = clients_[index];
  if (client.connection == 0) return;
  if (!broker_.running() || broker_.connection_of(client.place) != client.connection) {
    client.connection = 0;
    return;
  }
  auto& out = broker_.context(client.place).out;
  if (out.empty()) return;
  const Packet packet = std::move(out.front());
  out.pop_front();
  std::string_view rest = packet.topic;
  rest.remove_prefix(std::string_view{"im/u/"}.size() + client.user.size() + 1);
  const auto slash = rest.find('/');
  const std::string_view verb = rest.substr(0, slash);
  const std::string_view argument = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  if (verb.starts_with("inbox") || verb.starts_with("sent")) {
    receive_message(client, argument, packet.payload);
  } else if (verb == "ack") {
    receive_ack(client, std::string{argument}, packet.payload);
  }
}

bool World::visible(const Client& client, std::int64_t conversation, Seq seq) const {
  const Row& row = database_.conversations().at(conversation).rows.at(seq - 1);
  return client.json || row.sender != client.user_id;
}

Seq World::base_of(const Client& client, std::int64_t conversation, Seq seq) const {
  if (client.observes) return seq - 1;
  if (client.device.empty()) {
    return std::min(database_.user_mark(client.user_id, conversation), seq - 1);
  }
  return database_.first_device_mark(client.user_id, client.device, conversation);
}

void World::receive_message(Client& client, std::string_view conv, std::string_view payload) {
  std::string_view text = client.json ? text_in(payload) : payload;
  if (!client.json && conv == "ops") text.remove_prefix(text.find(": ") + 2);
  const Row* const row = database_.by_text(text);
  if (row == nullptr) return violated(client.name + " was given something that is not stored");
  const auto conversation = database_.conversation_of(*row);
  if (database_.conv_name(conversation, client.user_id) != conv) {
    return violated(client.name + " was given a message of another conversation");
  }
  const Seq seq = row->seq;
  if (client.json && number_in(payload, "seq") != seq)
    return violated("delivered with a wrong seq");
  if (!visible(client, conversation, seq)) return violated("an own message came back as another's");
  trace(client.name + " gets " + std::string{conv} + "/" + std::to_string(seq));
  auto [seen, first] = client.seen.try_emplace(conversation, 0);
  if (first) seen->second = base_of(client, conversation, seq);
  if (seq <= seen->second) {
    ++counts_.repeated;
    client.confirmed.erase(conversation);  // the server does not seem to know
    return;
  }
  // Without a device it begins at the user's `got` whenever it is brought up to date again, and
  // sending raises that to what was sent (docs/protocol.md, "Guarantees").
  const Seq from = client.device.empty()
                       ? std::max(seen->second, base_of(client, conversation, seq))
                       : seen->second;
  for (Seq missing = from + 1; missing < seq; ++missing) {
    if (client.observes || !visible(client, conversation, missing)) continue;
    return violated(client.name + " was given " + std::string{conv} + "/" + std::to_string(seq) +
                    " without " + std::to_string(missing));
  }
  seen->second = seq;
  ++counts_.delivered;
}

void World::receive_ack(Client& client, const std::string& id, std::string_view payload) {
  ++counts_.acks;
  trace(client.name + " hears " + id + " " + std::string{payload});
  constexpr std::string_view stored = "stored ";
  const Row* const row = id == "-" ? nullptr : database_.by_id(client.user_id, id);
  if (payload.starts_with(stored)) {
    payload.remove_prefix(stored.size());
    Seq seq = 0;
    std::from_chars(payload.data(), payload.data() + payload.size(), seq);
    if (id != "-" && (row == nullptr || row->seq != seq)) violated("acked and not stored: " + id);
  } else if (row != nullptr) {
    violated("refused and stored: " + id);
  }
}

void World::confirm(Client& client) {
  if (!client.confirms || client.seen.empty()) return;
  auto at = client.seen.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(random_.below(client.seen.size())));
  confirm(client, at->first, at->second);
}

void World::confirm_the_rest(Client& client) {
  if (!client.confirms) return;
  for (const auto& [conversation, seq] : client.seen) {
    if (client.confirmed[conversation] < seq) confirm(client, conversation, seq);
  }
}

void World::confirm(Client& client, std::int64_t conversation, Seq seq) {
  if (seq == 0 || client.connection == 0 || !broker_.running()) return;
  if (broker_.connection_of(client.place) != client.connection) return;
  Accepted accepted;
  accepted.is_mark = true;
  accepted.user_id = client.user_id;
  accepted.device = client.device;
  accepted.conv = database_.conv_name(conversation, client.user_id);
  accepted.mark = seq;
  const IngestNo before = broker_.plugin().spool.next();
  trace(client.name + " has got " + accepted.conv + "/" + std::to_string(accepted.mark));
  broker_.publish(client.place, "im/u/" + client.user + "/got/" + accepted.conv,
                  std::to_string(accepted.mark), static_cast<int>(random_.below(2)));
  // A full spool drops it. Then the next one heals that, if there is something to say it about: so
  // it is said again.
  if (broker_.running() && broker_.plugin().spool.next() != before) {
    client.confirmed[conversation] = seq;
  }
  accept(client, before, std::move(accepted));
}

void World::publish() {
  std::vector<std::size_t> live;
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i].connection != 0) live.push_back(i);
  }
  if (live.empty()) return;
  Send send;
  send.client = live[random_.below(live.size())];
  send.to = targets_[random_.below(targets_.size())];
  send.text = "m" + std::to_string(++texts_);
  if (random_.permille(profile_.poison)) {
    // One is enough: it holds its lane for a minute.
    const bool parks = std::exchange(profile_.poison_that_parks, false);
    send.text = std::string{parks ? poison_other : poison_data} + send.text;
  } else {
    send.text += " " + std::string(random_.below(profile_.text_bytes_max), 'x');
  }
  if (random_.percent(50)) send.id = "r" + std::to_string(texts_);
  send.qos = random_.percent(80) ? 1 : 0;
  publish(send);
  const bool parks = send.text.starts_with(poison_other);
  if (!send.id.empty() && !parks && random_.percent(30)) repeats_.push_back(send);
}

Published World::publish(const Send& send) {
  Client& client = clients_[send.client];
  if (!broker_.running() || broker_.connection_of(client.place) != client.connection) {
    client.connection = 0;
    return Published::disconnected;
  }
  const IngestNo before = broker_.plugin().spool.next();
  std::string topic = "im/u/" + client.user + "/send/" + send.to;
  if (!send.id.empty()) topic += "/" + send.id;
  const auto result = broker_.publish(client.place, topic, send.text, send.qos);
  if (result == Published::disconnected) client.connection = 0;
  const bool kept = broker_.plugin().spool.next() != before;
  trace(client.name + " sends " + send.to + " " + send.id + " " + send.text.substr(0, 20) +
        (kept ? " taken" : " not taken"));
  // A PUBACK for something that is not kept would be a lie; 3.1.1 has no other way to say no.
  if (!kept && send.qos > 0 && result == Published::taken) violated("PUBACK and not in the spool");
  if (!kept) ++counts_.busy;
  Accepted accepted;
  accepted.user_id = client.user_id;
  accepted.text = send.text;
  accepted.id = send.id;
  accepted.parks = send.to != "nobody" && send.text.starts_with(poison_other);
  accepted.refusable = accepted.parks || send.to == "nobody" || send.text.starts_with(poison_data);
  accept(client, before, std::move(accepted));
  return result;
}

void World::accept(const Client&, IngestNo before, Accepted accepted) {
  if (!broker_.running()) return;
  const auto& spool = broker_.plugin().spool;
  if (spool.next() == before) return;
  ++counts_.accepted;
  open_[{spool.spool_id(), spool.next() - 1}] = std::move(accepted);
}

}  // namespace parley::sim
