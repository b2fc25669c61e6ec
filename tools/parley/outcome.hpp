// How a command ends.
#pragma once

#include <string>

#include "core/code.hpp"
#include "core/result.hpp"

namespace parley::cli {

/// Exit codes: stable, listed in `parley --help`.
enum class Exit {
  done = 0,
  failed = 1,         // configuration, key file, database said no, …
  usage = 2,          // the command line makes no sense
  refused = 3,        // the server refused with a code, or a token is not good
  timed_out = 4,      // no answer in time: the outcome is unknown
  unreachable = 5,    // no broker or no database there
  login_refused = 6,  // the broker does not take the token
};

struct Failure {
  Exit exit = Exit::failed;
  std::string what;    // says what to do; without a full stop
  std::string code{};  // with Exit::refused: the server's word for it, such as BAD_TOKEN
  std::string json{};  // what came, for who wants JSON: printed instead of `refused <CODE>`
};

template <class T>
using Outcome = Result<T, Failure>;

inline auto fail(Exit exit, std::string what) {
  return failed(Failure{exit, std::move(what), {}, {}});
}
/// Printed as `refused <CODE>`, as the server would.
inline auto refuse(Code code, std::string what) {
  return failed(Failure{Exit::refused, std::move(what), std::string{to_string(code)}, {}});
}

}  // namespace parley::cli
