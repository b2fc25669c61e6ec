// parley completion: what the Tab key offers.
#include <iostream>
#include <memory>
#include <string>

#include "tools/parley/commands.hpp"

namespace parley::cli {
namespace {

constexpr const char* script_begin = R"sh(_parley_words() {
  local words=""
  case "$1" in
)sh";

// It walks over the words typed so far: those that name a subcommand lead on, the others are
// arguments.
constexpr const char* script_end = R"sh(  esac
  echo "$words"
}
_parley() {
  local path="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    case " $(_parley_words "$path") " in
      *" $word "*)
        case "$word" in
          -*) ;;
          *) path="${path:+$path }$word" ;;
        esac ;;
    esac
  done
  COMPREPLY=($(compgen -W "$(_parley_words "$path")" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _parley parley
)sh";

std::vector<const CLI::App*> subcommands(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

std::string words_of(const CLI::App& command) {
  std::string words;
  for (const CLI::App* sub : subcommands(command)) words += sub->get_name() + " ";
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) words += "--" + name + " ";
  }
  if (!words.empty()) words.pop_back();
  return words;
}

/// One line of the script's `case` per command: `"token verify") words="--user --device" ;;`.
void add_cases(const CLI::App& command, const std::string& path, std::string& cases) {
  cases += "    \"" + path + "\") words=\"" + words_of(command) + "\" ;;\n";
  for (const CLI::App* sub : subcommands(command)) {
    add_cases(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), cases);
  }
}

void print_script(const CLI::App& app, const std::string& shell) {
  std::string cases;
  add_cases(app, "", cases);
  if (shell == "zsh") std::cout << "autoload -Uz +X bashcompinit && bashcompinit\n";
  std::cout << script_begin << cases << script_end;
}

}  // namespace

void add_completion_command(CLI::App& app, Ending& ending) {
  auto* const completion = app.add_subcommand("completion", "Print a script for the Tab key");
  completion->footer(
      "Examples:\n"
      "  source <(parley completion bash)     # in ~/.bashrc\n"
      "  source <(parley completion zsh)      # in ~/.zshrc");
  const auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell)->required()->check(CLI::IsMember({"bash", "zsh"}));
  completion->callback([&app, &ending, shell] {
    print_script(app, *shell);
    ending = {};
  });
}

}  // namespace parley::cli
