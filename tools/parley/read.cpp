// parley read, parley unread: how far one has read.
#include <algorithm>
#include <iostream>
#include <memory>

#include "core/names.hpp"
#include "tools/parley/ask.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/request.hpp"

namespace parley::cli {
namespace {

struct ReadArguments {
  std::string conv;
  std::uint32_t seq = 0;  // 0: the newest
  Manner manner;
};

/// Where one stands in a conversation; null if it is not among one's own.
Outcome<Json> standing(const Login& login, const std::string& conv, const Manner& manner) {
  const auto result = request(login, "sync", Json::object(), manner);
  if (!result) return failed(result.error());
  for (const Json& one : result->value("conversations", Json::array())) {
    if (one.value("conv", std::string{}) == conv) return one;
  }
  return Json{};
}

/// The newest message's seq; 0 if there is none.
Outcome<std::uint32_t> newest(const Login& login, const std::string& conv, const Manner& manner) {
  const auto page = request(login, "history", {{"conv", conv}, {"limit", 1}}, manner);
  if (!page) return failed(page.error());
  const auto messages = page->value("messages", Json::array());
  return messages.empty() ? 0U : messages.back().value("seq", 0U);
}

Outcome<void> run_read(const Setup& setup, const ReadArguments& arguments) {
  const auto& conv = arguments.conv;
  if (!is_name(conv)) return fail(Exit::usage, "\"" + conv + "\" can be neither a user nor a room");
  const auto login = login_to_ask(setup);
  if (!login) return failed(login.error());
  // Asked first: a `read` has no answer that could say why not.
  const auto last = newest(*login, conv, arguments.manner);
  if (!last) return failed(last.error());
  const auto seq = arguments.seq == 0 ? *last : std::min(arguments.seq, *last);
  if (seq > 0) {
    auto said = say(*login, {"read/" + conv, std::to_string(seq),
                             std::chrono::seconds{arguments.manner.timeout_s}});
    if (!said) return said;
    // The server has taken what was said before it answers this.
    const auto now = standing(*login, conv, arguments.manner);
    if (!now) return failed(now.error());
    if (!now->is_null() && now->value("read_seq", 0U) < seq) {
      return refuse(Code::unavailable, "the server has not marked it as read; try again");
    }
    if (arguments.manner.json && !now->is_null()) {
      std::cout << now->dump() << '\n';
      return {};
    }
  }
  std::cout << "read " << seq << '\n';
  return {};
}

Outcome<void> run_unread(const Setup& setup, const ReadArguments& arguments) {
  const auto login = login_to_ask(setup);
  if (!login) return failed(login.error());
  if (arguments.conv.empty()) {
    const auto result = request(*login, "sync", Json::object(), arguments.manner);
    if (!result) return failed(result.error());
    std::cout << result->value("total_unread", 0U) << '\n';
    return {};
  }
  const auto now = standing(*login, arguments.conv, arguments.manner);
  if (!now) return failed(now.error());
  if (!now->is_null()) {
    std::cout << now->value("unread", 0U) << '\n';
    return {};
  }
  // None of his: there is nothing in it yet, or the server says what is wrong with it.
  const auto last = newest(*login, arguments.conv, arguments.manner);
  if (!last) return failed(last.error());
  std::cout << "0\n";
  return {};
}

}  // namespace

void add_read_commands(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const read = app.add_subcommand("read", "Mark a conversation as read");
  read->footer(
      "Prints `read <seq>`: up to where it is read now, if it was not further before.\n"
      "Examples:\n"
      "  parley read bob --as alice      # everything\n"
      "  parley read ops 41 --as alice   # up to 41");
  const auto what = std::make_shared<ReadArguments>();
  read->add_option("CONV", what->conv, "The other user, or a room")->required();
  read->add_option("SEQ", what->seq, "Up to this message; default: the newest");
  add_manner_options(*read, setup, {what, &what->manner});
  read->callback([&setup, &ending, what] { ending = run_read(setup, *what); });

  auto* const unread = app.add_subcommand("unread", "Print how many messages are unread");
  unread->footer(
      "Examples:\n"
      "  parley unread --as alice        # in all conversations\n"
      "  parley unread ops --as alice");
  const auto of = std::make_shared<ReadArguments>();
  unread->add_option("CONV", of->conv, "Only in this conversation");
  add_manner_options(*unread, setup, {of, &of->manner});
  unread->callback([&setup, &ending, of] { ending = run_unread(setup, *of); });
}

}  // namespace parley::cli
