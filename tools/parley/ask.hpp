// Publish something, wait for the answer: MQTT 5's request and response.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "tools/parley/outcome.hpp"
#include "tools/parley/setup.hpp"

namespace parley::cli {

/// What is asked may be asked again: it carries an id of its own, or changes nothing that was
/// changed already.
struct Question {
  std::string rest;  // of the topic, behind "<prefix>/u/<me>/"
  std::string payload;
  std::chrono::milliseconds timeout{10'000};
};

/// Connects, publishes with QoS 1 and waits for the answer; when the connection is lost meanwhile,
/// asks again until the time is over.
/// @return the answer's payload
Outcome<std::string> ask(const Login& login, const Question& question);

enum class More { no, yes };
/// The same for what is answered in several messages: `on_answer` says of each whether another one
/// follows. Asks again only as long as none has come.
Outcome<void> ask_for_all(const Login& login, const Question& question,
                          const std::function<More(std::string)>& on_answer);

/// For what has no answer: published, and acknowledged by the broker.
Outcome<void> say(const Login& login, const Question& statement);

}  // namespace parley::cli
