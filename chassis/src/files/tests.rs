//! Tests of file access: permissions, exclusive creation and replacement.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn atomic_write_replaces_content_and_leaves_no_other_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    write_atomic(&path, b"one", MODE_PUBLIC).unwrap();
    write_atomic(&path, b"two", MODE_PRIVATE).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(mode_of(&path), 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn failed_atomic_write_keeps_old_file_and_no_temporary_file() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("folder");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("inside"), b"x").unwrap();
    assert!(write_atomic(&target, b"new", MODE_PRIVATE).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read(target.join("inside")).unwrap(), b"x");
}

#[test]
fn exclusive_creation_never_modifies_an_existing_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    create_exclusive(&path, b"first").unwrap();
    assert_eq!(mode_of(&path), 0o600);
    assert!(matches!(
        create_exclusive(&path, b"second"),
        Err(FileError::Exists(_))
    ));
    assert_eq!(fs::read(&path).unwrap(), b"first");
    let link = dir.path().join("link");
    symlink(dir.path().join("elsewhere"), &link).unwrap();
    assert!(matches!(create_exclusive(&link, b"x"), Err(FileError::Exists(_))));
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn private_dir_is_created_0700_and_rejected_if_open_or_link() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    create_private_dir(&path).unwrap();
    assert_eq!(mode_of(&path), 0o700);
    create_private_dir(&path).unwrap();
    for open in [0o770, 0o702, 0o1777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        assert!(
            matches!(create_private_dir(&path), Err(FileError::NotPrivate { .. })),
            "{open:o}"
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    create_private_dir(&path).unwrap();
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(
        create_private_dir(&link),
        Err(FileError::WrongKind { .. })
    ));
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(
        create_private_dir(&file),
        Err(FileError::WrongKind { .. })
    ));
    let missing = create_private_dir(&dir.path().join("a/b")).unwrap_err();
    let parent = dir.path().join("a");
    assert_eq!(
        missing.to_string(),
        format!("the directory {} does not exist", parent.display())
    );
    let create = format!("mkdir -p {}", parent.display());
    assert!(missing.fix().contains(&create), "{}", missing.fix());
}

#[test]
fn rejects_directory_of_another_user() {
    // Only root can create such a directory; for other users the root directory is one.
    let dir = tempfile::tempdir().unwrap();
    let foreign = if rustix::process::geteuid().is_root() {
        let path = dir.path().join("foreign");
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        path
    } else {
        PathBuf::from("/")
    };
    assert!(matches!(
        check_private_dir(&foreign),
        Err(FileError::WrongOwner(_))
    ));
}

#[test]
fn bounded_read_stops_at_the_limit_and_rejects_pipes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, b"12345").unwrap();
    assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
    assert!(matches!(
        read_bounded(&path, 4),
        Err(FileError::TooLarge { bytes_max: 4, .. })
    ));
    assert!(matches!(
        read_bounded(dir.path(), 4),
        Err(FileError::WrongKind { .. })
    ));
    assert!(matches!(
        read_bounded(Path::new("/dev/zero"), 4),
        Err(FileError::WrongKind { .. })
    ));
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(matches!(read_bounded(&pipe, 4), Err(FileError::WrongKind { .. })));
}

#[test]
fn lock_has_only_one_holder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = FileLock::try_exclusive(&path).unwrap();
    assert!(held.is_some());
    assert!(FileLock::try_exclusive(&path).unwrap().is_none());
    drop(held);
    assert!(FileLock::try_exclusive(&path).unwrap().is_some());
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(FileLock::try_exclusive(&link).is_err());
}

#[test]
fn rejects_file_that_others_can_modify_or_replace() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    create_private_dir(&folder).unwrap();
    let path = folder.join("trusted.json");
    create_exclusive(&path, b"{}").unwrap();
    check_not_writable_by_others(&path).unwrap();
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(
                check_not_writable_by_others(&path),
                Err(FileError::WritableByOthers { .. })
            ),
            "{mode:o}"
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    check_not_writable_by_others(&path).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        check_not_writable_by_others(&path),
        Err(FileError::WritableByOthers { .. })
    ));
    // As in /tmp, where other users can add files but cannot replace this one.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
    check_not_writable_by_others(&path).unwrap();
}

#[test]
fn replace_keeps_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, b"old").unwrap();
    // Only root can give a file away; for others the owner is their own.
    let owner = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), Some(65_534)).unwrap();
        65_534
    } else {
        rustix::process::geteuid().as_raw()
    };
    replace(&path, b"new").unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(
        (metadata.uid(), fs::read(&path).unwrap()),
        (owner, b"new".to_vec())
    );
}

#[test]
fn replace_keeps_the_mode_and_creates_no_missing_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    assert!(matches!(replace(&path, b"x"), Err(FileError::Missing(_))));
    for mode in [0o664, 0o640, 0o600] {
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), mode_of(&path)),
            (b"new".to_vec(), mode)
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn denied_directory_is_named_with_the_final_file() {
    let directory = std::env::current_dir().unwrap();
    let denied = FileError::Denied("a.json.0123.tmp".into()).about(Path::new("a.json"));
    let text = denied.to_string();
    assert!(text.contains("cannot write a.json:"), "{text}");
    assert!(
        text.ends_with(&format!("denied in {}", directory.display())),
        "{text}"
    );
    assert!(
        denied.fix().contains(&*directory.to_string_lossy()),
        "{}",
        denied.fix()
    );
}

#[test]
fn own_private_file_must_be_closed_and_belong_to_this_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    create_exclusive(&path, b"x").unwrap();
    assert_eq!(read_own_private(&path, 1).unwrap().as_slice(), b"x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        read_own_private(&path, 1),
        Err(FileError::NotPrivate { .. })
    ));
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        assert!(matches!(
            read_own_private(&path, 1),
            Err(FileError::WrongOwner(_))
        ));
    }
}
