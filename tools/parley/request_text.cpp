// How results look on a terminal.
#include <iostream>
#include <map>

#include "tools/parley/request.hpp"
#include "tools/parley/text.hpp"

namespace parley::cli {
namespace {

/// A list in a result, and what of each thing in it is printed: JSON pointers; "" is itself.
struct Rows {
  const char* list;
  std::vector<const char*> columns;
};

const std::map<std::string, Rows>& rows_by_method() {
  static const Rows rooms{"rooms", {"/room", "/role", "/member_count", "/title"}};
  static const std::vector<const char*> message{"/conv", "/seq", "/time", "/from", "/text"};
  static const std::map<std::string, Rows> all{
      {"sync", {"conversations", {"/conv", "/unread", "/last_seq", "/last/time", "/last/text"}}},
      {"history", {"messages", message}},
      {"mentions", {"messages", message}},
      {"search", {"hits", {"/conv", "/message/seq", "/message/time", "/message/from", "/snippet"}}},
      {"room.get", {"members", {"/user", "/role"}}},
      {"room.list", rooms},
      {"room.find", rooms},
      {"contact.list", {"contacts", {"/user", "/state"}}},
      {"block.list", {"users", {""}}},
      {"presence.get", {"users", {"/user", "/online", "/last_seen"}}},
      {"device.list", {"devices", {"/device", "/online", "/confirms", "/last_seen"}}},
      {"user.search", {"users", {"/name", "/display_name"}}},
      {"me.export", {"lines", {""}}},
  };
  return all;
}

void print_rows(const Json& list, const std::vector<const char*>& columns) {
  for (const Json& one : list) {
    std::string line;
    for (const char* const column : columns) {
      const Json::json_pointer at{column};
      if (column != columns.front()) line += '\t';
      line += one.contains(at) ? shown(one.at(at)) : "-";
    }
    std::cout << line << '\n';
  }
}

void print_fields(const Json& object) {
  for (const auto& [name, value] : object.items()) {
    if (!value.is_structured()) std::cout << name << '\t' << shown(value) << '\n';
  }
}

/// Those for whom it was done, those for whom it was not and why.
Outcome<void> print_users(const Json& result) {
  std::string refused;
  for (const Json& user : result["done"]) std::cout << shown(user) << "\tdone\n";
  for (const Json& one : result["refused"]) {
    const auto line = shown(one["user"]) + "\trefused " + shown(one["code"]);
    std::cout << line << '\n';
    refused += (refused.empty() ? "" : ", ") + shown(one["user"]) + " (" + shown(one["code"]) + ")";
  }
  if (refused.empty()) return {};
  return fail(Exit::refused, "not done for " + refused);
}

}  // namespace

std::string shown(const Json& value) {
  if (value.is_null()) return "-";
  if (!value.is_string()) return value.dump();
  std::string text = value.get<std::string>();
  if (text.empty()) return "-";
  for (char& byte : text) {
    if (byte == '\n' || byte == '\t') byte = ' ';
  }
  return for_terminal(text);
}

Outcome<void> print_result(const std::string& method, const Json& result) {
  if (result.empty()) {
    std::cout << "done\n";
    return {};
  }
  if (result.contains("done")) return print_users(result);
  if (method == "token.issue") {
    std::cout << result.value("token", std::string{}) << '\n';
    return {};
  }
  const auto rows = rows_by_method().find(method);
  if (rows != rows_by_method().end()) {
    print_rows(result.value(rows->second.list, Json::array()), rows->second.columns);
    return {};
  }
  print_fields(result.contains("room") ? result["room"] : result);
  return {};
}

}  // namespace parley::cli
