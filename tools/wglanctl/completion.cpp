// SPDX-License-Identifier: Apache-2.0
#include "tools/wglanctl/completion.h"

#include <CLI/CLI.hpp>

namespace wglan::ctl {
namespace {

// One `case` line a command: the words that may follow it.
void add_cases(const CLI::App& app, const std::string& path, std::string& out) {
    std::string words;
    auto add = [&](const std::string& word) { words += (words.empty() ? "" : " ") + word; };
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) add(sub->get_name());
    for (const auto* option : app.get_options())
        for (const auto& name : option->get_lnames()) add("--" + name);
    out += "    \"" + path + "\") words=\"" + words + "\" ;;\n";
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        add_cases(*sub, path + " " + sub->get_name(), out);
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
    std::string cases;
    add_cases(app, "wglanctl", cases);
    return R"(# bash completion for wglanctl
_wglanctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path=wglanctl words= word i
  case $previous in
    -o|--output) COMPREPLY=($(compgen -W "table json yaml" -- "$current")); return ;;
    --socket) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      -o|--output|--socket) ((i++)) ;;
      -*) ;;
      *) path+=" $word" ;;
    esac
  done
  case $path in
)" + cases +
           R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _wglanctl wglanctl
)";
}

}  // namespace wglan::ctl
