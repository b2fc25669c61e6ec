#include "tools/parley/ask.hpp"

#include <thread>

#include "core/topic.hpp"
#include "tools/parley/mqtt_session.hpp"

namespace parley::cli {
namespace {

constexpr std::chrono::milliseconds pause_before_retry{200};
constexpr const char* publish_refused_text =
    "the broker refuses the request: the token's scope does not allow it, "
    "or the server cannot take more at the moment";

Failure no_answer(std::chrono::milliseconds timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout).count();
  return {Exit::timed_out, "no answer within " + std::to_string(seconds) +
                               " s: the outcome is unknown; is the worker (parleyd) running?"};
}

enum class Ended { answered, lost };

struct Progress {
  bool asked = false;
  int answers = 0;
};

bool is_answer(const Arrived& arrived, const std::string& topic, const std::string& mark) {
  return arrived.topic == topic && arrived.correlation_data == mark;
}

/// Each answer may take as long as the first one.
Outcome<Ended> ask_once(const Login& login, const Question& question, const std::string& mark,
                        Clock::time_point deadline, Progress& progress,
                        const std::function<More(std::string)>& on_answer) {
  const auto timeout = question.timeout;
  auto session = MqttSession::open(login, deadline);
  if (!session) return failed(session.error());
  const std::string answers = user_topic(login.prefix, login.name, "rr/" + mark);
  if (auto subscribed = session->subscribe(answers, 1, deadline); !subscribed) {
    return failed(subscribed.error());
  }
  auto message = mqtt::make_message(user_topic(login.prefix, login.name, question.rest),
                                    question.payload, 1, false);
  message->set_properties(
      {{mqtt::property::RESPONSE_TOPIC, answers}, {mqtt::property::CORRELATION_DATA, mark}});
  progress.asked = true;
  if (!session->publish(std::move(message))) return Ended::lost;
  while (Clock::now() < deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    auto received = session->receive(left);
    if (std::holds_alternative<ConnectionLost>(received)) return Ended::lost;
    if (auto* const arrived = std::get_if<Arrived>(&received)) {
      if (!is_answer(*arrived, answers, mark)) continue;
      ++progress.answers;
      if (on_answer(std::move(arrived->payload)) == More::no) return Ended::answered;
      deadline = Clock::now() + timeout;
    }
    if (session->publish_refused()) return refuse(Code::forbidden, publish_refused_text);
  }
  return failed(no_answer(timeout));
}

}  // namespace

Outcome<std::string> ask(const Login& login, const Question& question) {
  std::string answer;
  auto done = ask_for_all(login, question, [&](std::string payload) {
    answer = std::move(payload);
    return More::no;
  });
  if (!done) return failed(done.error());
  return answer;
}

Outcome<void> ask_for_all(const Login& login, const Question& question,
                          const std::function<More(std::string)>& on_answer) {
  const auto deadline = Clock::now() + question.timeout;
  const std::string mark = random_id("cli-");
  Progress progress;
  do {
    const bool asked_before = progress.asked;
    auto ended = ask_once(login, question, mark, deadline, progress, on_answer);
    if (ended && *ended == Ended::answered) return {};
    const bool lost = ended || ended.error().exit == Exit::unreachable;
    if (progress.answers > 0) {
      if (!lost) return failed(ended.error());
      return fail(Exit::unreachable,
                  "the connection was lost before everything had come: ask once more");
    }
    // Once asked, the outcome is unknown, however the repetition fails.
    if (!ended && !(asked_before && lost)) return failed(ended.error());
    std::this_thread::sleep_for(pause_before_retry);
  } while (Clock::now() < deadline);
  return failed(no_answer(question.timeout));
}

Outcome<void> say(const Login& login, const Question& statement) {
  const auto deadline = Clock::now() + statement.timeout;
  auto session = MqttSession::open(login, deadline);
  if (!session) return failed(session.error());
  if (auto published = session->publish(mqtt::make_message(
          user_topic(login.prefix, login.name, statement.rest), statement.payload, 1, false));
      !published) {
    return published;
  }
  while (!session->publish_taken()) {
    if (session->publish_refused()) return refuse(Code::forbidden, publish_refused_text);
    const auto received = session->receive(std::chrono::milliseconds{20});
    if (std::holds_alternative<ConnectionLost>(received) || Clock::now() > deadline) {
      return fail(Exit::timed_out, "the broker has not acknowledged it: the outcome is unknown");
    }
  }
  return {};
}

}  // namespace parley::cli
