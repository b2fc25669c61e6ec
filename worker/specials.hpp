// The methods of `do` that are no functions of the database alone.
#pragma once

#include <functional>
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
    Resolver& resolver;
    const Config& config;
    Exports& exports;
  };
  explicit Specials(Needs needs) : needs_{std::move(needs)} {}

  struct Asked {
    const Method* method = nullptr;
    sql::Asker asker;
    std::string json;  // the request
    AnswerTo to;
    std::string id;
    std::function<bool()> wanted;  // it has not been answered yet
  };
  /// @param done  called once, from the loop
  void carry_out(const Asked& asked, sql::OutcomeDone done);

 private:
  Needs needs_;
};

}  // namespace parley
