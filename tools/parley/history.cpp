// parley history: what was said before.
#include <algorithm>
#include <iostream>
#include <memory>

#include "core/names.hpp"
#include "core/wire.hpp"
#include "tools/parley/ask.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/text.hpp"

namespace parley::cli {
namespace {

constexpr std::uint32_t token_valid_s = 15 * 60;
constexpr std::uint32_t page_max = 200;

enum class Shape { text, json };

struct HistoryArguments {
  std::string conv;
  std::uint32_t limit = 20;
  std::uint32_t before_seq = 0;  // 0: from the newest on
  int timeout_s = 10;
  bool json = false;
};

Outcome<HistoryResult> fetch_page(const Login& login, const HistoryArguments& page) {
  // Nothing in here can need escaping: `conv` is a name.
  std::string request = R"({"conv":")" + page.conv + R"(","limit":)" + std::to_string(page.limit);
  if (page.before_seq > 0) request += R"(,"before_seq":)" + std::to_string(page.before_seq);
  request += "}";
  const auto answer =
      ask(login, {"do.json/history", request, std::chrono::seconds{page.timeout_s}});
  if (!answer) return failed(answer.error());
  const auto reply = decode_reply(Format::json, *answer);
  if (!reply) {
    return fail(Exit::failed, "the server's answer cannot be read: " + reply.error().detail);
  }
  if (const auto* const refused = std::get_if<ReplyFailed>(&reply->result)) {
    return refuse(refused->code, refused->detail);
  }
  return std::get<HistoryResult>(reply->result);
}

/// As many as are wanted, from the newest backwards, page by page.
Outcome<std::vector<Message>> fetch(const Login& login, const HistoryArguments& arguments) {
  std::vector<Message> newest_first;
  HistoryArguments page = arguments;
  while (newest_first.size() < arguments.limit) {
    const auto missing = arguments.limit - static_cast<std::uint32_t>(newest_first.size());
    page.limit = std::min(missing, page_max);
    auto result = fetch_page(login, page);
    if (!result) return failed(result.error());
    if (result->messages.empty()) break;
    page.before_seq = result->messages.front().seq;
    std::move(result->messages.rbegin(), result->messages.rend(), std::back_inserter(newest_first));
    if (!result->has_more) break;
  }
  std::reverse(newest_first.begin(), newest_first.end());
  return newest_first;
}

void print(const Message& message, Shape shape) {
  if (shape == Shape::json) {
    std::cout << encode_message(Format::json, message, false) << '\n';
    return;
  }
  const std::string text = message.deleted ? "(deleted)" : message_text(message, false);
  std::cout << message.seq << ' ' << format_time(message.time) << ' ' << message.from << ": "
            << for_terminal(text) << '\n';
}

Outcome<void> run_history(const Setup& setup, const HistoryArguments& arguments) {
  if (!is_name(arguments.conv)) {
    return fail(Exit::usage, "\"" + arguments.conv + "\" can be neither a user nor a room");
  }
  const auto login = make_login(setup, token_valid_s);
  if (!login) return failed(login.error());
  const auto messages = fetch(*login, arguments);
  if (!messages) return failed(messages.error());
  for (const Message& message : *messages) {
    print(message, arguments.json ? Shape::json : Shape::text);
  }
  return {};
}

}  // namespace

void add_history_command(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const history = app.add_subcommand("history", "Print what was said in a conversation");
  history->footer(
      "The oldest comes first: seq, time, sender, text. Ends with 3 when the server refuses.\n"
      "Examples:\n"
      "  parley history bob --as alice\n"
      "  parley history ops --limit 1000 --json | jq -r .text");
  const auto arguments = std::make_shared<HistoryArguments>();
  history->add_option("CONV", arguments->conv, "The other user, or a room")->required();
  history->add_option("--limit", arguments->limit, "How many of the newest")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
  history->add_option("--before", arguments->before_seq, "Only those before this seq")
      ->type_name("SEQ");
  history->add_option("--timeout", arguments->timeout_s, "Seconds to wait for each answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 86'400))
      ->type_name("S");
  history->add_flag("--json", arguments->json, "One JSON object per line");
  add_login_options(*history, setup);
  history->callback([&setup, &ending, arguments] { ending = run_history(setup, *arguments); });
}

}  // namespace parley::cli
