// The methods of `do` that are no functions of the database alone.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "core/answer.hpp"
#include "core/methods.hpp"
#include "worker/config.hpp"
#include "worker/conversations.hpp"
#include "worker/exports.hpp"
#include "worker/pg_link.hpp"
#include "worker/search.hpp"
#include "worker/statements_requests.hpp"

namespace parley {

class Specials {
 public:
  struct Needs {
    PgLink& database;  // of requests
    PgLink& slow;      // of its own: what takes long delays nothing else
    Resolver& resolver;
    const Config& config;
    Exports& exports;
  };
  explicit Specials(const Needs& needs) : needs_{needs} {}

  struct Asked {
    const Method* method = nullptr;
    sql::Asker asker;
    std::string json;  // the request
    AnswerTo to;
    std::string id;
    SessionNo session_no = 0;
    std::function<bool()> wanted;  // it has not been answered yet
  };
  /// @param done  called once, from the loop
  void carry_out(const Asked& asked, sql::OutcomeDone done);

 private:
  struct Search {
    Asked asked;
    sql::OutcomeDone done;
  };
  void add_search(const Asked& asked, sql::OutcomeDone done);
  void next_search();
  Search take_search();
  void forget_search(UserId user);
  void run_search(const Asked& asked, sql::OutcomeDone done);

  Needs needs_;
  std::map<UserId, std::deque<Search>> searches_;  // that wait; as many as requests at most
  std::deque<UserId> turns_;                       // of those who have some of them
  std::map<UserId, std::size_t> searches_of_;      // with the one under way
  bool searching_ = false;
  bool choosing_ = false;  // the next one
};

}  // namespace parley
