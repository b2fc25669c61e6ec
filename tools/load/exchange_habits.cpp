// What readers do beside reading: they say what they have read, and connect anew.
#include <algorithm>

#include "tools/load/exchange_parts.hpp"

namespace parley::load {

void Exchange::mark_read(Reader& reader) {
  if (reader.who.read_topic.empty() || reader.state() != Client::State::ready) return;
  std::uint32_t seq = 0;
  for (std::size_t i = 0; i < reader.tallies_.size(); ++i) {
    seq = std::max(seq, writers_[reader.first_writer_ + i]->last_seq_);
  }
  if (seq == 0) return;
  reader.unread_ = 0;
  reader.publish(reader.who.read_topic, std::to_string(seq));
  ++reads_;
}

void Exchange::read_all() {
  if (habits_.read_every == 0) return;
  for (const auto& reader : readers_) {
    if (reader->unread_ > 0) mark_read(*reader);
  }
  poller_.turn(now_ns());
}

void Exchange::reconnect_some(std::int64_t now) {
  continue_reconnects();
  const auto gap = static_cast<std::int64_t>(ns_per_s / habits_.reconnects_per_s);
  for (; reconnect_due_ <= now && may_send(now); reconnect_due_ += gap) {
    Reader& reader = *readers_[chance_() % readers_.size()];
    if (reader.stage_ != Reader::Stage::there) continue;
    reader.stage_ = Reader::Stage::leaving;
    reader.say_goodbye();
    reconnecting_.push_back(&reader);
  }
}

void Exchange::continue_reconnects() {
  std::erase_if(reconnecting_, [&](Reader* reader) {
    if (reader->state() == Client::State::refused) {
      throw Error("the broker does not let " + reader->who.login.client_id + " in again");
    }
    switch (reader->stage_) {
      case Reader::Stage::leaving:
        if (reader->state() != Client::State::closed) return false;
        for (Tally& tally : reader->tallies_) tally.restart();
        reader->stage_ = Reader::Stage::connecting;
        reader->log_in(plan_.where, reader->who.login);
        return false;
      case Reader::Stage::connecting:
        if (reader->state() != Client::State::connected) return false;
        reader->stage_ = Reader::Stage::subscribing;
        reader->subscribe(reader->who.filters);
        return false;
      case Reader::Stage::subscribing:
        if (reader->state() != Client::State::ready) return false;
        reader->stage_ = Reader::Stage::there;
        ++reconnects_;
        return true;
      case Reader::Stage::there:
        return true;
    }
    return true;
  });
}

}  // namespace parley::load
