// A named device with a persistent session, and what it holds.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/instance.hpp"
#include "tests/walk/view.hpp"

namespace parley::walk {

/// Longer than any comparison waits.
inline constexpr std::uint16_t keepalive_s = 600;
/// Of devices that do not confirm: what went to them counts as got while the walk goes on.
inline constexpr std::uint16_t short_keepalive_s = 6;

enum class Habit {
  never_confirms,
  confirms,  // publishes got
  syncs,     // that, and asks for `sync` when it comes back
};

class Device {
 public:
  Device(test::Instance& instance, std::string user, std::string name, Habit habit);

  [[nodiscard]] const std::string& user() const { return user_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string client_id() const { return user_ + "." + name_; }
  [[nodiscard]] Habit habit() const { return habit_; }
  [[nodiscard]] bool up() const { return person_.has_value(); }
  [[nodiscard]] const View& view() const { return view_; }
  /// The last of state/unread, if it ever came.
  [[nodiscard]] const std::optional<std::string>& unread() const { return unread_; }

  /// Connects; at the first time it subscribes everything.
  /// @param clean  without what the broker keeps for it
  void connect(bool clean = false);
  void subscribe();
  void listen_to_replies();
  void disconnect();
  void drop();

  /// Sends "im/u/<me>/<rest>" and does not wait.
  void publish(const std::string& rest, const std::string& payload);
  /// The answer to `id`, a send's or a do's.
  nlohmann::json ack(const std::string& id);
  nlohmann::json reply(const std::string& id);
  /// Takes what came into the view, and confirms it if that is its habit.
  /// @return how many came
  std::size_t look();
  /// What `sync` asks with.
  [[nodiscard]] nlohmann::json positions() const;

 private:
  void take(const std::vector<test::Publication>& all);
  void confirm();

  test::Instance& instance_;
  const std::string user_;
  const std::string name_;
  const Habit habit_;
  const int version_;
  View view_;
  std::map<std::string, Seq> confirmed_;
  std::optional<std::string> unread_;
  bool subscribed_ = false;
  std::optional<test::Person> person_;
};

}  // namespace parley::walk
