//! Access rules of files: who may read a secret, and who may replace a file that the process trusts.

use std::fs::{self, File, Metadata};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::FileError;

const OTHERS: u32 = 0o007;
const GROUP: u32 = 0o070;
const GROUP_READ: u32 = 0o040;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Checks that root or this user owns the file, and that no other user can read it. A file that only its group can read
/// besides, as clusters mount it, is accepted if this process is in the group and no other user can replace it.
pub(super) fn check_secret(path: &Path, file: &File, metadata: &Metadata) -> Result<(), FileError> {
    if !has_trusted_owner(metadata) {
        return Err(FileError::WrongOwner(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & (GROUP | OTHERS) == 0 {
        return Ok(());
    }
    let is_for_group = mode & (GROUP | OTHERS) == GROUP_READ;
    if !is_for_group || !is_own_group(metadata.gid()) {
        return Err(not_private(path, metadata));
    }
    // The opened file may be behind links: neither directory may let the group replace what it holds.
    let opened = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .or_else(|_| fs::canonicalize(path))
        .map_err(|e| FileError::of(path, &e))?;
    for dir in [dir_of(path), dir_of(&opened)] {
        let found = fs::metadata(dir).map_err(|e| FileError::of(dir, &e))?;
        let is_open = found.mode() & WRITABLE_BY_OTHERS != 0 || !has_trusted_owner(&found);
        if is_open && !is_read_only(dir) {
            return Err(FileError::WritableByOthers {
                path: path.to_owned(),
                how: "is in a directory that other users can write to",
            });
        }
    }
    Ok(())
}

/// Checks that the file belongs to this user and that no other user can read it.
pub(super) fn check_own_secret(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    if metadata.uid() != own_user() {
        return Err(FileError::WrongOwner(path.to_owned()));
    }
    match metadata.mode() & (GROUP | OTHERS) {
        0 => Ok(()),
        _ => Err(not_private(path, metadata)),
    }
}

/// Checks that only this user and root can modify or replace the file. For files whose content the process trusts.
///
/// # Errors
/// [`FileError::WritableByOthers`] with the reason; otherwise the file system error.
pub fn check_not_writable_by_others(path: &Path) -> Result<(), FileError> {
    let unguarded = |how| {
        Err(FileError::WritableByOthers {
            path: path.to_owned(),
            how,
        })
    };
    let file = fs::metadata(path).map_err(|e| FileError::of(path, &e))?;
    if file.mode() & WRITABLE_BY_OTHERS != 0 {
        return unguarded("is writable by other users");
    }
    if !has_trusted_owner(&file) {
        return unguarded("belongs to another user");
    }
    let dir = dir_of(path);
    let found = fs::metadata(dir).map_err(|e| FileError::of(path, &e))?;
    let is_open = found.mode() & WRITABLE_BY_OTHERS != 0 && found.mode() & STICKY == 0;
    if is_open && !is_read_only(dir) {
        return unguarded("is in a directory that other users can write to");
    }
    Ok(())
}

/// Error for a file that other users can read. Its fix must leave the file readable for this process.
pub(super) fn not_private(path: &Path, metadata: &Metadata) -> FileError {
    let shown = path.display();
    let fix = if metadata.uid() == own_user() {
        format!("chmod go-rwx {shown}")
    } else {
        let group = rustix::process::getegid().as_raw();
        format!("chgrp {group} {shown} && chmod 0440 {shown}")
    };
    FileError::NotPrivate {
        path: path.to_owned(),
        mode: metadata.mode() & 0o7777,
        fix,
    }
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn has_trusted_owner(metadata: &Metadata) -> bool {
    metadata.uid() == own_user() || metadata.uid() == 0
}

fn is_own_group(group: u32) -> bool {
    let others = rustix::process::getgroups().unwrap_or_default();
    rustix::process::getegid().as_raw() == group || others.iter().any(|own| own.as_raw() == group)
}

/// Whether the file system of the directory is mounted read-only here, so that no user can write to it.
fn is_read_only(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

pub(super) fn dir_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;

    use super::super::{read_own_private, read_private};
    use super::*;

    const BYTES_MAX: u64 = 64;

    fn secret(dir: &Path, mode: u32) -> PathBuf {
        let path = dir.join("secret");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn secret_of_the_own_group_is_read_and_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, is_accepted) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o640, true),
            (0o660, false),
            (0o650, false),
            (0o604, false),
            (0o444, false),
            (0o644, false),
        ] {
            let read = read_private(&secret(dir.path(), mode), BYTES_MAX);
            assert_eq!(read.is_ok(), is_accepted, "{mode:o}: {read:?}");
            let own = read_own_private(&dir.path().join("secret"), BYTES_MAX);
            assert_eq!(own.is_ok(), mode & 0o077 == 0, "{mode:o}: {own:?}");
        }
    }

    #[test]
    fn secret_of_the_group_behind_swapped_links_is_read() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["one", "two"] {
            let data = dir.path().join(version);
            fs::create_dir(&data).unwrap();
            set_mode(&secret(&data, 0o440), 0o440);
            let link = dir.path().join("..new");
            symlink(version, &link).unwrap();
            fs::rename(&link, dir.path().join("..data")).unwrap();
            let shown = dir.path().join("secret");
            if !shown.exists() {
                symlink("..data/secret", &shown).unwrap();
            }
            assert!(read_private(&shown, BYTES_MAX).is_ok(), "{version}");
        }
    }

    #[test]
    fn rejects_secret_of_the_group_that_the_group_can_replace() {
        let dir = tempfile::tempdir().unwrap();
        let path = secret(dir.path(), 0o440);
        set_mode(dir.path(), 0o770);
        let refused = |path: &Path| {
            let read = read_private(path, BYTES_MAX);
            assert!(
                matches!(read, Err(FileError::WritableByOthers { .. })),
                "{read:?}"
            );
        };
        refused(&path);
        // The link's own directory is closed, the file's is not.
        let links = tempfile::tempdir().unwrap();
        symlink(&path, links.path().join("link")).unwrap();
        refused(&links.path().join("link"));
        // The file's directory is closed, the link's is not.
        set_mode(dir.path(), 0o700);
        set_mode(links.path(), 0o770);
        refused(&links.path().join("link"));
        set_mode(links.path(), 0o700);
        assert!(read_private(&links.path().join("link"), BYTES_MAX).is_ok());
    }

    #[test]
    fn rejects_secret_of_another_user_or_group() {
        use std::os::unix::fs::chown;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let read = |user: u32, group: u32, mode: u32| {
            let path = secret(dir.path(), mode);
            chown(&path, Some(user), Some(group)).unwrap();
            (read_private(&path, BYTES_MAX), read_own_private(&path, BYTES_MAX))
        };
        for mode in [0o600, 0o440] {
            let (as_service, as_operator) = read(12_345, 0, mode);
            assert!(
                matches!(as_service, Err(FileError::WrongOwner(_))),
                "{as_service:?}"
            );
            assert!(
                matches!(as_operator, Err(FileError::WrongOwner(_))),
                "{as_operator:?}"
            );
        }
        let (of_other_group, _) = read(0, 12_345, 0o440);
        assert!(
            matches!(of_other_group, Err(FileError::NotPrivate { .. })),
            "{of_other_group:?}"
        );
        let (closed, _) = read(0, 12_345, 0o400);
        assert!(closed.is_ok(), "{closed:?}");
        // The owner of a directory can replace what it holds.
        chown(dir.path(), Some(12_345), None).unwrap();
        let (in_foreign_dir, _) = read(0, 0, 0o440);
        assert!(
            matches!(in_foreign_dir, Err(FileError::WritableByOthers { .. })),
            "{in_foreign_dir:?}"
        );
    }

    #[test]
    fn fix_of_an_own_open_secret_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = secret(dir.path(), 0o444);
        let error = read_private(&path, BYTES_MAX).unwrap_err();
        assert_eq!(error.fix(), format!("chmod go-rwx {}", path.display()));
    }
}
