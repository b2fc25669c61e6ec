// parley room: rooms and who is in them.
#include <algorithm>
#include <iostream>
#include <memory>

#include "core/names.hpp"
#include "tools/parley/commands.hpp"
#include "tools/parley/request.hpp"

namespace parley::cli {
namespace {

struct RoomRequest {
  std::string name;
  std::vector<std::string> members;
  std::string title;
};

struct Room {
  std::string conversation_id;
  bool is_new = false;
};

/// Takes the name for a room, if nobody has had it.
/// @return nothing if it is taken
Outcome<std::optional<Room>> create_room(Database& database, const RoomRequest& request,
                                         UserId owner) {
  const auto named = database.run(
      "INSERT INTO names (name, kind, id) VALUES ($1, 'room', nextval('conversation_ids')) "
      "ON CONFLICT (name) DO NOTHING RETURNING id",
      {request.name});
  if (!named) return failed(named.error());
  if (named->count() == 0) return std::optional<Room>{};
  Room room;
  room.conversation_id = named->text(0, 0);
  room.is_new = true;
  const auto created = database.run(
      "INSERT INTO conversations (conversation_id, kind, name, title, created_by) "
      "VALUES ($1, 'room', $2, $3, $4)",
      {room.conversation_id, request.name, request.title, std::to_string(owner.value)});
  if (!created) return failed(created.error());
  const auto head = database.run("INSERT INTO conversation_heads (conversation_id) VALUES ($1)",
                                 {room.conversation_id});
  if (!head) return failed(head.error());
  return std::optional<Room>{std::move(room)};
}

/// Finds a room and locks its head, so that no message is numbered until the members are right.
Outcome<Room> lock_room(Database& database, const std::string& name) {
  const auto found =
      database.run("SELECT kind, retired_at IS NOT NULL, id FROM names WHERE name = $1", {name});
  if (!found) return failed(found.error());
  if (found->count() == 0) return fail(Exit::failed, name + ": changed meanwhile; try again");
  if (found->text(0, 1) == "t") {
    return fail(Exit::failed, name + ": was used before, and a name is never given again");
  }
  if (found->text(0, 0) != "room") {
    return fail(Exit::failed, name + ": is a user; users and rooms share their names");
  }
  Room room;
  room.conversation_id = found->text(0, 2);
  const auto head = database.run(
      "SELECT last_seq FROM conversation_heads WHERE conversation_id = $1 FOR NO KEY UPDATE",
      {room.conversation_id});
  if (!head) return failed(head.error());
  if (head->count() == 0) return fail(Exit::failed, name + ": has no conversation head");
  return room;
}

/// @return whether he was not one before
Outcome<bool> add_member(Database& database, const Room& room, UserId user,
                         const std::string& role) {
  const std::string user_id = std::to_string(user.value);
  const auto known = database.run("SELECT FROM members WHERE conversation_id = $1 AND user_id = $2",
                                  {room.conversation_id, user_id});
  if (!known) return failed(known.error());
  if (known->count() > 0) return false;
  const auto entered =
      database.run("SELECT enter_room($1, $2, $3)", {room.conversation_id, user_id, role});
  if (!entered) return failed(entered.error());
  return true;
}

Outcome<void> check_room_size(Database& database, const Room& room, std::size_t members_max) {
  const auto count = database.run("SELECT count(*) FROM members WHERE conversation_id = $1",
                                  {room.conversation_id});
  if (!count) return failed(count.error());
  if (std::cmp_less_equal(count->integer(0, 0), members_max)) return {};
  return fail(Exit::failed, "a room has at most " + std::to_string(members_max) +
                                " members (limits.room_members_max in the configuration)");
}

Outcome<std::vector<User>> find_members(Database& database, const std::vector<std::string>& names) {
  std::vector<User> users;
  for (const auto& name : names) {
    const bool twice = std::any_of(users.begin(), users.end(),
                                   [&](const User& known) { return known.name == name; });
    if (twice) continue;
    auto user = find_user(database, name);
    if (!user) return failed(user.error());
    users.push_back(std::move(*user));
  }
  return users;
}

/// @return what to tell
Outcome<std::string> add_room(Database& database, const RoomRequest& request,
                              std::size_t members_max) {
  const auto users = find_members(database, request.members);
  if (!users) return failed(users.error());
  auto created = create_room(database, request, users->front().user_id);
  if (!created) return failed(created.error());
  auto room = *created ? Outcome<Room>{std::move(**created)} : lock_room(database, request.name);
  if (!room) return failed(room.error());
  std::string added;
  for (const User& user : *users) {
    const bool owner = room->is_new && &user == &users->front();
    const auto is_added = add_member(database, *room, user.user_id, owner ? "owner" : "member");
    if (!is_added) return failed(is_added.error());
    if (*is_added) added += " " + user.name;
  }
  if (auto fits = check_room_size(database, *room, members_max); !fits) return failed(fits.error());
  if (room->is_new) return request.name + ": created with" + added;
  if (added.empty()) return request.name + ": exists, all of them are members";
  const auto bumped = database.run(
      "UPDATE conversation_heads SET members_version = members_version + 1 "
      "WHERE conversation_id = $1",
      {room->conversation_id});
  if (!bumped) return failed(bumped.error());
  return request.name + ": exists, added" + added;
}

Outcome<void> run_add(const Setup& setup, const RoomRequest& request) {
  if (!is_name(request.name)) {
    return fail(Exit::usage, "\"" + request.name +
                                 "\" cannot be a name: 1 to 32 of a-z 0-9 _ -, beginning with a "
                                 "letter or digit");
  }
  const auto config = load_setup(setup);
  if (!config) return failed(config.error());
  auto database = Database::open_migrated(config->database.uri);
  if (!database) return failed(database.error());
  std::string report;
  auto done = database->transact([&]() -> Outcome<void> {
    auto told = add_room(*database, request, config->limits.room_members_max);
    if (!told) return failed(told.error());
    report = std::move(*told);
    return {};
  });
  if (done) std::cout << report << '\n';
  return done;
}

Outcome<void> run_list(const Setup& setup) {
  auto database = open_database(setup);
  if (!database) return failed(database.error());
  const auto rows = database->run(
      "SELECT c.name, count(m.user_id), c.title FROM conversations c "
      "LEFT JOIN members m USING (conversation_id) WHERE c.kind = 'room' "
      "GROUP BY c.conversation_id ORDER BY c.name");
  if (!rows) return failed(rows.error());
  for (int row = 0; row < rows->count(); ++row) {
    std::cout << rows->text(row, 0) << '\t' << rows->text(row, 1) << '\t' << rows->text(row, 2)
              << '\n';
  }
  return {};
}

/// Who speaks as somebody asks as he; else it is the operator, in the database.
bool as_user(const Setup& setup) { return !setup.as.empty() || !setup.token.empty(); }

Outcome<void> ask_add(const Setup& setup, const RoomRequest& asked, const Manner& manner) {
  if (!asked.title.empty()) {
    return fail(Exit::usage, "a user says the title with: parley room create, parley room set");
  }
  return run_request(setup, "room.add", {{"room", asked.name}, {"users", asked.members}}, manner);
}

constexpr const char* who_acts =
    "With --as (or PARLEY_USER) it is that user who asks the server, with the rights that he has.\n"
    "Without, it is the operator, who works in the database that the configuration names.\n";

void add_dual_commands(CLI::App& room, Setup& setup, Ending& ending) {
  auto* const add = room.add_subcommand("add", "Add members to a room; safe to repeat");
  add->footer(std::string{who_acts} +
              "The operator's also creates the room, and adds without a word of it in the room.\n"
              "Examples:\n"
              "  parley room add ops alice bob --title Operations     # the operator\n"
              "  parley room add ops dave --as alice                  # alice, who owns ops");
  const auto request = std::make_shared<RoomRequest>();
  const auto manner = std::make_shared<Manner>();
  add->add_option("NAME", request->name, "The room's name, for ever")->required();
  add->add_option("MEMBER", request->members, "Users; the first one owns a new room")->required();
  add->add_option("--title", request->title, "What people see; of a new room")->type_name("TEXT");
  add_manner_options(*add, setup, manner);
  add->callback([&setup, &ending, request, manner] {
    ending = as_user(setup) ? ask_add(setup, *request, *manner) : run_add(setup, *request);
  });

  auto* const list = room.add_subcommand("list", "Print rooms, numbers of members and titles");
  list->footer(std::string{who_acts} +
               "The operator's are all rooms; a user's are his, with what he is there.\n"
               "Examples:\n"
               "  parley room list                # the operator\n"
               "  parley room list --as alice     # alice's rooms");
  const auto list_manner = std::make_shared<Manner>();
  add_manner_options(*list, setup, list_manner);
  list->callback([&setup, &ending, list_manner] {
    ending = as_user(setup) ? run_request(setup, "room.list", Json::object(), *list_manner)
                            : run_list(setup);
  });
}

}  // namespace

void add_room_commands(CLI::App& app, Setup& setup, Ending& ending) {
  auto* const room = app.add_subcommand("room", "Rooms and who is in them");
  room->require_subcommand(1);
  room->footer(std::string{who_acts} +
               "Only add and list are for both; the others are a user's.\n"
               "Examples:\n"
               "  parley room add ops alice bob carol --title 'Operations'    # the operator\n"
               "  parley room create team bob --as alice\n"
               "  parley room list --as alice");
  add_dual_commands(*room, setup, ending);
}

}  // namespace parley::cli
