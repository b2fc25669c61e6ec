// The commands that are one request each, as a table: what they are called, what they ask, and
// which arguments become which fields.
#include <array>
#include <stdexcept>

#include "core/names.hpp"
#include "core/wire.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/request.hpp"
#include "tools/parley/text.hpp"

namespace parley::cli {
namespace {

enum class Value {
  name,      // of a user or a room
  names,     // one or more
  text,      // as it is
  texts,     // one or more
  number,    // a seq, a limit, days
  boolean,   // true or false
  flag,      // there: true
  flag_off,  // there: false, else true
  until,     // a span from now on, "forever", or "off": an empty time
};

struct Argument {
  const char* field;  // of the request
  const char* word;   // "CONV", or "--title" for an option
  Value value;
  const char* about;
  bool needed = true;  // options never are
};

struct Command {
  const char* path;  // "contact list"
  const char* method;
  const char* about;
  const char* example;
  std::vector<Argument> arguments{};
};

constexpr Argument conv{"conv", "CONV", Value::name, "The other user, or a room"};
constexpr Argument seq{"seq", "SEQ", Value::number, "Which message"};
constexpr Argument room{"room", "ROOM", Value::name, "The room's name"};
constexpr Argument user{"user", "USER", Value::name, "The other user"};
constexpr Argument users{"users", "USER", Value::names, "Users"};
constexpr Argument limit{"limit", "--limit", Value::number, "At most so many"};
constexpr Argument title{"title", "--title", Value::text, "What people see"};
constexpr Argument topic{"topic", "--topic", Value::text, "What it is about"};
constexpr Argument history{"history", "--history", Value::text,
                           "What new members see of the past: all or joined"};
constexpr Argument join{"join", "--join", Value::text, "Who may join: invite or open"};
constexpr Argument mentions{"mentions", "--mention", Value::names, "Users who are mentioned"};

const std::vector<Command>& room_commands() {
  static const std::vector<Command> all{
      {"room create",
       "room.create",
       "Create a room of one's own; safe to repeat",
       "parley room create ops bob carol --title Operations --as alice",
       {room,
        {"members", "USER", Value::names, "Members from the start", false},
        title,
        topic,
        history,
        join}},
      {"room invite",
       "room.invite",
       "Offer users a place; they join or leave it",
       "parley room invite ops dave --as alice",
       {room, users}},
      {"room join",
       "room.join",
       "Accept an invitation, or enter an open room",
       "parley room join ops --as dave",
       {room}},
      {"room leave",
       "room.leave",
       "Leave a room, or decline an invitation",
       "parley room leave ops --as dave",
       {room}},
      {"room kick",
       "room.kick",
       "Remove members",
       "parley room kick ops dave --as alice",
       {room, users}},
      {"room role",
       "room.role",
       "Say what a member is",
       "parley room role ops bob admin --as alice",
       {room, user, {"role", "ROLE", Value::text, "owner, admin, member or readonly"}}},
      {"room set",
       "room.set",
       "Change a room's settings",
       "parley room set ops --title 'Operations, nights' --join open --as alice",
       {room,
        title,
        topic,
        history,
        join,
        {"retention_days", "--retention-days", Value::number,
         "Days, counted as 8 if less; 0: no term of its own"}}},
      {"room get",
       "room.get",
       "Print a room's members and their roles",
       "parley room get ops --as alice",
       {room}},
      {"room find",
       "room.find",
       "Print one's rooms with exactly these members",
       "parley room find bob carol --as alice",
       {{"members", "USER", Value::names, "The others; oneself need not be named"}}},
  };
  return all;
}

const std::vector<Command>& message_commands() {
  static const std::vector<Command> all{
      {"search",
       "search",
       "Find messages by their words",
       "parley search 'backup failed' --in ops --as alice",
       {{"query", "QUERY", Value::text,
         "Words; \"in quotes\" they follow each other; or; -without"},
        {"conv", "--in", Value::name, "Only in this conversation"},
        limit}},
      {"mentions",
       "mentions",
       "Print messages that mention me, the newest first",
       "parley mentions --limit 5 --as alice",
       {limit, {"before", "--before", Value::text, "Only earlier ones: 2026-11-21T23:01:02.120Z"}}},
      {"edit",
       "msg.edit",
       "Replace the words of a message of one's own",
       "parley edit bob 3 'good evening' --as alice",
       {conv, seq, {"text", "TEXT", Value::text, "The new words"}, mentions}},
      {"delete",
       "msg.delete",
       "Delete a message of one's own, or any as a room's admin",
       "parley delete bob 3 --as alice",
       {conv, seq}},
      {"react",
       "msg.react",
       "React to a message",
       "parley react bob 3 👍 --as alice",
       {conv,
        seq,
        {"emoji", "EMOJI", Value::text, "Up to 64 bytes"},
        {"removed", "--remove", Value::flag, "Take it back"}}},
      {"pin",
       "msg.pin",
       "Pin a message",
       "parley pin ops 3 --as alice",
       {conv, seq, {"removed", "--remove", Value::flag, "Unpin it"}}},
      {"mute",
       "conv.mute",
       "Be quiet about a conversation for a while",
       "parley mute ops 8h --as alice",
       {conv, {"muted_until", "SPAN", Value::until, "30m, 8h, 7d, forever; off: no longer"}}},
      {"archive",
       "conv.archive",
       "Put a conversation away",
       "parley archive ops --as alice",
       {conv, {"archived", "--off", Value::flag_off, "Get it out again"}}},
      {"sync", "sync", "Print one's conversations: unread, last seq and last message of each",
       "parley sync --as alice; parley sync --json --as alice | jq .total_unread"},
  };
  return all;
}

const std::vector<Command>& people_commands() {
  static const std::vector<Command> all{
      {"contact request",
       "contact.request",
       "Ask somebody to be a contact",
       "parley contact request bob --as alice",
       {user}},
      {"contact accept",
       "contact.accept",
       "Say yes to who has asked",
       "parley contact accept alice --as bob",
       {user}},
      {"contact decline",
       "contact.decline",
       "Say no to who has asked",
       "parley contact decline alice --as bob",
       {user}},
      {"contact remove",
       "contact.remove",
       "End a contact",
       "parley contact remove bob --as alice",
       {user}},
      {"contact list", "contact.list", "Print contacts: friend, requested or asked_me",
       "parley contact list --as alice"},
      {"block", "block.add", "Refuse what somebody writes", "parley block bob --as alice", {user}},
      {"unblock", "block.remove", "Let him write again", "parley unblock bob --as alice", {user}},
      {"blocked", "block.list", "Print whom one has blocked", "parley blocked --as alice"},
      {"user search",
       "user.search",
       "Find users by beginnings of their names, as a user",
       "parley user search bo --as alice",
       {{"query", "QUERY", Value::text, "The beginning of a name or display name"}, limit}},
  };
  return all;
}

const std::vector<Command>& account_commands() {
  static const std::vector<Command> all{
      {"me get", "me.get", "Print one's profile and settings", "parley me get --as alice"},
      {"me set",
       "me.set",
       "Change one's profile and settings",
       "parley me set --display-name 'Alice A.' --last-seen-to contacts --as alice",
       {{"display_name", "--display-name", Value::text, "What people see"},
        {"about", "--about", Value::text, "Some words about oneself"},
        {"write_to_me", "--write-to-me", Value::text, "everyone or contacts"},
        {"add_to_rooms", "--add-to-rooms", Value::text, "everyone or contacts"},
        {"last_seen_to", "--last-seen-to", Value::text, "everyone, contacts or nobody"},
        {"searchable", "--searchable", Value::boolean, "true or false"}}},
      {"me export", "me.export",
       "Print everything that is kept about oneself, one JSON object per line",
       "parley me export --as alice > alice.jsonl"},
      {"me erase",
       "me.erase",
       "Delete the account for ever",
       "parley me erase alice --as alice",
       {{"confirm", "ME", Value::name, "One's own name, to be sure"}}},
      {"device list", "device.list", "Print one's devices", "parley device list --as alice"},
      {"device remove",
       "device.remove",
       "End a device's sessions and tokens",
       "parley device remove phone --as alice",
       {{"device", "DEVICE", Value::text, "As in the client id NAME.DEVICE"}}},
      {"token revoke-all", "token.revoke_all", "Make all of one's own tokens void, as a user",
       "parley token revoke-all --as alice"},
  };
  return all;
}

/// What was given for one argument.
using Words = std::vector<std::string>;

Outcome<Json> names_of(const Words& words) {
  Json list = Json::array();
  for (const auto& word : words) {
    if (!is_name(word)) return fail(Exit::usage, "\"" + word + "\" cannot be a name");
    list.push_back(word);
  }
  return list;
}

Outcome<Json> number_of(const Argument& argument, const std::string& word) {
  const bool digits = !word.empty() && word.find_first_not_of("0123456789") == word.npos;
  if (digits && word.size() <= 10 && std::stoull(word) <= UINT32_MAX) return std::stoull(word);
  return fail(Exit::usage, std::string{argument.word} + " takes a number, not \"" + word + "\"");
}

Outcome<Json> until_of(const std::string& word) {
  if (word == "off") return "";
  if (word == "forever") return "9999-12-31T00:00:00.000Z";
  const auto span = parse_span(word);
  if (!span || *span == 0) {
    return fail(Exit::usage, "a span such as 30m, 8h or 7d, forever or off; not \"" + word + "\"");
  }
  return format_time(UnixMillis{(now_s() + *span) * 1000});
}

Outcome<Json> value_of(const Argument& argument, const Words& words) {
  switch (argument.value) {
    case Value::name:
    case Value::names: {
      auto list = names_of(words);
      if (!list || argument.value == Value::names) return list;
      return list->front();
    }
    case Value::text:
      return words.front();
    case Value::texts:
      return words;
    case Value::number:
      return number_of(argument, words.front());
    case Value::boolean:
      if (words.front() == "true" || words.front() == "false") return words.front() == "true";
      return fail(Exit::usage, std::string{argument.word} + " takes true or false");
    case Value::flag:
      return true;
    case Value::flag_off:
      return false;
    case Value::until:
      return until_of(words.front());
  }
  return fail(Exit::usage, "what is that?");
}

struct Given {
  const Command* command;
  std::vector<Words> words;  // for each argument; empty: not given
  std::vector<CLI::Option*> options;
  Manner manner;
};

Outcome<void> run(const Setup& setup, const Given& given) {
  Json what = Json::object();
  for (std::size_t i = 0; i < given.words.size(); ++i) {
    const auto& argument = given.command->arguments[i];
    if (given.options[i]->count() == 0) {
      if (argument.value == Value::flag_off) what[argument.field] = true;
      continue;
    }
    auto value = value_of(argument, given.words[i]);
    if (!value) return failed(value.error());
    what[argument.field] = std::move(*value);
  }
  const std::string method = given.command->method;
  if (method == "me.erase" && what["confirm"] != setup.as) {
    return fail(Exit::usage, "that is not the name of who asks: nothing is erased");
  }
  return run_request(setup, method, what, given.manner);
}

CLI::Option* add_argument(CLI::App& to, const Argument& argument, Words& words) {
  const bool is_flag = argument.value == Value::flag || argument.value == Value::flag_off;
  if (is_flag) return to.add_flag(argument.word, argument.about);
  auto* const option = to.add_option(argument.word, words, argument.about);
  const bool many = argument.value == Value::names || argument.value == Value::texts;
  const bool is_option = argument.word[0] == '-';
  if (!many) option->expected(1)->allow_extra_args(false);
  if (!is_option && argument.needed) option->required();
  if (is_option) option->type_name(argument.value == Value::number ? "N" : "VALUE");
  if (many && is_option) option->allow_extra_args(false);  // --mention bob --mention carol
  return option;
}

/// The group of "contact list" is made when its first command is.
CLI::App* group_of(CLI::App& app, const std::string& name) {
  const auto there =
      app.get_subcommands([&](const CLI::App* one) { return one->get_name() == name; });
  if (!there.empty()) return there.front();
  static const std::array<std::pair<const char*, const char*>, 3> groups{
      {{"contact", "Contacts, as a user"},
       {"me", "One's own profile and account"},
       {"device", "One's own named devices"}}};
  for (const auto& [group, about] : groups) {
    if (name != group) continue;
    auto* const made = app.add_subcommand(name, about);
    made->require_subcommand(1);
    return made;
  }
  return nullptr;
}

void add_command(CLI::App& app, const Command& command, Setup& setup, Ending& ending) {
  const std::string path = command.path;
  const auto space = path.find(' ');
  auto* const into = space == path.npos ? &app : group_of(app, path.substr(0, space));
  if (into == nullptr) throw std::logic_error{path + " has no group"};
  auto* const added =
      into->add_subcommand(space == path.npos ? path : path.substr(space + 1), command.about);
  added->footer(std::string{"Example:\n  "} + command.example);
  const auto given = std::make_shared<Given>();
  given->command = &command;
  given->words.resize(command.arguments.size());
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    given->options.push_back(add_argument(*added, command.arguments[i], given->words[i]));
  }
  const std::shared_ptr<Manner> manner{given, &given->manner};
  add_manner_options(*added, setup, manner);
  added->callback([&setup, &ending, given] { ending = run(setup, *given); });
}

void add_do_command(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const command = app.add_subcommand("do", "Ask any method, and print its result as JSON");
  command->footer(
      "The methods and their requests: docs/protocol.md. A refusal is printed as it came and ends "
      "with 3.\n"
      "Example:\n"
      "  parley do receipts '{\"conv\":\"bob\",\"seq\":3}' --as alice | jq -r '.read[]'");
  struct Asked {
    std::string method;
    std::string json = "{}";
  };
  const auto asked = std::make_shared<Asked>();
  const auto manner = std::make_shared<Manner>();
  command->add_option("METHOD", asked->method, "Such as room.get")->required();
  command->add_option("JSON", asked->json, "The request; default {}");
  add_manner_options(*command, setup, manner);
  command->callback([&setup, &ending, asked, manner] {
    const Json what = Json::parse(asked->json, nullptr, false);
    if (!what.is_object()) {
      ending = fail(Exit::usage, "the request is no JSON object");
      return;
    }
    if (asked->method.empty() || asked->method.find_first_of("/+#") != std::string::npos) {
      ending = fail(Exit::usage, "\"" + asked->method + "\" cannot be a method");
      return;
    }
    manner->json = true;
    ending = run_request(setup, asked->method, what, *manner);
  });
}

}  // namespace

void add_request_commands(CLI::App& app, Setup& setup, Ending& ending) {
  for (const auto* const commands :
       {&message_commands(), &people_commands(), &room_commands(), &account_commands()}) {
    for (const Command& command : *commands) add_command(app, command, setup, ending);
  }
  add_do_command(app, setup, ending);
}

}  // namespace parley::cli
