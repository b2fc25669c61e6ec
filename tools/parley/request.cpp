#include "tools/parley/request.hpp"

#include <iostream>

#include "tools/parley/ask.hpp"

namespace parley::cli {
namespace {

constexpr std::uint32_t token_valid_s = 15 * 60;

/// @return the reply's result
Outcome<Json> result_of(const std::string& payload, const Manner& manner) {
  const Json reply = Json::parse(payload, nullptr, false);
  if (!reply.is_object() || !reply.contains("ok")) {
    return fail(Exit::failed, "the server's answer cannot be read; is it newer than this program?");
  }
  if (reply["ok"] == true) return reply.value("result", Json::object());
  return failed(Failure{Exit::refused, reply.value("detail", std::string{}),
                        reply.value("code", std::string{to_string(Code::unavailable)}),
                        manner.json ? payload : ""});
}

Question question(const std::string& method, const Json& what, const Manner& manner) {
  return {"do.json/" + method, what.dump(), std::chrono::seconds{manner.timeout_s}};
}

Outcome<void> print(const std::string& method, const Json& result, const Manner& manner) {
  if (!manner.json) return print_result(method, result);
  std::cout << result.dump() << '\n';
  return {};
}

}  // namespace

void add_manner_options(CLI::App& command, Setup& setup, const std::shared_ptr<Manner>& manner) {
  command.add_option("--timeout", manner->timeout_s, "Seconds to wait for an answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 86'400))
      ->type_name("S");
  command.add_flag("--json", manner->json, "Print what came, as JSON");
  add_login_options(command, setup);
}

Outcome<Login> login_to_ask(const Setup& setup) { return make_login(setup, token_valid_s); }

Outcome<Json> request(const Login& login, const std::string& method, const Json& what,
                      const Manner& manner) {
  const auto answer = ask(login, question(method, what, manner));
  if (!answer) return failed(answer.error());
  return result_of(*answer, manner);
}

Outcome<void> run_request(const Setup& setup, const std::string& method, const Json& what,
                          const Manner& manner) {
  const auto login = login_to_ask(setup);
  if (!login) return failed(login.error());
  Outcome<void> outcome;
  const auto asked =
      ask_for_all(*login, question(method, what, manner), [&](const std::string& payload) {
        const auto result = result_of(payload, manner);
        outcome = result ? print(method, *result, manner) : Outcome<void>{failed(result.error())};
        return outcome && result->value("more", false) ? More::yes : More::no;
      });
  return asked ? outcome : asked;
}

}  // namespace parley::cli
