#include "tools/load/exchange.hpp"

#include <algorithm>
#include <charconv>

#include "tools/load/exchange_parts.hpp"
#include "tools/load/message_text.hpp"

namespace parley::load {
namespace {

constexpr std::int64_t progress_every_ns = ns_per_s / 4;
constexpr std::int64_t reconnect_step_ns = ns_per_s / 200;
constexpr std::size_t logins_at_once = 64;

std::optional<std::uint32_t> stored_seq(std::string_view payload) {
  constexpr std::string_view stored = "stored ";
  std::uint32_t seq = 0;
  if (!payload.starts_with(stored)) return std::nullopt;
  const char* const end = payload.data() + payload.size();
  const auto read = std::from_chars(payload.data() + stored.size(), end, seq);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return seq;
}

}  // namespace

// ---- Writer ----

void Exchange::Writer::prepare(std::string_view topic, std::string_view text) {
  Publication publication;
  publication.topic = topic;
  publication.payload = text;
  frame_ = encode_publish(publication, 4);
  text_at_ = frame_.size() - text.size();
}

void Exchange::Writer::send_next(std::int64_t due) {
  const std::uint16_t id = next_packet_id();
  if (sent_ == 0) first_id_ = id;
  frame_[text_at_ - 2] = static_cast<char>(id >> 8U);
  frame_[text_at_ - 1] = static_cast<char>(id & 0xffU);
  set_number(frame_.data() + text_at_, ++sent_);
  under_way(sent_) = {due, static_cast<std::uint32_t>(readers_ + 1)};
  write(frame_);
}

void Exchange::Writer::on_puback(std::uint16_t packet_id) {
  if (exchange_.plan_.acks != AckKind::puback) return;
  // Ids go round, 1 … 65535, from message 1 and its packet id; what comes is near what is expected.
  const std::uint32_t expected = acks_count_ + 1;
  const auto expected_id = static_cast<std::int32_t>((expected + first_id_ - 2) % 65'535 + 1);
  std::int32_t ahead = packet_id - expected_id;
  if (ahead > 32'767) ahead -= 65'535;
  if (ahead < -32'767) ahead += 65'535;
  const auto number = static_cast<std::uint32_t>(static_cast<std::int64_t>(expected) + ahead);
  acks_count_ = std::max(acks_count_, number);
  exchange_.acknowledged(*this, number);
}

void Exchange::Writer::on_publish(const PublishView& message) {
  const auto seq = stored_seq(message.payload);
  if (seq) return on_stored(*seq);
  ++exchange_.refused_;
  exchange_.complain("the server says: " + std::string{message.payload});
}

void Exchange::Writer::on_stored(std::uint32_t seq) {
  if (alone_) {
    if (acks_count_ == 0) base_ = seq - 1;
    ++acks_count_;
    last_seq_ = std::max(last_seq_, seq);
    return exchange_.acknowledged(*this, seq - base_);
  }
  // Others write there, too: the numbers rise, and which message an ack belongs to follows from the
  // order.
  if (seq > last_seq_) ++acks_count_;
  last_seq_ = std::max(last_seq_, seq);
  exchange_.acknowledged(*this, acks_count_);
}

void Exchange::Writer::on_closed() {
  if (exchange_.leaving_) return Client::on_closed();
  throw Error("the broker has disconnected writer " + who.login.client_id +
              ": its log and the worker's say why (one over limits.publishes_per_s is)");
}

void Exchange::Reader::on_closed() {
  if (stage_ == Stage::leaving || exchange_.leaving_) return Client::on_closed();
  throw Error("the broker has disconnected reader " + who.login.client_id + ": its log says why");
}

// ---- Exchange ----

Exchange::Exchange(ExchangePlan plan) : plan_{std::move(plan)}, chance_{plan_.seed} {
  for (const Group& group : plan_.groups) arrange(group);
}

Exchange::~Exchange() = default;

void Exchange::arrange(const Group& group) {
  const std::size_t first = writers_.size();
  for (std::size_t i = 0; i < group.writers.size(); ++i) {
    const std::size_t index = writers_.size();
    auto writer = std::make_unique<Writer>(*this, group.readers.size(), group.alone);
    writer->who = group.writers[i];
    writer->window_ = group.window;
    writer->prepare(group.topics[i],
                    numbered_text({plan_.run, static_cast<std::uint32_t>(index), 0}, plan_.bytes));
    writers_.push_back(std::move(writer));
  }
  for (const auto& member : group.readers) {
    auto reader = std::make_unique<Reader>(*this, first, group.writers.size());
    reader->who = member;
    readers_.push_back(std::move(reader));
  }
}

std::vector<Client*> Exchange::everybody() const {
  std::vector<Client*> all;
  for (const auto& reader : readers_) all.push_back(reader.get());
  for (const auto& writer : writers_) all.push_back(writer.get());
  return all;
}

void Exchange::connect() {
  std::vector<const Group::Member*> members;
  for (const auto& reader : readers_) members.push_back(&reader->who);
  for (const auto& writer : writers_) members.push_back(&writer->who);
  const auto all = everybody();
  allow_files(all.size() + 256);
  log_in_all(poller_, all, {plan_.where, logins_at_once, 0},
             [&](std::size_t index) { return members[index]->login; });
  std::vector<Client*> listening;
  std::vector<const Group::Member*> listeners;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (members[i]->filters.empty()) continue;
    listening.push_back(all[i]);
    listeners.push_back(members[i]);
  }
  subscribe_all(poller_, listening, logins_at_once,
                [&](std::size_t index) { return listeners[index]->filters; });
}

void Exchange::leave() {
  leaving_ = true;
  leave_all(poller_, everybody());
  leaving_ = false;
}

void Exchange::complain(std::string what) {
  if (complaint_.empty()) complaint_ = std::move(what);
}

void Exchange::complete_one(Writer& writer, Sent& sent) {
  ++moves_;
  if (sent.left == 0 || --sent.left > 0) return;
  ++writer.complete_;
  ++measured_.messages;
  if (load_.rate == 0) fill_window(writer);
}

void Exchange::acknowledged(Writer& writer, std::uint32_t number) {
  if (number > writer.sent_ || number == 0) {
    return complain("an acknowledgement of something that was not sent");
  }
  if (!writer.acks_.arrived(number)) return;
  last_arrival_ = now_ns();
  Sent& sent = writer.under_way(number);
  measured_.ack_ns.add(last_arrival_ - sent.due);
  complete_one(writer, sent);
}

void Exchange::delivered(Reader& reader, const PublishView& message) {
  const auto numbered = read_numbered(message.payload);
  if (!numbered || numbered->run != plan_.run) return;  // of an earlier run
  const std::size_t which = numbered->writer - reader.first_writer_;
  if (which >= reader.tallies_.size() || numbered->number == 0 ||
      numbered->number > writers_[numbered->writer]->sent_) {
    return complain("a message that was not sent there: " + std::string{message.payload});
  }
  if (!reader.tallies_[which].arrived(numbered->number)) return;
  Writer& writer = *writers_[numbered->writer];
  Sent& sent = writer.under_way(numbered->number);
  last_arrival_ = now_ns();
  measured_.delivery_ns.add(last_arrival_ - sent.due);
  ++measured_.deliveries;
  complete_one(writer, sent);
  if (habits_.read_every > 0 && ++reader.unread_ >= habits_.read_every) mark_read(reader);
}

bool Exchange::may_send(std::int64_t now) const {
  return sent_ < load_.messages_max &&
         static_cast<double>(now - began_) < load_.seconds_max * ns_per_s;
}

void Exchange::fill_window(Writer& writer) {
  const std::int64_t now = now_ns();
  const unsigned window = writer.window_ > 0 ? writer.window_ : load_.window;
  while (writer.sent_ - writer.complete_ < window && writer.has_place() && may_send(now)) {
    writer.send_next(now);
    ++sent_;
  }
}

void Exchange::plan_next() {
  std::exponential_distribution<double> gap{load_.rate};
  due_ += static_cast<std::int64_t>(gap(chance_) * ns_per_s);
  due_writer_ = std::uniform_int_distribution<std::size_t>{0, writers_.size() - 1}(chance_);
}

void Exchange::send_due(std::int64_t now) {
  // What cannot go now goes later, and counts from when it was due.
  while (due_ <= now && may_send(due_) && writers_[due_writer_]->has_place()) {
    writers_[due_writer_]->send_next(due_);
    ++sent_;
    plan_next();
  }
}

std::string Exchange::missing() const {
  const Counters acks = ack_counters();
  const Counters deliveries = delivery_counters();
  return "for 30 s nothing has moved: of " + std::to_string(sent_) + " messages " +
         std::to_string(acks.lost) + " acknowledgements and " + std::to_string(deliveries.lost) +
         " deliveries are missing" + (complaint_.empty() ? "" : "; " + complaint_);
}

void Exchange::begin(const Load& load) {
  measured_ = {};
  load_ = load;
  sent_ = 0;
  began_ = last_arrival_ = due_ = reconnect_due_ = now_ns();
  if (load.rate > 0) {
    plan_next();
  } else {
    for (const auto& writer : writers_) fill_window(*writer);
  }
}

std::int64_t Exchange::next_turn(std::int64_t now) const {
  std::int64_t until = now + progress_every_ns;
  if (load_.rate > 0 && due_ > now && may_send(due_)) until = std::min(until, due_);
  if (habits_.reconnects_per_s > 0) until = std::min(until, now + reconnect_step_ns);
  return until;
}

Progress Exchange::so_far(std::int64_t now) const {
  const double seconds = static_cast<double>(now - began_) / ns_per_s;
  const double share =
      std::max(seconds / load_.seconds_max,
               static_cast<double>(sent_) / static_cast<double>(load_.messages_max));
  return {measured_.messages, measured_.deliveries, seconds, std::min(1.0, share)};
}

Measured Exchange::run(const Load& load, const std::function<void(const Progress&)>& progress) {
  begin(load);
  std::uint64_t moves_seen = moves_;
  std::int64_t moved = began_;
  std::int64_t reported = began_;
  while (true) {
    std::int64_t now = now_ns();
    if (load.rate > 0) send_due(now);
    if (habits_.reconnects_per_s > 0) reconnect_some(now);
    const bool more = may_send(load.rate > 0 ? due_ : now);
    if (!more && measured_.messages == sent_ && reconnecting_.empty()) break;
    poller_.turn(next_turn(now));
    if (refused_ > 0) throw Error(complaint_);
    now = now_ns();
    if (moves_ != moves_seen) {
      moves_seen = moves_;
      moved = now;
    }
    if (now - moved > patience_ns) throw Error(missing());
    if (now - reported < progress_every_ns) continue;
    reported = now;
    progress(so_far(now));
  }
  measured_.seconds = static_cast<double>(last_arrival_ - began_) / ns_per_s;
  read_all();
  return measured_;
}

Counters Exchange::ack_counters() const {
  Counters all;
  for (const auto& writer : writers_) all += writer->acks_.counters(writer->sent_);
  all.refused = refused_;
  return all;
}

Counters Exchange::delivery_counters() const {
  Counters all;
  for (const auto& reader : readers_) {
    for (std::size_t i = 0; i < reader->tallies_.size(); ++i) {
      all += reader->tallies_[i].counters(writers_[reader->first_writer_ + i]->sent_);
    }
  }
  return all;
}

}  // namespace parley::load
