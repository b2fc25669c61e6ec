// Random operations of many users against one running messenger, and the model of what they do.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/instance.hpp"
#include "tests/walk/device.hpp"
#include "tests/walk/model.hpp"

namespace parley::walk {

struct Options {
  int operations = 10'000;
  int users = 20;
  std::uint64_t seed = 0;
  int quiet_every = 500;  // operations between two comparisons
};

/// What was different, and of which conversation. Its trace is printed with it.
struct Difference {
  std::string what;
  const Conversation* about = nullptr;
};

/// An operation that was sent and is not answered yet.
struct Pending {
  Device* device = nullptr;
  Conversation* about = nullptr;  // busy until then
  bool is_send = false;
  std::string id;
  Said said{};         // of a send
  std::string line{};  // for the trace
  /// Brings the answer into the model. @return what is wrong with it; empty: nothing
  std::function<std::string(const nlohmann::json& answer)> apply{};
};

/// What of this message is not as it was said; empty: nothing.
std::string differs(const Said& said, const HeldMessage& held);

/// Comparisons, and differences found.
struct Sum {
  int passed = 0;
  int failed = 0;
};

class Walk {
 public:
  explicit Walk(const Options& options);
  /// All of it. Ends after the first comparison that finds something.
  Sum run();

 private:
  using Json = nlohmann::json;

  // ---- walk.cpp ----
  void round();
  void await(Pending& pending);
  void report(const Difference& difference);
  void fail(std::string what, const Conversation* about = nullptr);
  void quiet_point(bool last);
  void look_at_all();
  int below(int limit) { return std::uniform_int_distribution<int>{0, limit - 1}(random_); }
  bool chance(int percent) { return below(100) < percent; }
  template <class T>
  T& any(std::vector<T>& all) {
    return all.at(static_cast<std::size_t>(below(static_cast<int>(all.size()))));
  }
  std::string user(int number) const { return "u" + std::to_string(number + 1); }
  std::string any_user() { return user(below(options_.users)); }
  Device* any_device(const std::string& of);
  Device* any_device_up();
  /// One that this user is in and that is not busy.
  Conversation* any_conversation(const std::string& of);
  Conversation* any_room(const std::string& of);
  Seq any_seq(const Conversation& in, const std::string& for_whom, bool own);
  std::string next_id() { return "o" + std::to_string(++ids_); }

  // ---- operations.cpp: each sends one operation, or finds that there is none to do now ----
  void operate();
  bool send();
  bool burst();
  bool send_again();
  bool mark();
  bool edit();
  bool erase();
  bool react();
  bool pin();
  bool history();
  // ---- operations_rooms.cpp ----
  bool create_room();
  bool join();
  bool leave();
  bool kick();
  bool add();
  bool role();
  bool title();
  bool block();
  bool mute();
  bool go();
  bool come();
  bool sync();
  void bring_back(Device& device);
  /// Whether he is about to be disconnected.
  bool is_leaving(const Device& device) const;
  bool is_blocked_in(const Conversation& about, const std::string& user) const;
  bool may_write(const Conversation& about, const std::string& user) const;
  Pending send_to(Device& from, Conversation& to);
  void ask(Device& by, Conversation* about, const std::string& method, const Json& request,
           std::function<std::string(const Json&)> apply);
  /// The usual answer: good exactly if `allowed`, else refused with `code`.
  std::function<std::string(const Json&)> expecting(const std::string& code,
                                                    std::function<void()> then);
  void start(Pending pending);

  // ---- quiet.cpp: comparisons; each difference found is a line ----
  using Differences = std::vector<Difference>;
  Differences compare_device(const Device& device);
  void compare_member(const Device& device, const std::string& conv, const Conversation& truth,
                      const HeldConversation& held, Differences& found);
  void compare_secrets(const Device& device, Differences& found);
  void compare_order(const Device& device, Differences& found);
  void compare_history(const std::string& user, Differences& found);
  void compare_unread(Differences& found);
  void compare_state(const Device& device, Differences& found);
  void compare_sync(const Json& result, const std::string& user, Differences& found);
  void compare_fresh(const std::string& user, Differences& found);
  Differences compare_everything(const Device& device);
  /// As long as there are any, and time. Counts one comparison.
  void settle_on(const std::string& what, const std::function<Differences()>& compare);

  const Options options_;
  std::mt19937_64 random_;
  test::Instance instance_;
  Model model_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::map<std::string, std::unique_ptr<test::Person>> askers_;  // of history
  std::string epoch_;
  std::vector<Pending> pending_;
  std::vector<Device*> leaving_;  // disconnected when the round is over
  struct Repeatable {
    std::string from, to, id, text;
    Seq seq;
  };
  std::vector<Repeatable> repeatable_;
  int done_ = 0;
  int ids_ = 0;
  int rooms_made_ = 0;
  int fresh_ = 0;
  Sum sum_;
  std::map<std::string, int> counts_;
};

}  // namespace parley::walk
