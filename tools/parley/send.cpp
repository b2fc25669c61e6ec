// parley send: a message, and the word that it is stored.
#include <unistd.h>

#include <iostream>
#include <iterator>
#include <memory>

#include "core/names.hpp"
#include "core/wire.hpp"
#include "tools/parley/ask.hpp"
#include "tools/parley/commands.hpp"

namespace parley::cli {
namespace {

constexpr std::uint32_t token_valid_s = 15 * 60;
constexpr std::size_t stdin_bytes_max = 1024 * 1024;  // far above any server's limit

struct SendRequest {
  std::string to;
  std::string text = "-";
  std::string id;
  int timeout_s = 10;
};

Outcome<std::string> read_stdin() {
  if (isatty(STDIN_FILENO) != 0) std::cerr << "Type the message; Ctrl-D ends it.\n";
  std::string text;
  for (std::istreambuf_iterator<char> at{std::cin}, end; at != end; ++at) {
    if (text.size() == stdin_bytes_max) {
      return refuse(Code::too_large, "standard input holds more than a message may");
    }
    text += *at;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();  // the last line's end
  return text;
}

Outcome<void> report(const std::string& answer) {
  const auto ack = decode_ack(Format::json, answer);
  if (!ack) {
    return fail(Exit::failed, "the server's answer cannot be read: " + ack.error().detail +
                                  "; is the server newer than this program?");
  }
  if (ack->ok) {
    std::cout << "stored " << ack->seq << '\n';
    return {};
  }
  return refuse(ack->code.value_or(Code::unavailable), ack->detail);
}

Outcome<void> run_send(const Setup& setup, SendRequest request) {
  if (!is_name(request.to)) {
    return fail(Exit::usage, "\"" + request.to + "\" can be neither a user nor a room");
  }
  const bool own_id = request.id.empty();
  if (own_id) request.id = random_id("cli-");
  if (!is_request_id(request.id)) {
    return fail(Exit::usage, "--id takes 1 to 64 of A-Z a-z 0-9 _ . : - (not - alone)");
  }
  if (request.text == "-") {
    auto text = read_stdin();
    if (!text) return failed(text.error());
    request.text = std::move(*text);
  }
  if (request.text.empty()) return fail(Exit::usage, "the message is empty");
  if (!is_clean_text(request.text)) {
    return refuse(Code::bad_payload, "a message is UTF-8 text without NUL bytes");
  }
  const auto login = make_login(setup, token_valid_s);
  if (!login) return failed(login.error());
  Send send;
  send.id = request.id;
  send.content.text = request.text;
  auto answer = ask(*login, {"send.json/" + request.to, encode_send(Format::json, send),
                             std::chrono::seconds{request.timeout_s}});
  if (!answer) {
    Failure failure = answer.error();
    if (failure.exit == Exit::timed_out) {
      failure.what +=
          "\nIt may be stored later. To send it again without the risk of sending it "
          "twice: --id " +
          request.id;
    }
    return failed(std::move(failure));
  }
  return report(*answer);
}

}  // namespace

void add_send_command(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const send = app.add_subcommand("send", "Send a message and wait until it is stored");
  send->footer(
      "Prints `stored <seq>` and ends with 0 only when the message is safe in the database.\n"
      "A refusal is printed as `refused <CODE>` and ends with 3; no answer ends with 4: the\n"
      "message may be stored later, and sending it again with the same --id is safe.\n"
      "Examples:\n"
      "  parley send bob 'good morning' --as alice\n"
      "  df -h | parley send ops - --as backup\n"
      "  parley send ops 'backup ok' --id nightly-2026-11-21   # at most once, however often\n"
      "  parley send bob -- '-1 from me'                       # a text that begins with -");
  const auto request = std::make_shared<SendRequest>();
  send->add_option("TO", request->to, "A user or a room")->required();
  send->add_option("TEXT", request->text, "The message; - or nothing: read standard input");
  send->add_option("--id", request->id, "Request id, against sending twice; default: a random one")
      ->type_name("ID");
  send->add_option("--timeout", request->timeout_s, "Seconds to wait for the answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 86'400))
      ->type_name("S");
  add_login_options(*send, setup);
  send->callback([&setup, &ending, request] { ending = run_send(setup, *request); });
}

}  // namespace parley::cli
