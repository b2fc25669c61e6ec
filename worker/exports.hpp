// `me.export`: everything that is kept about somebody, page by page (docs/protocol.md, "Export").
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/answer.hpp"
#include "core/sessions.hpp"
#include "worker/pg_link.hpp"
#include "worker/plugin_link.hpp"
#include "worker/publisher.hpp"
#include "worker/statements_account.hpp"
#include "worker/statements_requests.hpp"

namespace parley {

/// Loop thread. Nothing of an export is durable: it ends with the worker, and with the connection
/// that asked for it. If that does not hear the answers, then when nobody is there to hear them.
class Exports {
 public:
  struct Needs {
    PgLink& database;  // messages and short requests do not wait for it
    PluginLink& plugin;
    const Sessions& sessions;
    const Publisher& publisher;
    std::function<void()> turn;
  };
  Exports(asio::io_context& loop, Needs needs) : needs_{std::move(needs)}, timer_{loop} {}

  void start() { tick(); }
  void stop() { timer_.cancel(); }

  /// @param wanted  whether the request has not been answered otherwise yet
  /// @param first   called once: the first page, or why there is none; the others go to `to`
  void begin(const sql::Asker& asker, const AnswerTo& to, const std::string& id,
             SessionNo session_no, std::function<bool()> wanted, sql::OutcomeDone first);

 private:
  struct Run {
    sql::Asker asker;
    AnswerTo to;
    std::string id;
    SessionNo session_no = 0;
    bool hears_itself = false;  // that session; else others of the user are told
    std::function<bool()> wanted;
    sql::OutcomeDone first;  // until it was called
    std::deque<std::string> lines;
    std::size_t bytes = 0;  // of the lines, as JSON
    std::deque<sql::ExportedConversation> left;
    bool inside = false;  // of the first of them, behind `after`
    Seq after = 0;
    std::uint64_t told = 0;      // lines
    std::uint64_t wait_for = 0;  // the plugin has to have carried out so much
    bool asking = false;
    bool complete = false;  // everything is read
  };
  using Shared = std::shared_ptr<Run>;

  void tick();
  void go_on(const Shared& run);
  void ask(const Shared& run, std::vector<PgQuery> queries,
           std::function<void(const std::vector<PgRows>&)> got);
  void read_account(const Shared& run);
  void read_conversation(const Shared& run);
  void read_messages(const Shared& run);
  void got_messages(const Shared& run, const PgRows& rows);
  void add_line(Run& run, std::string line);
  void tell(const Shared& run, bool more);
  [[nodiscard]] bool session_hears(const Run& run) const;
  [[nodiscard]] bool is_heard(const Run& run) const;
  [[nodiscard]] bool is_open(const Shared& run) const;
  void end(const Shared& run);

  Needs needs_;
  asio::steady_timer timer_;
  std::map<UserId, Shared> runs_;  // one for each user, and not many
};

}  // namespace parley
