# Finds the programs of a server: installed on the machine, or unpacked from Debian packages into a cache. That
# needs no root and installs nothing: a tree contains its own libraries and its own loader.
# Part of servers.sh. Functions that fail print the reason.

# `own` is the release of this machine, `sid` the one with a MySQL server and PostgreSQL 18. `clock` is of the own
# release too, because programs of this machine load that library together with their C library.
tree_of() { case $1 in mysql | postgres18) echo sid ;; faketime) echo clock ;; *) echo own ;; esac; }
packages_of() {
  case $1 in
    own) echo postgresql pgbouncer mariadb-server mariadb-server-core mariadb-client-core ;;
    sid) echo mysql-server-core postgresql-18 ;;
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

# Prints the directory of PostgreSQL's programs below a tree. Of several versions the oldest: 18 has its own name.
postgres_folder() {
  local folder
  case $1 in
    postgres18) folder=$2/usr/lib/postgresql/18/bin ;;
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
    faketime) [ -n "$(faketime_library "$2")" ] ;;
    mariadb) [ -x "$2/usr/sbin/mariadbd" ] && [ -x "$2/usr/bin/mariadb-install-db" ] ;;
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
  case $1 in pgbouncer | faketime | mariadb) of=$1 ;; esac
  top=$(obtain "$of") || { echo "$top"; return 1; }
  case $1 in
    mariadb) echo "${top%/}/usr/bin/mariadb" ;;
    pgbouncer) echo "${top%/}/usr/sbin/pgbouncer" ;;
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
  if [ "$1" = sid ]; then
    awk -v code="$codename" -v key="$keyring" '$2 == code { print "deb [signed-by=" key "] " $1 " sid main"; exit }' <<<"$mirrors"
  else
    awk -v key="$keyring" '{ print "deb [signed-by=" key "] " $1 " " $2 " main" }' <<<"$mirrors"
  fi
}

# Fetches the packages of a tree with all dependencies, including the C library, and unpacks them.
unpack() {
  local tree=$1 cache=$2 name=$3 work reason tool
  for tool in apt-get dpkg-deb flock; do
    command -v $tool >/dev/null || { echo "not installed, and fetching requires $tool"; return 1; }
  done
  mkdir -p "$cache" && exec 9>"$cache/lock" || { echo "$cache is not writable"; return 1; }
  flock -w 900 9 || { echo "another run has held $cache/lock for 15 minutes"; return 1; }
  [ ! -e "$cache/$name.complete" ] || { exec 9>&-; return 0; }
  echo "test databases: fetching $(packages_of "$tree")" >&2
  rm -rf "$cache/$name" "$cache"/.new.*
  work=$(mktemp -d "$cache/.new.XXXXXX") && chmod 755 "$work"
  if reason=$(fetch "$tree" "$work" && spread "$work" && wrap "$work/tree" "$cache/$name"); then
    mv "$work/tree" "$cache/$name" && touch "$cache/$name.complete"
  fi
  rm -rf "$work"
  exec 9>&-
  [ -e "$cache/$name.complete" ] || { echo "$reason"; return 1; }
}

# Downloads into a directory. apt sees no installed packages, so that it fetches every library. A mirror that is no
# longer updated is good enough for a test.
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
	APT::Sandbox::User ""; APT::Install-Recommends "0"; APT::Get::Assume-Yes "1"; Debug::NoLocking "1";
	Acquire::Check-Valid-Until "0"; Acquire::Languages "none"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "0"; Acquire::Retries "3";
	CONF
  # shellcheck disable=SC2046
  APT_CONFIG=$work/apt.conf timeout 120 apt-get -q update >"$work/log" 2>&1 </dev/null &&
    APT_CONFIG=$work/apt.conf timeout 480 apt-get -q --download-only install $(packages_of "$tree") \
      >>"$work/log" 2>&1 </dev/null && return 0
  echo "apt-get failed: $(grep -E '^[EW]:' "$work/log" | tail -n 1)"
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
  local tree=$1 final=$2 program loader libraries
  cd "$tree" || return 1
  loader=$(find usr/lib lib -maxdepth 2 -type f -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
  [ -n "$loader" ] || { echo "no loader in the packages"; return 1; }
  loader=$final/$loader
  libraries=$(find usr/lib lib -maxdepth 1 -type d -name '*-linux-gnu*' 2>/dev/null | sed "s|^|$final/|" | paste -sd:)
  libraries=$libraries:$final/usr/lib/mysql/private
  for program in usr/lib/postgresql/*/bin/{initdb,postgres,psql,pgbench,pg_dump} usr/sbin/{mysqld,mariadbd,pgbouncer} \
    usr/bin/{my_print_defaults,resolveip,mariadb}; do
    [ -f "$program" ] && [ ! -L "$program" ] || continue
    mv "$program" "$program.real"
    printf '#!/bin/sh\nexec %s --library-path %s --argv0 %s %s "$@"\n' \
      "$loader" "$libraries" "$final/$program" "$final/$program.real" >"$program"
    chmod 755 "$program"
  done
}
