// Small files of ours, as a crash or a hand may have left them: keys, revocations, owners of ids.

#include "core/client_owners.hpp"
#include "core/keyring.hpp"
#include "core/revocations.hpp"
#include "tests/fuzz/input.hpp"

namespace {

using namespace parley;
using fuzz::require;

void check_keys(std::string_view text) {
  const auto keys = Keyring::parse(text);
  if (!keys) return;
  const auto written = keys->render();
  const auto again = Keyring::parse(written);
  require(again.has_value() && again->render() == written, "keys are read as they are written");
  require(again->keys().size() == keys->keys().size(), "all of them");
  for (const auto& key : keys->keys()) {
    require((keys->find(key.key_id) == nullptr) == key.retired, "a retired key is not found");
  }
}

void check_revocations(fuzz::Input& input) {
  const UserId user{input.byte()};
  const auto generation = input.byte();
  const auto list = Revocations::parse(input.rest());
  if (!list) return;
  require(list->known(), "what is read is complete");
  const auto again = Revocations::parse(list->render());
  require(again.has_value() && again->render() == list->render() && again->size() == list->size(),
          "a list is read as it is written");
  for (const bool bound : {false, true}) {
    const Revocations::Login login{user, "phone", bound, generation};
    require(list->allows(login) == again->allows(login), "and means the same");
  }
}

void check_owners(fuzz::Input& input) {
  ClientOwners owners;
  while (!input.empty()) (void)owners.read_line(input.line());
  ClientOwners again;
  std::string text = owners.render();
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    require(end != std::string_view::npos, "lines end");
    require(again.read_line(rest.substr(0, end)), "no line of ours is damaged");
    rest.remove_prefix(end + 1);
  }
  require(again.lasting() == owners.lasting(), "all of it lasts");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input{data, size};
  switch (input.byte() % 3) {
    case 0:
      check_keys(input.rest());
      break;
    case 1:
      check_revocations(input);
      break;
    default:
      check_owners(input);
      break;
  }
  return 0;
}
