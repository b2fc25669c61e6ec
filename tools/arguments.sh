# shellcheck shell=bash
# How the tools answer a command line that they do not understand. Sourced.

misused() {
  echo "$(basename "$0"): $*; $(basename "$0") --help tells more" >&2
  exit 2
}

# $1: the option; $2: its value, if it has one
need_value() { [[ $# -ge 2 ]] || misused "$1 needs a value"; }

# $1: the option; $2: its value, empty if it has none; $3: at most (default: no limit)
need_number() {
  if [[ ! $2 =~ ^[1-9][0-9]{0,17}$ ]]; then misused "$1 needs a number from 1 on"; fi
  if [[ -n ${3:-} ]] && (($2 > $3)); then misused "$1 $2: at most $3"; fi
}

# The same from 0 on.
need_number_or_0() { if [[ $2 != 0 ]]; then need_number "$@"; fi; }
