// The plans of every query that the worker really runs, on a database after months of use: what
// PostgreSQL itself says (auto_explain, also of what functions run inside), so nothing here can be
// out of date. Run by tools/bench/explain; the tests leave it out.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "tests/bench/filling.hpp"
#include "tests/support/instance.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/text.hpp"

using namespace parley::test;
using Json = nlohmann::json;

namespace {

constexpr double tiny_rows = 1'000;
/// More often than PL/pgSQL tries plans for the very values before it keeps one for all.
constexpr int times_each = 7;

/// Not hot: once when the worker starts.
const std::set<std::string>& only_at_start() {
  static const std::set<std::string> names{"newest_message", "claim_lanes", "generations_page"};
  return names;
}

struct Seen {
  int runs = 0;
  double ms = 0;                     // the longest
  std::int64_t blocks = 0;           // the most of one run, from memory or not
  std::set<std::string> scans;       // tables that are not tiny and were read from end to end
  std::set<std::string> tiny_scans;  // partitions that are empty until now
};

std::string plain(const std::string& text) {
  static const std::regex spaces{"\\s+"};
  std::string one_line = std::regex_replace(text, spaces, " ");
  if (one_line.starts_with(' ')) one_line.erase(0, 1);
  return one_line;
}

/// The worker's names of its statements, by their text. The others, mostly inside functions, are
/// shown by their text.
std::map<std::string, std::string> statement_names() {
  static const std::regex statement{
      "PgStatement \\w+\\{\\s*\"(\\w+)\",\\s*(?:R\"sql\\(([^]*?)\\)sql\"|\"([^\"]*)\")\\}"};
  std::map<std::string, std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(PARLEY_SOURCE "/worker")) {
    if (!file.path().filename().string().starts_with("statements")) continue;
    const auto source = read_file(file.path());
    for (std::sregex_iterator at{source.begin(), source.end(), statement}, end; at != end; ++at) {
      names[plain((*at)[2].matched ? (*at)[2].str() : (*at)[3].str())] = (*at)[1];
    }
  }
  return names;
}

class Plans {
 public:
  explicit Plans(Database& database) : names_{statement_names()} {
    for (const auto& row :
         database.query("SELECT relname, reltuples FROM pg_class WHERE relkind = 'r'")) {
      rows_[row[0]] = std::stod(row[1]);
    }
  }

  /// Every plan in a server's log. @return how many
  int read(const std::string& log) {
    std::istringstream lines{log};
    std::string line;
    std::string json;
    double ms = 0;
    int count = 0;
    const auto finish = [&] {
      if (json.empty()) return;
      add(Json::parse(json), ms);
      json.clear();
      ++count;
    };
    while (std::getline(lines, line)) {
      if (!json.empty() || open_) {
        if (line.starts_with('\t')) {
          json += line.substr(1) + "\n";
          continue;
        }
        finish();
        open_ = false;
      }
      const auto at = line.find("duration: ");
      if (at == std::string::npos || line.find("  plan:", at) == std::string::npos) continue;
      ms = std::stod(line.substr(at + 10));
      open_ = true;
    }
    finish();
    return count;
  }

  /// @return the names of those that read a table from end to end
  std::vector<std::string> print() const {
    std::vector<std::string> bad;
    std::printf("| %-78s | runs | ms, most | blocks, most | read from end to end |\n", "query");
    std::printf("|%s|------|----------|--------------|----------------------|\n",
                std::string(80, '-').c_str());
    for (const auto& [name, seen] : seen_) {
      std::string scans;
      for (const auto& table : seen.scans) scans += table + " ";
      if (!seen.tiny_scans.empty()) scans += "(empty: " + *seen.tiny_scans.begin() + ")";
      const bool excused = only_at_start().contains(name);
      if (excused && !seen.scans.empty()) scans += "at the start only";
      std::printf("| %-78s | %4d | %8.2f | %12lld | %s |\n", name.substr(0, 78).c_str(), seen.runs,
                  seen.ms, static_cast<long long>(seen.blocks), scans.c_str());
      if (!seen.scans.empty() && !excused) bad.push_back(name);
    }
    return bad;
  }

 private:
  void add(const Json& plan, double ms) {
    const std::string text = plain(plan.at("Query Text"));
    const auto named = names_.find(text);
    Seen& seen = seen_[named == names_.end() ? text : named->second];
    ++seen.runs;
    seen.ms = std::max(seen.ms, ms);
    seen.blocks =
        std::max(seen.blocks, plan.at("Plan").value("Shared Hit Blocks", std::int64_t{0}) +
                                  plan.at("Plan").value("Shared Read Blocks", std::int64_t{0}));
    look(plan.at("Plan"), seen);
  }

  void look(const Json& node, Seen& seen) {
    if (node.value("Node Type", "") == "Seq Scan") {
      const std::string table = node.at("Relation Name");
      const auto known = rows_.find(table);
      const double rows = known == rows_.end() ? tiny_rows : known->second;
      if (rows >= tiny_rows) {
        seen.scans.insert(table);
      } else if (table.starts_with("messages_")) {
        seen.tiny_scans.insert(table);
      }
    }
    if (!node.contains("Plans")) return;
    for (const Json& child : node["Plans"]) look(child, seen);
  }

  std::map<std::string, std::string> names_;
  std::map<std::string, double> rows_;
  std::map<std::string, Seen> seen_;
  bool open_ = false;
};

/// Everything that clients can ask, with the results that they usually get.
class Work {
 public:
  explicit Work(Instance& instance)
      : instance_{instance}, alice_{instance.device("alice", "phone")} {
    alice_.listen({"re.json/+", "ack/+", "inbox.json/+", "sent.json/+", "event.json/+"});
    peer_.emplace(instance.device("n1", "phone"));
    peer_->listen({"re.json/+", "ack/+", "inbox.json/+", "event.json/+"});
  }

  void all() {
    for (turn_ = 1; turn_ <= times_each; ++turn_) {
      messages();
      rooms();
      people();
      (void)alice_.mqtt.drain();
      (void)peer_->mqtt.drain();
    }
    come_back();
  }

 private:
  void ask_for(const std::string& method, const Json& request) {
    const Json reply = ask(alice_, method, request);
    if (reply.at("ok") == true || reply.value("code", "") == "UNKNOWN_METHOD") return;
    std::printf("%s %s: %s\n", method.c_str(), request.dump().c_str(), reply.dump().c_str());
  }

  void messages() {
    const std::string n = std::to_string(turn_);
    for (const std::string to : {"n1", "room1", "big", "n2"}) {
      REQUIRE(alice_.send(to, "hello", to + n).starts_with("stored "));
      REQUIRE(alice_.send(to, "hello", to + n).starts_with("stored "));  // a repeat
    }
    REQUIRE(peer_->send("alice", "well", "w" + n).starts_with("stored "));
    instance_.settle();
    for (const std::string conv : {"n1", "room1", "big"}) {
      const int last = turn_ + (conv == "n1" ? 15 : 1'000);
      ask_for("history", {{"conv", conv}, {"limit", 50}});
      ask_for("history", {{"conv", conv}, {"limit", 50}, {"before_seq", 10}});
      ask_for("history", {{"conv", conv}, {"limit", 50}, {"after_seq", 3}});
      ask_for("history", {{"conv", conv}, {"limit", 50}, {"around_seq", 9}});
      ask_for("receipts", {{"conv", conv}, {"seq", last}});
      ask_for("receipts", {{"conv", conv}, {"seq", 2}});
      ask_for("msg.react", {{"conv", conv}, {"seq", 1 + turn_}, {"emoji", "x"}});
      ask_for("msg.pin", {{"conv", conv}, {"seq", 1 + turn_}});
      alice_.publish("read/" + conv, std::to_string(last));
      alice_.publish("got/" + conv, std::to_string(last));
      alice_.publish("typing/" + conv, "1", 0);
      ask_for("conv.mute", {{"conv", conv}, {"muted_until", "2099-01-01T00:00:00.000Z"}});
      ask_for("conv.archive", {{"conv", conv}, {"archived", false}});
    }
    const std::string ack = alice_.send("n1", "to be changed", "c" + n);
    const int seq = std::stoi(ack.substr(7));
    ask_for("msg.edit", {{"conv", "n1"}, {"seq", seq}, {"text", "changed"}});
    ask_for("msg.delete", {{"conv", "n1"}, {"seq", seq}});
    ask_for("search", {{"query", "hello"}, {"limit", 20}});
    ask_for("mentions", {{"limit", 20}});
  }

  void rooms() {
    const std::string room = with_number("made", turn_);
    ask_for("room.create", {{"room", room}, {"members", {"n1", "n2"}}});
    ask_for("room.add", {{"room", room}, {"users", {"n3", "n4"}}});
    ask_for("room.invite", {{"room", room}, {"users", {"n5"}}});
    ask_for("room.role", {{"room", room}, {"user", "n1"}, {"role", "admin"}});
    ask_for("room.set", {{"room", room}, {"title", "Title"}});
    ask_for("room.set", {{"room", room}, {"topic", "topic"}, {"join", "open"}});
    ask_for("room.kick", {{"room", room}, {"users", {"n2"}}});
    ask_for("room.get", {{"room", room}});
    ask_for("room.get", {{"room", "room1"}});
    ask_for("room.list", Json::object());
    ask_for("room.find", {{"members", {"n1", "n3", "n4"}}});
    ask_for("room.role", {{"room", room}, {"user", "n1"}, {"role", "owner"}});
    ask_for("room.leave", {{"room", room}});
    ask_for("room.join", {{"room", room}});
    ask_for("room.leave", {{"room", with_number("room", 10 + turn_)}});
    ask_for("room.join", {{"room", room}});
  }

  void people() {
    const std::string other = with_number("n", 10 + turn_);
    ask_for("contact.request", {{"user", other}});
    ask_for("contact.list", Json::object());
    ask_for("contact.remove", {{"user", other}});
    ask_for("block.add", {{"user", other}});
    ask_for("block.list", Json::object());
    ask_for("block.remove", {{"user", other}});
    ask_for("presence.get", {{"users", {"n1", "n2", "n9000"}}});
    ask_for("me.get", Json::object());
    ask_for("me.set", {{"display_name", with_number("Alice ", turn_)}});
    ask_for("user.search", {{"query", "n12"}, {"limit", 20}});
    ask_for("user.search", {{"query", "number n9"}, {"limit", 20}});
    ask_for("device.list", Json::object());
    ask_for("sync", {{"epoch", ""}, {"positions", Json::array()}});
    ask_for("sync", {{"epoch", epoch()}, {"positions", {{{"conv", "n1"}, {"rev", 17}}}}});
  }

  /// What a device missed.
  void come_back() {
    for (int time = 0; time < times_each; ++time) {
      peer_->mqtt.disconnect();
      REQUIRE(alice_.send("n1", "while you were away").starts_with("stored "));
      REQUIRE(alice_.send("room1", "while you were away").starts_with("stored "));
      peer_.emplace(instance_.device("n1", "phone"));
      (void)peer_->expect("inbox.json/alice");
      (void)alice_.mqtt.drain();
    }
  }

  std::string epoch() { return instance_.database().value("SELECT epoch FROM server"); }

  Instance& instance_;
  Person alice_;
  std::optional<Person> peer_;
  int turn_ = 0;
};

}  // namespace

TEST_CASE("bench: plans of the hot queries on a full database" * doctest::skip()) {
  const char* const wanted = std::getenv("PARLEY_BENCH_MESSAGES");
  parley::bench::Filling filling;
  if (wanted != nullptr) filling.messages = std::atoll(wanted);
  Postgres postgres{{.settings = {"session_preload_libraries=auto_explain", "max_wal_size=1GB",
                                  "auto_explain.log_min_duration=-1", "shared_buffers=256MB",
                                  "auto_explain.log_analyze=on", "auto_explain.log_buffers=on",
                                  "auto_explain.log_format=json",
                                  "auto_explain.log_nested_statements=on", "fsync=off"}}};
  Instance instance{{"alice"}, {.start_worker = false, .postgres = &postgres}};
  parley::bench::fill(instance.database(), filling, "alice");
  std::printf("%s, of %s\n",
              instance.database()
                  .value("SELECT pg_size_pretty(pg_database_size(current_database()))")
                  .c_str(),
              instance.database().value("SELECT count(*) || ' messages' FROM messages").c_str());
  Plans plans{instance.database()};
  // For all that connect from now on: the worker.
  instance.database().query(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET auto_explain.log_min_duration = 0',"
      " current_database()); END $$");
  const std::size_t log_from = postgres.log().size();
  instance.start_worker();
  Work{instance}.all();
  instance.stop_worker();
  REQUIRE(plans.read(postgres.log().substr(log_from)) > 100);
  const auto bad = plans.print();
  for (const auto& name : bad) {
    CAPTURE(name);
    FAIL_CHECK("reads a table from end to end");
  }
}
