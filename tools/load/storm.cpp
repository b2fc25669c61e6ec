#include "tools/load/storm.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "tools/load/message_text.hpp"

namespace parley::load {
namespace {

constexpr std::uint64_t under_way_max = 1024;  // while filling
constexpr std::size_t coming_max = 256;        // logins that are not answered
constexpr std::int64_t progress_every_ns = ns_per_s / 4;

std::string id_of(std::uint32_t run, std::size_t conversation, std::uint32_t number) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%08x.%zu.%u", run, conversation, number);
  return text.data();
}

/// Calls `step` in turns until it says that all is done; nothing may rest for 30 s.
void go_on(Poller& poller, const std::uint64_t& moves, const std::function<bool()>& step,
           const std::function<std::string()>& missing) {
  std::uint64_t seen = moves;
  std::int64_t moved = now_ns();
  while (!step()) {
    poller.turn(now_ns() + ns_per_s / 500);
    if (moves != seen) {
      seen = moves;
      moved = now_ns();
    }
    if (now_ns() - moved > patience_ns) throw Error(missing());
  }
}

}  // namespace

struct Storm::Conversation {
  std::uint32_t sent = 0;
  std::uint32_t last_seq = 0;
  Tally acks;
  Tally deliveries;
};

class Storm::Sender final : public Client {
 public:
  Sender(Storm& storm, const std::string& ack_prefix)
      : Client{storm.poller_}, storm_{storm}, ack_prefix_{ack_prefix} {}

 private:
  void on_publish(const PublishView& message) override {
    if (!message.topic.starts_with(ack_prefix_)) return;
    storm_.stored(message.topic.substr(ack_prefix_.size()), message.payload);
  }
  void on_closed() override {
    throw Error("the broker has disconnected a writer; its log says why");
  }

  Storm& storm_;
  const std::string& ack_prefix_;
};

class Storm::User final : public Client {
 public:
  explicit User(Storm& storm) : Client{storm.poller_}, storm_{storm} {}

  std::size_t first = 0;  // conversation
  std::size_t count = 0;
  std::uint32_t missing = 0;
  std::int64_t due = 0;
  bool leaving = false;

 private:
  void on_publish(const PublishView& message) override { storm_.delivered(*this, message); }
  void on_closed() override {
    if (!leaving) throw Error("the broker has disconnected a user who came back; its log says why");
    Client::on_closed();
  }

  Storm& storm_;
};

Storm::Storm(StormPlan plan) : plan_{std::move(plan)}, conversations_(plan_.conversations.size()) {
  for (const auto& sender : plan_.senders) {
    senders_.push_back(std::make_unique<Sender>(*this, sender.ack_prefix));
  }
  for (std::size_t i = 0; i < plan_.users.size(); ++i) {
    users_.push_back(std::make_unique<User>(*this));
  }
  for (std::size_t i = 0; i < plan_.conversations.size(); ++i) {
    User& user = *users_[plan_.conversations[i].user];
    if (user.count++ == 0) user.first = i;
  }
}

Storm::~Storm() = default;

void Storm::complain(std::string what) {
  if (complaint_.empty()) complaint_ = std::move(what);
}

std::string Storm::missing() const {
  return "for 30 s nothing has moved: " + std::to_string(ack_counters().lost) +
         " acknowledgements and " + std::to_string(delivery_counters().lost) +
         " deliveries are missing; " + std::to_string(complete_) + " of " +
         std::to_string(users_.size()) + " users have everything" +
         (complaint_.empty() ? "" : "; " + complaint_);
}

// ---- filling ----

void Storm::send_more() {
  const std::uint64_t total = each_ * conversations_.size();
  while (to_send_ > 0 && total - to_send_ - acked_ < under_way_max) {
    const std::size_t index = next_conversation_++ % conversations_.size();
    const StormPlan::Conversation& where = plan_.conversations[index];
    Conversation& conversation = conversations_[index];
    const Numbered numbered{plan_.run, static_cast<std::uint32_t>(index), ++conversation.sent};
    senders_[where.sender]->publish(
        where.send_topic + "/" + id_of(plan_.run, index, conversation.sent),
        numbered_text(numbered, plan_.bytes));
    --to_send_;
  }
}

void Storm::stored(std::string_view id, std::string_view payload) {
  ++moves_;
  const auto first_dot = id.find('.');
  const auto second_dot = id.find('.', first_dot + 1);
  std::size_t index = conversations_.size();
  std::uint32_t number = 0;
  if (second_dot != std::string_view::npos) {
    std::from_chars(id.data() + first_dot + 1, id.data() + second_dot, index);
    std::from_chars(id.data() + second_dot + 1, id.data() + id.size(), number);
  }
  if (index >= conversations_.size() || number == 0) return complain("an ack of something else");
  constexpr std::string_view good = "stored ";
  if (!payload.starts_with(good)) {
    ++refused_;
    return complain("the server says: " + std::string{payload});
  }
  Conversation& conversation = conversations_[index];
  std::uint32_t seq = 0;
  std::from_chars(payload.data() + good.size(), payload.data() + payload.size(), seq);
  conversation.last_seq = std::max(conversation.last_seq, seq);
  if (conversation.acks.arrived(number)) ++acked_;
}

void Storm::fill(unsigned each, const std::function<void(const Progress&)>& progress) {
  std::vector<Client*> all;
  for (const auto& sender : senders_) all.push_back(sender.get());
  allow_files(users_.size() + all.size() + 256);
  log_in_all(poller_, all, {plan_.where}, [&](std::size_t i) { return plan_.senders[i].login; });
  subscribe_all(poller_, all, all.size(), [&](std::size_t i) {
    return std::vector<std::string>{plan_.senders[i].ack_prefix + "+"};
  });
  each_ = each;
  acked_ = 0;
  to_send_ = each * conversations_.size();
  const std::uint64_t total = to_send_;
  const std::int64_t began = now_ns();
  std::int64_t reported = began;
  go_on(
      poller_, moves_,
      [&] {
        send_more();
        if (refused_ > 0) throw Error(complaint_);
        if (const std::int64_t now = now_ns(); now - reported > progress_every_ns) {
          reported = now;
          progress({acked_, 0, static_cast<double>(now - began) / ns_per_s,
                    static_cast<double>(acked_) / static_cast<double>(total)});
        }
        return acked_ == total;
      },
      [&] { return missing(); });
}

// ---- coming back ----

void Storm::delivered(User& user, const PublishView& message) {
  const auto numbered = read_numbered(message.payload);
  if (!numbered || numbered->run != plan_.run) return;  // of an earlier run
  ++moves_;
  const std::size_t index = numbered->writer;
  if (index < user.first || index >= user.first + user.count || numbered->number == 0 ||
      numbered->number > conversations_[index].sent) {
    return complain("a message that was not sent there: " + std::string{message.payload});
  }
  if (!conversations_[index].deliveries.arrived(numbered->number)) return;
  ++delivered_;
  if (--user.missing > 0) return;
  const std::int64_t now = now_ns();
  came_back_.up_to_date_ns.add(now - user.due);
  came_back_.seconds = static_cast<double>(now - began_) / ns_per_s;
  ++complete_;
  for (std::size_t i = user.first; i < user.first + user.count; ++i) {
    user.publish(plan_.conversations[i].got_topic, std::to_string(conversations_[i].last_seq));
  }
}

void Storm::admit(std::int64_t now) {
  while (admitted_ < users_.size() && coming_.size() < coming_max) {
    const auto due = began_ + static_cast<std::int64_t>(gap_ns_ * static_cast<double>(admitted_));
    if (due > now) return;
    User& user = *users_[admitted_];
    user.due = due;
    user.missing = each_ * static_cast<std::uint32_t>(user.count);
    user.log_in(plan_.where, plan_.users[admitted_].login, admitted_);
    coming_.push_back(&user);
    ++admitted_;
  }
}

void Storm::watch_logins(std::int64_t now) {
  std::erase_if(coming_, [&](User* user) {
    if (user->state() == Client::State::refused) {
      throw Error("the broker refuses a user who comes back; its log says why");
    }
    if (user->state() == Client::State::connected) {
      user->subscribe(plan_.users[plan_.conversations[user->first].user].filters);
    }
    if (user->state() != Client::State::ready) return false;
    ++moves_;
    came_back_.login_ns.add(now - user->due);
    return true;
  });
}

CameBack Storm::come_back(double within_s, const std::function<void(const Progress&)>& progress) {
  came_back_ = {};
  admitted_ = complete_ = 0;
  delivered_ = 0;
  gap_ns_ = within_s * ns_per_s / static_cast<double>(users_.size());
  began_ = now_ns();
  std::int64_t reported = began_;
  go_on(
      poller_, moves_,
      [&] {
        const std::int64_t now = now_ns();
        admit(now);
        watch_logins(now);
        if (now - reported > progress_every_ns) {
          reported = now;
          progress({delivered_, delivered_, static_cast<double>(now - began_) / ns_per_s,
                    static_cast<double>(complete_) / static_cast<double>(users_.size())});
        }
        return complete_ == users_.size();
      },
      [&] { return missing(); });
  std::vector<Client*> all;
  for (const auto& user : users_) {
    user->leaving = true;
    all.push_back(user.get());
  }
  leave_all(poller_, all);
  return came_back_;
}

Counters Storm::ack_counters() const {
  Counters all;
  for (const auto& one : conversations_) all += one.acks.counters(one.sent);
  all.refused = refused_;
  return all;
}

Counters Storm::delivery_counters() const {
  Counters all;
  for (const auto& one : conversations_) all += one.deliveries.counters(one.sent);
  return all;
}

}  // namespace parley::load
