# One server in its own directory: data, log, port, process id, the owner's password.
# Part of servers.sh. Functions that fail print the reason.

# Servers refuse to run as root, so root starts them as a user that owns nothing else.
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=daemon --regid=daemon --clear-groups -- "$@"; else "$@"; fi
}

free_port() {
  local port
  while port=$((20000 + (RANDOM << 15 | RANDOM) % 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# Prints the process id recorded in a directory, if it is that server and not another process with the same id.
pid_of() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) && grep -qsF -- "$1/data" "/proc/$pid/cmdline" && echo "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

url_of() {
  local password port
  password=$(cat "$1/password") && port=$(cat "$1/port") || return 1
  case $(cat "$1/engine") in
    postgres*) echo "postgres://postgres:$password@127.0.0.1:$port/postgres" ;;
    *) echo "mysql://root:$password@127.0.0.1:$port/mysql" ;;
  esac
}

# Creates the data of a new server, with a password for its owner.
initialise() {
  local engine=$1 top=$2 at=$3
  (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$at/password")
  echo "$engine" >"$at/engine"
  cp "$at/password" "$at/owner.secret" && chmod 600 "$at/owner.secret"
  case $engine in
    postgres*) ;;
    *)
      printf "%s;\n" "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1'" \
        "ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '$(cat "$at/password")'" \
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION" >"$at/owner.secret"
      ;;
  esac
  give "$at"
  case $engine in
    postgres*)
      set -- "$(postgres_folder "$engine" "$top")/initdb" -D "$at/data" -U postgres --pwfile="$at/owner.secret" \
        --auth=scram-sha-256 -E UTF8 --locale=C.UTF-8 -N
      ;;
    mariadb*)
      set -- "$top/usr/bin/mariadb-install-db" --no-defaults --basedir="$top/usr" --datadir="$at/data" \
        --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve --force
      ;;
    mysql)
      set -- "$top/usr/sbin/mysqld" --no-defaults --initialize-insecure --basedir="$top/usr" --datadir="$at/data"
      ;;
  esac
  # shellcheck disable=SC2086
  (cd "$at" && LC_ALL=C as_server timeout 120 env TMPDIR="$at/tmp" ${SYNAPSOR_TEST_INITIALISE_WITH:-} "$@" >"$at/initialise.log" 2>&1 </dev/null) && touch "$at/initialised" && return
  rm -rf "$at/data"
  echo "data directory not created: $(grep -v '^[[:space:]]*$' "$at/initialise.log" | tail -n 4 | tr '\n' ' ')"
  return 1
}

# Makes the user that servers run as the owner of a directory.
give() { [ "$(id -u)" != 0 ] || chown -R daemon:daemon "$1"; }

# Starts a server in the background on a port and waits until it accepts connections.
launch() {
  local engine=$1 top=$2 at=$3 port=$4
  shift 4
  case $engine in
    postgres*)
      set -- "$(postgres_folder "$engine" "$top")/postgres" -D "$at/data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c fsync=off -c max_connections=300 -c max_prepared_transactions=10 "$@"
      ;;
    *)
      local own=(--mysqlx=OFF --secure-file-priv=NULL) program=mysqld
      [ "$engine" = mysql ] || own=() program=mariadbd
      set -- "$top/usr/sbin/$program" --no-defaults --basedir="$top/usr" --datadir="$at/data" \
        --bind-address=127.0.0.1 --port="$port" --socket=s --pid-file=pid --skip-name-resolve \
        --max-connections=400 --init-file="$at/owner.secret" "${own[@]}" "$@"
      ;;
  esac
  [ ! -e "$at/log" ] || mv "$at/log" "$at/log.previous"
  # A temporary directory of its own: a starting MariaDB deletes the temporary tables that others have in a shared one,
  # and those servers then fail or crash.
  # shellcheck disable=SC2086
  set -- env TMPDIR="$at/tmp" ${SYNAPSOR_TEST_SERVER_WITH:-} "$@"
  # In its own process session, so that an interrupt at the terminal does not end it before the tests have ended.
  if [ "$(id -u)" = 0 ]; then set -- setpriv --reuid=daemon --regid=daemon --clear-groups -- "$@"; fi
  (cd "$at" && LC_ALL=C exec setsid "$@" >"$at/log" 2>&1 </dev/null 3>&- 7>&- 8>&- 9>&-) &
  local pid=$! until=$((SECONDS + 60))
  echo "$pid" >"$at/pid"
  while [ $SECONDS -lt $until ]; do
    ! grep -qE 'ready (to accept|for) (read-only )?connections' "$at/log" 2>/dev/null || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null
  rm -f "$at/pid"
  echo "server did not start, see $at/log: $(grep -iE 'error|fatal' "$at/log" | head -n 1)"
  return 1
}

# Starts a server of an engine with its data in a directory; further arguments are options of the server.
start() {
  local engine=$1 at=$2 top reason attempt port
  shift 2
  mkdir -p "$at/tmp" && at=$(cd "$at" && pwd) || return 1
  ! is_running "$at" || return 0
  top=$(obtain "$engine") || { echo "$top"; return 1; }
  top=${top%/}
  if [ ! -e "$at/initialised" ] && ! reason=$(initialise "$engine" "$top" "$at"); then
    # Retry: on a busy machine the programs that create data directories time out first.
    echo "$reason" >&2
    initialise "$engine" "$top" "$at" || return 1
  fi
  give "$at"
  for attempt in 1 2 3; do
    port=$(cat "$at/port" 2>/dev/null || free_port)
    if reason=$(launch "$engine" "$top" "$at" "$port" "$@"); then
      echo "$port" >"$at/port"
      return 0
    fi
    # Another process may have taken the port since the check.
    grep -qiE 'already in use|in use' "$at/log" || break
    sleep 1
  done
  echo "$reason"
  return 1
}

# Kills a server and all of its processes, without a shutdown.
kill_hard() {
  local pid children
  pid=$(pid_of "$1") || return 0
  children=$(cat "/proc/$pid/task/"*/children 2>/dev/null)
  kill -KILL "$pid" $children 2>/dev/null
  gone 10 "$pid" $children || { echo "process $pid is still running" >&2; return 1; }
  # The ids of ended processes may stay in use for a while, and a starting server trusts its lock files.
  rm -f "$1/pid" "$1/data/postmaster.pid" "$1/data/s.lock"
}

# Shuts a server down, and kills it if that takes too long.
stop() {
  local pid signal=TERM
  pid=$(pid_of "$1") || return 0
  case $(cat "$1/engine") in postgres*) signal=INT ;; esac
  kill -"$signal" "$pid"
  gone 20 "$pid" || kill_hard "$1"
  rm -f "$1/pid"
}

# Waits until processes have ended.
gone() {
  local until=$((SECONDS + $1)) pid
  shift
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null; do
      # An ended process that its parent has not waited for counts as ended.
      ! grep -qs '^State:.Z' "/proc/$pid/status" || break
      [ $SECONDS -lt $until ] || return 1
      sleep 0.02
    done
  done
}
