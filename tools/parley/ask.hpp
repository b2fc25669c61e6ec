// Publish something, wait for the answer: MQTT 5's request and response.
#pragma once

#include <chrono>
#include <string>

#include "tools/parley/outcome.hpp"
#include "tools/parley/setup.hpp"

namespace parley::cli {

/// What is asked may be asked again: it carries an id of its own, or changes nothing.
struct Question {
  std::string rest;  // of the topic, behind "<prefix>/u/<me>/"
  std::string payload;
};

/// Connects, publishes with QoS 1 and waits for the answer; when the connection is lost meanwhile,
/// asks again until the time is over.
/// @return the answer's payload
Outcome<std::string> ask(const Login& login, const Question& question,
                         std::chrono::milliseconds timeout);

}  // namespace parley::cli
