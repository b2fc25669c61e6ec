# shellcheck shell=bash disable=SC2154
# The three processes of a server folder: which they are, whether they run, what they need to start.
# Sourced by tools/up, tools/down and tools/start, with `dir` set to the folder's absolute path.

# shellcheck disable=SC2034  # for those who source this
processes=(postgres broker worker)

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

program_of() {
  case "$1" in
    postgres) echo postgres ;;
    broker) echo mosquitto ;;
    worker) echo parleyd ;;
    *) die "there is no process $1 (broker, worker, postgres)" ;;
  esac
}

# What stands on its command line, so that no other server's process is taken for ours.
argument_of() {
  case "$1" in
    postgres) realpath -m "$dir/postgres" ;;
    broker) echo "$dir/mosquitto.conf" ;;
    worker) echo "$dir/parley.toml" ;;
  esac
}

# Prints the pid if the process runs and is what its pid file says; a stale file counts for nothing.
pid_of() {
  local pid exe
  [[ -r $dir/$1.pid ]] || return 1
  pid=$(<"$dir/$1.pid")
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
  [[ $(basename "${exe% (deleted)}") == "$(program_of "$1")" ]] || return 1
  grep -zqFx -- "$(argument_of "$1")" "/proc/$pid/cmdline" 2>/dev/null || return 1
  echo "$pid"
}

# Root cannot run PostgreSQL: the system's user postgres does it then.
postgres_user() {
  if [[ $EUID -ne 0 ]]; then
    id -un
  elif id -u postgres >/dev/null 2>&1; then
    echo postgres
  else
    die "PostgreSQL does not run as root, and there is no user postgres; install postgresql-15"
  fi
}

as_postgres_user() {
  if [[ $EUID -ne 0 ]]; then
    "$@"
  else
    setpriv --reuid=postgres --regid=postgres --init-groups "$@"
  fi
}

postgres_program() {
  local found
  found=$(find /usr/lib/postgresql/*/bin -name "$1" 2>/dev/null | sort -V | tail -n 1)
  if [[ -z $found ]]; then found=$(command -v "$1") || die "$1 is missing; install postgresql-15"; fi
  echo "$found"
}

# A socket's path has at most 107 bytes, and its folder must be in PostgreSQL's user's reach.
socket_dir() {
  local inside="$dir/socket"
  if [[ ${#inside} -le 80 ]] && as_postgres_user test -x "$dir"; then
    echo "$inside"
  else
    echo "/tmp/parley-$EUID-$(printf '%s' "$dir" | sha256sum | cut -c 1-12)"
  fi
}

# A folder that belongs to PostgreSQL's user alone; one that somebody else put there is not trusted.
make_postgres_folder() {
  local owner
  owner=$(postgres_user)
  if [[ ! -e $1 && ! -L $1 ]]; then
    mkdir -m 0700 "$1"
    if [[ $EUID -eq 0 ]]; then chown "$owner" "$1"; fi
  fi
  [[ -d $1 && ! -L $1 && $(stat -c %U "$1") == "$owner" ]] || die "$1 must be a folder of user $owner"
  chmod 0700 "$1"
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Waits until a command succeeds. $1: seconds; the rest: the command.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS >= deadline)); then return 1; fi
    sleep 0.1
  done
}
