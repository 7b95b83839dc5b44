//! Script between `unshare` and a writer: mounts a small file system over the state directory and breaks it on a
//! signal.

/// `sh -c TEXT sh STATE SIGNALS DAMAGE WRITER ARGUMENT...`. It saves copies at every change, because the file
/// system disappears with its last process.
pub(super) const TEXT: &str = r#"
state=$1 signals=$2 damage=$3
shift 3
mount -t tmpfs -o size=64k,mode=700 tmpfs "$state" || exit 1
(
  exec 0</dev/null
  while [ ! -e "$signals/break" ]; do
    kill -0 $$ || exit
    sleep 0.02
  done
  case $damage in
    # Over the file system, in which the writer may have files open.
    read-only) mount --bind "$state" "$state" && mount -o remount,bind,ro "$state" || exit ;;
    full) dd if=/dev/zero of="$state/fill" bs=1k && exit ;;
  esac
  : >"$signals/break.done"
  while kill -0 $$; do
    mkdir -p "$signals/new"
    for file in "$state"/*; do
      case $file in */fill) ;; *) cp -r "$file" "$signals/new" ;; esac
    done
    rm -rf "$signals/kept" && mv "$signals/new" "$signals/kept"
    sleep 0.05
  done
  : >"$signals/ended"
) 2>/dev/null &
exec "$@"
"#;
