// parley tail: messages as they come.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <memory>
#include <thread>

#include "core/topic.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/mqtt_session.hpp"
#include "tools/parley/text.hpp"

namespace parley::cli {
namespace {

constexpr std::uint32_t token_valid_s = 24 * 3600;  // each connection gets a new one
constexpr std::chrono::seconds connect_patience{10};
constexpr std::chrono::milliseconds look_for_signal_every{200};
constexpr std::chrono::seconds pause_max{30};

/// SIGINT and SIGTERM, taken in turn instead of whenever they come. Must exist
/// before any thread does, as threads inherit what is blocked.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  /// Whether one came within that time.
  [[nodiscard]] bool wait(std::chrono::milliseconds at_most) const {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at_most);
    const timespec limit{seconds.count(), std::chrono::nanoseconds{at_most - seconds}.count()};
    return sigtimedwait(&set_, nullptr, &limit) > 0;
  }

 private:
  sigset_t set_{};
};

void print(const Arrived& message, const std::string& prefix, bool json) {
  if (json) {
    std::cout << message.payload << '\n' << std::flush;
    return;
  }
  const auto place = place_topic(prefix, message.topic);
  const auto* const own = std::get_if<OwnTopic>(&place);
  const std::string conv{own == nullptr ? std::string_view{message.topic} : conv_of(own->rest)};
  std::cout << '[' << conv << "] " << for_terminal(message.payload) << '\n' << std::flush;
}

enum class Ended { stopped, lost };

/// One connection's life.
Outcome<Ended> follow(const Login& login, const StopSignals& signals, bool json) {
  const auto deadline = Clock::now() + connect_patience;
  auto session = MqttSession::open(login, deadline);
  if (!session) return failed(session.error());
  const std::string rest = inbox_rest(json ? Format::json : Format::text, "+");
  const std::string filter = user_topic(login.prefix, login.name, rest);
  if (auto done = session->subscribe(filter, 1, deadline); !done) return failed(done.error());
  std::cerr << "listening as " << login.name << "; Ctrl-C ends\n";
  while (!signals.wait(std::chrono::milliseconds{0})) {
    auto received = session->receive(look_for_signal_every);
    if (std::holds_alternative<ConnectionLost>(received)) return Ended::lost;
    if (const auto* const message = std::get_if<Arrived>(&received)) {
      print(*message, login.prefix, json);
      if (!std::cout) return Ended::stopped;  // nobody reads on
    }
  }
  return Ended::stopped;
}

Outcome<void> run_tail(const Setup& setup, bool json) {
  const StopSignals signals;
  std::chrono::milliseconds pause{1000};
  bool connected_before = false;
  for (;;) {
    const auto login = make_login(setup, token_valid_s);
    auto ended = login ? follow(*login, signals, json) : Outcome<Ended>{failed(login.error())};
    if (ended && *ended == Ended::stopped) return {};
    if (!ended && !(connected_before && ended.error().exit == Exit::unreachable)) {
      return failed(ended.error());
    }
    if (ended) {
      connected_before = true;
      pause = std::chrono::milliseconds{1000};
    }
    std::cerr << "connection lost; trying again in "
              << std::chrono::duration_cast<std::chrono::seconds>(pause).count()
              << " s (what comes meanwhile: parley history)\n";
    if (signals.wait(pause)) return {};
    pause = std::min<std::chrono::milliseconds>(2 * pause, pause_max);
  }
}

}  // namespace

void add_tail_command(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const tail = app.add_subcommand("tail", "Print messages as they come, until Ctrl-C");
  tail->footer(
      "Prints `[conversation] text`; in rooms the text begins with the sender's name. A user "
      "without\n"
      "named devices gets first what he missed. Reconnects when the connection is lost.\n"
      "Examples:\n"
      "  parley tail --as bob\n"
      "  parley tail --as bob --json | jq -r .text");
  const auto json = std::make_shared<bool>(false);
  tail->add_flag("--json", *json, "One JSON object per line, with sender, seq and time");
  add_login_options(*tail, setup);
  tail->callback([&setup, &ending, json] { ending = run_tail(setup, *json); });
}

}  // namespace parley::cli
