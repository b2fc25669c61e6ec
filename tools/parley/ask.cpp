#include "tools/parley/ask.hpp"

#include <optional>
#include <thread>

#include "core/topic.hpp"
#include "tools/parley/mqtt_session.hpp"

namespace parley::cli {
namespace {

constexpr std::chrono::milliseconds pause_before_retry{200};

Failure no_answer(std::chrono::milliseconds timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout).count();
  return {Exit::timed_out, "no answer within " + std::to_string(seconds) +
                               " s: the outcome is unknown; is the worker (parleyd) running?"};
}

/// @return the answer; nothing if the connection was lost on the way
Outcome<std::optional<std::string>> ask_once(const Login& login, const Question& question,
                                             const std::string& mark, Clock::time_point deadline,
                                             std::chrono::milliseconds timeout) {
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
  if (!session->publish(std::move(message))) return std::optional<std::string>{};
  while (Clock::now() < deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    auto received = session->receive(left);
    if (std::holds_alternative<ConnectionLost>(received)) return std::optional<std::string>{};
    if (auto* const arrived = std::get_if<Arrived>(&received)) {
      if (arrived->topic == answers && arrived->correlation_data == mark) {
        return std::optional<std::string>{std::move(arrived->payload)};
      }
    }
    if (session->publish_refused()) {
      return refuse(Code::forbidden,
                    "the broker refuses the request: the token's scope does not allow it, "
                    "or the server cannot take more at the moment");
    }
  }
  return failed(no_answer(timeout));
}

}  // namespace

Outcome<std::string> ask(const Login& login, const Question& question,
                         std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const std::string mark = random_id("cli-");
  bool asked = false;
  do {
    auto answer = ask_once(login, question, mark, deadline, timeout);
    if (!answer) {
      // Once asked, the outcome is unknown, however the repetition fails.
      const bool retry = asked && answer.error().exit == Exit::unreachable;
      if (!retry) return failed(answer.error());
    } else if (*answer) {
      return std::move(**answer);
    } else {
      asked = true;
    }
    std::this_thread::sleep_for(pause_before_retry);
  } while (Clock::now() < deadline);
  return failed(no_answer(timeout));
}

}  // namespace parley::cli
