#include "tests/fault/population.hpp"

#include <algorithm>

#include "tests/fault/checker.hpp"

namespace parley::fault {

namespace {

const FeedFormat inbox_text{Feed::inbox, Format::text};
const FeedFormat inbox_json{Feed::inbox, Format::json};
const FeedFormat inbox_pb{Feed::inbox, Format::protobuf};
const FeedFormat sent_json{Feed::sent, Format::json};
const FeedFormat sent_pb{Feed::sent, Format::protobuf};

/// Short enough that a session which never confirms is taken to have got what it was given before
/// that piles up.
constexpr std::uint16_t short_keepalive_s = 5;

std::string verb_of(const FeedFormat& feed) {
  const std::string verb = to_string(feed.first);
  return feed.second == Format::text ? verb : verb + "." + to_string(feed.second);
}

class Builder {
 public:
  explicit Builder(Population& population) : population_{population} {}

  ClientSpec& add(const std::string& user, const std::string& name, ReaderKind kind, int version,
                  std::set<FeedFormat> feeds) {
    ClientSpec& spec = population_.clients.emplace_back();
    population_.send_only.push_back(false);
    spec.reader.client = static_cast<int>(population_.clients.size());
    spec.reader.user = user;
    const bool named = kind == ReaderKind::device;
    spec.reader.client_id = user + (named ? "." : "-") + name;
    spec.reader.kind = kind;
    spec.reader.same_id = named;
    spec.version = version;
    spec.clean = !named;
    for (const FeedFormat& feed : feeds) spec.filters.push_back(verb_of(feed) + "/+");
    spec.reader.feeds = std::move(feeds);
    return spec;
  }

  ClientSpec& device(const std::string& user, const std::string& name, int version,
                     int confirm_every, std::set<FeedFormat> feeds) {
    ClientSpec& spec = add(user, name, ReaderKind::device, version, std::move(feeds));
    spec.confirm_every = confirm_every;
    spec.reader.confirms = confirm_every > 0;
    if (confirm_every == 0) spec.keepalive_s = short_keepalive_s;
    return spec;
  }

  ClientSpec& sole(const std::string& user, int version, std::set<FeedFormat> feeds) {
    ClientSpec& spec = add(user, "reader", ReaderKind::sole, version, std::move(feeds));
    spec.keepalive_s = short_keepalive_s;
    return spec;
  }

  ClientSpec& observer(const std::string& user, int version, std::set<FeedFormat> feeds) {
    return add(user, "view", ReaderKind::observer, version, std::move(feeds));
  }

  ClientSpec& sender(const std::string& user, const std::string& name, int version) {
    return add(user, name, ReaderKind::none, version, {});
  }

 private:
  Population& population_;
};

/// Lets a client send, and hear the answers in one of the formats.
void sends(ClientSpec& spec, double share, const std::string& ack, double id_share,
           std::vector<std::string> targets) {
  spec.sends_per_s = share;
  spec.id_share = id_share;
  spec.targets = std::move(targets);
  if (std::find(spec.filters.begin(), spec.filters.end(), "#") == spec.filters.end()) {
    spec.filters.push_back(ack + "/+");
    spec.filters.emplace_back("rr/+");
    spec.filters.emplace_back("err");
  }
}

void add_devices(Builder& build) {
  sends(build.device("ann", "phone", 4, 1, {inbox_json, sent_json}), 3, "ack", 1,
        {"ben", "cat", "ops", "dev", "ann"});
  sends(build.device("ann", "tablet", 5, 10, {inbox_pb, inbox_text}), 2, "ack.json", 0.5,
        {"ben", "ops", "all"});
  sends(build.device("ben", "phone", 4, 0, {inbox_json, sent_json}), 2, "ack.pb", 0.5,
        {"ann", "ops", "cave"});
  ClientSpec& dan =
      build.device("dan", "phone", 5, 3, {inbox_text, inbox_json, inbox_pb, sent_json, sent_pb});
  dan.clean = true;
  dan.filters = {"#"};
  sends(dan, 2, "ack", 0.8, {"ann", "eve", "ops", "all"});
  ClientSpec& eve = build.device("eve", "desk", 5, 1, {inbox_pb, sent_pb});
  sends(eve, 3, "ack.json", 0.9, {"dan", "ops", "fay"});
  eve.armed_will = true;
  eve.will_to = "ops";
  build.device("eve", "old", 4, 0, {inbox_text});
  sends(build.device("fay", "phone", 4, 5, {inbox_json}), 3, "ack.json", 0.3,
        {"eve", "dev", "gus"});
  build.device("gus", "phone", 5, 2, {inbox_json, sent_json});
  sends(build.device("ida", "phone", 4, 1, {inbox_pb}), 1, "ack", 1, {"hal", "cave"});
  build.device("ida", "watch", 5, 4, {inbox_text});
}

void add_others(Builder& build, Population& population) {
  build.observer("ann", 5, {inbox_text, inbox_json});
  build.observer("fay", 4, {inbox_text});
  build.sole("cat", 4, {inbox_text});
  build.sole("hal", 5, {inbox_json, sent_json});
  sends(build.sender("ben", "cron", 4), 3, "ack", 1, {"ann", "ops", "all"});
  ClientSpec& cat = build.sender("cat", "bot", 5);
  sends(cat, 4, "ack.json", 0.7, {"ann", "ops", "all"});
  cat.armed_will = true;
  cat.will_to = "ops";
  sends(build.sender("hal", "tail", 4), 3, "ack.pb", 0, {"ida", "cave", "all"});
  ClientSpec& sensor = build.sender("gus", "sensor", 4);
  sends(sensor, 4, "ack", 0.5, {"fay", "dev"});
  sensor.armed_will = true;
  sensor.will_to = "dev";
  population.send_only.back() = true;
}

}  // namespace

Membership Population::membership() const {
  Membership membership;
  for (const auto& [room, members] : rooms) {
    membership.rooms[room] = {members.begin(), members.end()};
  }
  return membership;
}

Population populate(double sends_per_s) {
  Population population;
  population.users = {"ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal", "ida"};
  population.rooms = {{"ops", {"ann", "ben", "cat", "dan", "eve"}},
                      {"dev", {"ann", "fay", "gus"}},
                      {"cave", {"ben", "hal", "ida"}},
                      {"all", population.users}};
  Builder build{population};
  add_devices(build);
  add_others(build, population);
  const Membership membership = population.membership();
  double shares = 0;
  for (const ClientSpec& spec : population.clients) shares += spec.sends_per_s;
  for (ClientSpec& spec : population.clients) {
    spec.sends_per_s *= sends_per_s / shares;
    for (const auto& [room, members] : membership.rooms) {
      if (!members.contains(spec.reader.user)) spec.stranger_room = room;
    }
    // Where a backlog was cut short must be heard.
    if (!spec.reader.feeds.empty() && spec.filters.front() != "#") {
      spec.filters.emplace_back("event.json/+");
    }
  }
  return population;
}

}  // namespace parley::fault
