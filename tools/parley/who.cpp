// parley who: who is there, and who has a message.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

#include "core/names.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/request.hpp"

namespace parley::cli {
namespace {

constexpr std::size_t presence_users_max = 200;  // in one request

struct WhoArguments {
  std::string conv;       // empty: contacts
  std::uint32_t seq = 0;  // 0: presence
  Manner manner;
};

using Names = std::vector<std::string>;

Names names_in(const Json& list) {
  Names names;
  for (const Json& one : list) names.push_back(one.value("user", std::string{}));
  return names;
}

Outcome<Names> contacts(const Login& login, const Manner& manner) {
  const auto result = request(login, "contact.list", Json::object(), manner);
  if (!result) return failed(result.error());
  Json friends = Json::array();
  for (const Json& one : result->value("contacts", Json::array())) {
    if (one.value("state", std::string{}) == "friend") friends.push_back(one);
  }
  return names_in(friends);
}

/// Everybody in a conversation but oneself.
Outcome<Names> members(const Login& login, const std::string& conv, const Manner& manner) {
  const auto result = request(login, "room.get", {{"room", conv}}, manner);
  if (!result && result.error().code == to_string(Code::room_not_found)) return Names{conv};
  if (!result) return failed(result.error());
  auto names = names_in(result->value("members", Json::array()));
  names.erase(std::remove(names.begin(), names.end(), login.name), names.end());
  return names;
}

std::string presence_of(const Json& one) {
  if (one.value("online", false)) return "online";
  return one.contains("last_seen") ? "last seen " + shown(one["last_seen"]) : "offline";
}

Outcome<void> print_presence(const Login& login, const Names& names, const Manner& manner) {
  for (std::size_t at = 0; at < names.size(); at += presence_users_max) {
    const Names page(names.begin() + static_cast<std::ptrdiff_t>(at),
                     names.begin() + static_cast<std::ptrdiff_t>(
                                         std::min(names.size(), at + presence_users_max)));
    const auto result = request(login, "presence.get", {{"users", page}}, manner);
    if (!result) return failed(result.error());
    std::map<std::string, Json> known;
    for (const Json& one : result->value("users", Json::array())) {
      if (manner.json) std::cout << one.dump() << '\n';
      known[one.value("user", std::string{})] = one;
    }
    if (manner.json) continue;
    for (const auto& name : page) {
      const auto found = known.find(name);
      std::cout << name << '\t' << (found == known.end() ? "-" : presence_of(found->second))
                << '\n';
    }
  }
  return {};
}

Outcome<void> print_receipts(const Login& login, const WhoArguments& arguments) {
  const auto result = request(login, "receipts", {{"conv", arguments.conv}, {"seq", arguments.seq}},
                              arguments.manner);
  if (!result) return failed(result.error());
  if (arguments.manner.json) {
    std::cout << result->dump() << '\n';
    return {};
  }
  for (const char* const state : {"read", "got", "pending"}) {
    for (const Json& name : result->value(state, Json::array())) {
      std::cout << shown(name) << '\t' << state << '\n';
    }
  }
  return {};
}

Outcome<void> run_who(const Setup& setup, const WhoArguments& arguments) {
  if (!arguments.conv.empty() && !is_name(arguments.conv)) {
    return fail(Exit::usage, "\"" + arguments.conv + "\" can be neither a user nor a room");
  }
  const auto login = login_to_ask(setup);
  if (!login) return failed(login.error());
  if (arguments.seq > 0) return print_receipts(*login, arguments);
  const auto names = arguments.conv.empty() ? contacts(*login, arguments.manner)
                                            : members(*login, arguments.conv, arguments.manner);
  if (!names) return failed(names.error());
  return print_presence(*login, *names, arguments.manner);
}

}  // namespace

void add_who_command(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const who = app.add_subcommand("who", "Who is there, and who has got and read a message");
  who->footer(
      "Of contacts, or of a conversation: `online`, `last seen <time>`, `offline` where one may "
      "not "
      "know since when,\nor `-` where one may know nothing.\n"
      "With a SEQ, of those who were there: `read`, `got` or `pending`.\n"
      "Examples:\n"
      "  parley who --as alice           # contacts\n"
      "  parley who ops --as alice       # the members of a room\n"
      "  parley who ops 41 --as alice    # who has message 41");
  const auto what = std::make_shared<WhoArguments>();
  who->add_option("CONV", what->conv, "The other user, or a room");
  who->add_option("SEQ", what->seq, "A message");
  add_manner_options(*who, setup, {what, &what->manner});
  who->callback([&setup, &ending, what] { ending = run_who(setup, *what); });
}

}  // namespace parley::cli
